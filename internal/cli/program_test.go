//go:build unix

package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/stan.go/pb"

	"nats-test/internal/brokertest"
)

// A process is one run of publish or listen in a process of its own. Its
// methods are for the test's goroutine, but for feed.
type process struct {
	t           testing.TB
	args        []string
	cmd         *exec.Cmd
	stdin       io.WriteCloser
	out, errors *outputFile
	exited      chan struct{}
}

// runProcess starts a program. It ends with the test, which fails if the
// program crashed, and shows what it said if the test failed.
func runProcess(t testing.TB, s *brokertest.Server, args ...string) *process {
	t.Helper()
	return runProcessAt(t, s.URL, args...)
}

func runProcessAt(t testing.TB, url string, args ...string) *process {
	t.Helper()
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &process{t: t, args: args, exited: make(chan struct{})}
	p.out, p.errors = newOutputFile(t, filepath.Join(dir, "stdout")), newOutputFile(t, filepath.Join(dir, "stderr"))
	p.cmd = exec.Command(filepath.Join(bin, args[0]), slices.Concat(args[1:], []string{"--server", url})...)
	p.cmd.Env = []string{"HOME=" + dir, "GOTRACEBACK=all"}
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

// finish ends a program that still runs, and looks at what it said. After a
// failure, the program tells where it hangs.
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
	if strings.Contains(said, "DATA RACE") || strings.Contains(said, "panic: ") {
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

// wait returns the exit code, or -1 if a signal ended the program. One that
// hangs tells where.
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

// awaitSaying waits until text stands on stderr.
func (p *process) awaitSaying(text string) {
	p.t.Helper()
	brokertest.Eventually(p.t, fmt.Sprintf("%s says %q", p, text), func() bool { return p.says(text) })
}

// awaitLines waits until n lines stand on stdout.
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

// A wire is a proxy that reads along: which event was sent under which message
// ID is told nowhere else.
type wire struct {
	URL string

	mu     sync.Mutex
	to     string         // where it leads
	open   int            // connections
	events map[string]int // by message ID
	sent   []int
	wrong  error
}

func newWire(t testing.TB, s *brokertest.Server) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{URL: "nats://" + listener.Addr().String(), events: make(map[string]int)}
	w.lead(s)
	var copies sync.WaitGroup
	copies.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", w.target())
			if err != nil {
				_ = near.Close()
				continue
			}
			copies.Go(func() { w.carry(near, far) })
		}
	})
	t.Cleanup(func() { // after the programs, and before the server
		_ = listener.Close()
		copies.Wait()
	})
	return w
}

// lead makes the next connections end at another server.
func (w *wire) lead(s *brokertest.Server) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = strings.TrimPrefix(s.URL, "nats://")
}

func (w *wire) target() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to
}

// carry passes on the end of either side, and itself ends when both have.
func (w *wire) carry(near, far net.Conn) {
	w.count(1)
	defer w.count(-1)
	var copies sync.WaitGroup
	along, read := io.Pipe()
	pipe := func(to net.Conn, from io.Reader) {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
	}
	copies.Go(func() { pipe(near, far) })
	copies.Go(func() {
		pipe(far, io.TeeReader(near, read))
		_ = read.Close()
	})
	copies.Go(func() {
		err := w.read(bufio.NewReader(along))
		_, _ = io.Copy(io.Discard, along) // else the copying would stop
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.wrong = err
		}
	})
	copies.Wait()
	_ = near.Close()
	_ = far.Close()
}

func (w *wire) count(change int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open += change
}

// awaitOpen waits until so many connections are open.
func (w *wire) awaitOpen(t testing.TB, n int) {
	t.Helper()
	brokertest.Eventually(t, fmt.Sprintf("%d connections are open", n), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.open == n
	})
}

// read takes what a NATS client sends: lines, and after one with PUB SUBJECT
// REPLY SIZE so many bytes.
func (w *wire) read(in *bufio.Reader) error {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "PUB" {
			continue
		}
		size, err := strconv.Atoi(words[len(words)-1])
		if err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		payload := make([]byte, size+2)
		if _, err := io.ReadFull(in, payload); err != nil {
			return err
		}
		if !strings.HasSuffix(words[1], "."+channel) {
			continue
		}
		if err := w.note(payload[:size]); err != nil {
			return err
		}
	}
}

func (w *wire) note(payload []byte) error {
	var message pb.PubMsg
	if err := message.Unmarshal(payload); err != nil {
		return err
	}
	var data struct {
		ID int `json:",string"`
	}
	if err := json.Unmarshal(message.Data, &data); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events[message.Guid] = data.ID
	w.sent = append(w.sent, data.ID)
	return nil
}

// acked returns the numbers of the events that a publish -o json told of.
func (w *wire) acked(p *process) []int {
	p.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wrong != nil {
		p.t.Fatalf("reading along: %v", w.wrong)
	}
	var acked []int
	for _, line := range p.out.lines() {
		var result struct{ Subject, ID string }
		if err := json.Unmarshal([]byte(line), &result); err != nil || result.Subject != channel {
			p.t.Fatalf("%s: %s: %v", p, line, err)
		}
		event, found := w.events[result.ID]
		if !found {
			p.t.Fatalf("%s: acked, and never sent: %s", p, line)
		}
		acked = append(acked, event)
	}
	return acked
}

func (w *wire) all() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

// restartKilled starts a server again that was killed. One that was killed
// while it wrote refuses to start because its store ends in the middle of a
// record; it would start with -file_truncate_bad_eof, which does the same.
func restartKilled(t testing.TB, s *brokertest.Server) {
	t.Helper()
	store := regexp.MustCompile(`Store location: (.*)`).FindStringSubmatch(s.Log())
	if store == nil {
		t.Fatalf("the server told of no store:\n%s", s.Log())
	}
	files, err := filepath.Glob(filepath.Join(store[1], channel, "subs.dat"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if whole := wholeRecords(text); whole < len(text) {
			t.Logf("%s: the last %d bytes are no record", file, len(text)-whole)
			if err := os.Truncate(file, int64(whole)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Restart()
}

// wholeRecords returns where the last complete record of a store's file ends:
// after a version of 4 bytes, each has its size in 3 bytes, a type, a checksum
// of 4 bytes, and its payload.
func wholeRecords(text []byte) int {
	end := 4
	for next := end; next <= len(text); {
		end = next
		if len(text) < end+8 {
			break
		}
		size := int(text[end]) | int(text[end+1])<<8 | int(text[end+2])<<16
		next = end + 8 + size
	}
	return min(end, len(text))
}
