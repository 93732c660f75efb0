//go:build unix

package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// A process is one run of publish or listen. Its methods are for the test's
// goroutine, except for feed.
type process struct {
	t           testing.TB
	args        []string
	cmd         *exec.Cmd
	stdin       io.WriteCloser
	out, errors *outputFile
	exited      chan struct{}
}

// runProcess starts a program. It ends with the test, which fails if the program
// crashed, and shows the program's stderr if it failed.
func runProcess(t testing.TB, url string, args ...string) *process {
	t.Helper()
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &process{t: t, args: args, exited: make(chan struct{})}
	p.out, p.errors = newOutputFile(t, filepath.Join(dir, "stdout")), newOutputFile(t, filepath.Join(dir, "stderr"))
	p.cmd = exec.Command(filepath.Join(bin, args[0]), slices.Concat(args[1:], []string{"--server", url})...)
	p.cmd.Env = []string{"HOME=" + dir, "GOTRACEBACK=all", "GORACE=atexit_sleep_ms=10"} // instead of a second
	p.cmd.Stdout, p.cmd.Stderr = p.out.to, p.errors.to
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // the exit code is asked for by wait
	}()
	t.Cleanup(p.finish)
	return p
}

// finish ends a program that still runs, and checks its stderr. After a failure,
// the program shows where it hangs.
func (p *process) finish() {
	if p.t.Failed() && p.running() {
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		select {
		case <-p.exited:
		case <-time.After(5 * time.Second):
		}
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
	said := p.errors.all()
	if strings.Contains(said, "DATA RACE") || strings.Contains(said, "panic: ") || strings.Contains(said, "a fault of this program") {
		p.t.Errorf("%s crashed", p)
	}
	if p.t.Failed() {
		const enough = 16 << 10
		p.t.Logf("%s ended with %v and said:\n%s", p, p.cmd.ProcessState, said[:min(len(said), enough)])
	}
}

func (p *process) String() string { return strings.Join(p.args, " ") }

func (p *process) signal(which os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(which); err != nil {
		p.t.Fatalf("%s: %v", p, err)
	}
}

// kill ends the program as kill -9 does.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.wait(10 * time.Second)
}

// wait returns the exit code, or -1 after a signal. A hanging program shows where
// it hangs.
func (p *process) wait(most time.Duration) int {
	p.t.Helper()
	begin := time.Now()
	select {
	case <-p.exited:
	case <-time.After(most):
		p.t.Fatalf("%s still runs after %v", p, time.Since(begin))
	}
	return p.cmd.ProcessState.ExitCode()
}

// endsWith fails the test unless the program ends with an exit code in time.
func (p *process) endsWith(code int, most time.Duration) {
	p.t.Helper()
	if got := p.wait(most); got != code {
		p.t.Fatalf("%s: exit code %d, want %d", p, got, code)
	}
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

func (p *process) says(text string) bool { return strings.Contains(p.errors.all(), text) }

// awaitSaying waits until stderr contains text.
func (p *process) awaitSaying(text string) {
	p.t.Helper()
	brokertest.Eventually(p.t, fmt.Sprintf("%s says %q", p, text), func() bool { return p.says(text) })
}

// awaitLines waits until stdout has n lines.
func (p *process) awaitLines(n int) {
	p.t.Helper()
	brokertest.Eventually(p.t, fmt.Sprintf("%s has written %d lines", p, n), func() bool { return len(p.out.lines()) >= n })
}

// feed writes the events with the numbers from to to to stdin, and returns an
// error if the program ended before it took them.
func (p *process) feed(from, to int) error {
	var text []byte
	for n := from; n <= to; n++ {
		text = fmt.Appendf(text, `{"id":"%d","title":"event","price":1,"userId":"u"}`+"\n", n)
	}
	_, err := p.stdin.Write(text)
	return err
}

// feedAll does so in the background, and then ends stdin.
func (p *process) feedAll(from, to int) {
	go func() { // ends with the program
		_ = p.feed(from, to)
		_ = p.stdin.Close()
	}()
}

// An outputFile is a file that a program writes, and how much of it was read.
type outputFile struct {
	t    testing.TB
	to   *os.File
	from *os.File
	text []byte
	seen []string // complete lines
}

func newOutputFile(t testing.TB, name string) *outputFile {
	t.Helper()
	to, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = to.Close()
		_ = from.Close()
	})
	return &outputFile{t: t, to: to, from: from}
}

// lines returns the complete lines written so far: a program that was killed
// may have left a part of one.
func (o *outputFile) lines() []string {
	o.t.Helper()
	read, err := io.ReadAll(o.from)
	if err != nil {
		o.t.Fatal(err)
	}
	o.text = append(o.text, read...)
	for {
		line, rest, found := bytes.Cut(o.text, []byte("\n"))
		if !found {
			return o.seen
		}
		o.seen = append(o.seen, string(line))
		o.text = rest
	}
}

func (o *outputFile) all() string { return strings.Join(o.lines(), "\n") }
