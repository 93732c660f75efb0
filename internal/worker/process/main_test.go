//go:build unix

package process_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"nats-test/internal/brokertest"
	"nats-test/internal/worker/process"
)

// A handler in Go is this binary, with the name of the handler as its argument.
var handlers = map[string]func(args []string){
	"ack":      func([]string) { acknowledge(os.Stdin, os.NewFile(3, "answers")) },
	"stubborn": func([]string) { signal.Ignore(syscall.SIGTERM); fmt.Println(os.Getpid()); select {} },
	"write": func(args []string) { // so many bytes, in lines
		n, _ := strconv.Atoi(args[0])
		line := append(bytes.Repeat([]byte("x"), 99), '\n')
		for chunk := bytes.Repeat(line, 1000); n > 0; n -= len(chunk) {
			if _, err := os.Stdout.Write(chunk); err != nil {
				os.Exit(1)
			}
		}
	},
	"daemon": func(args []string) { // starts a command in a session of its own, and leaves it
		c := exec.Command(args[0], args[1:]...)
		c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := c.Start(); err != nil {
			os.Exit(1)
		}
		fmt.Println(c.Process.Pid)
	},
	"worker": func(args []string) { // runs a command until it is killed
		c := process.NewCommand(process.Config{Argv: args, Stdout: os.Stdout})
		fmt.Fprintln(os.Stderr, c.Run(context.Background(), process.Event{}))
	},
}

func handler(args ...string) []string { return append([]string{os.Args[0], "handler"}, args...) }

func shell(command string) []string { return []string{"/bin/sh", "-c", command} }

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "handler" {
		handlers[os.Args[2]](os.Args[3:])
		os.Exit(0)
	}
	// They wait more than they work.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// acknowledge answers records, in batches as they come.
func acknowledge(records io.Reader, answers io.Writer) {
	in, out := bufio.NewReaderSize(records, 64<<10), bufio.NewWriterSize(answers, 64<<10)
	for {
		_, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		_, _ = out.WriteString("{\"ack\":true}\n")
		if in.Buffered() == 0 {
			_ = out.Flush()
		}
	}
}

// A buffer takes output of several goroutines.
type buffer struct {
	mu    sync.Mutex
	bytes bytes.Buffer
	most  int // of one write
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.most = max(b.most, len(p))
	return b.bytes.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes.String()
}

// number waits for a number in a line, which a handler wrote.
func (b *buffer) number(t *testing.T) (n int) {
	t.Helper()
	eventually(t, "the handler writes a number", func() bool {
		line, _, ended := strings.Cut(b.String(), "\n")
		var err error
		n, err = strconv.Atoi(line)
		return ended && err == nil
	})
	return n
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	brokertest.Eventually(t, what, done)
}

// alive reports whether a process runs. One that has ended, and that nobody
// reaped yet, does not.
func alive(pid int) bool {
	if unix.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, found := bytes.Cut(stat, []byte(") "))
	return err != nil && !os.IsNotExist(err) || found && state[0] != 'Z' && state[0] != 'X'
}

// want compares what is to be known of an outcome.
func want(t *testing.T, got process.Outcome, verdict process.Verdict, reason string) {
	t.Helper()
	if got.Verdict != verdict || got.Reason != reason {
		t.Errorf("verdict %d, %q, want %d, %q; stderr %q", got.Verdict, got.Reason, verdict, reason, got.Stderr)
	}
}

// warnings collects the messages of a runner.
type warnings struct {
	mu  sync.Mutex
	all []string
}

func (w *warnings) warn(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, fmt.Sprintf(format, args...))
}

func (w *warnings) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

// prompt fails a test that waits for what lasts a minute.
func prompt(t *testing.T) {
	t.Helper()
	begun := time.Now()
	t.Cleanup(func() {
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("took %s", took)
		}
	})
}
