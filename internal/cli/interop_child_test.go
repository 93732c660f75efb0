package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"nats-test/internal/brokertest"
)

// A handledRecord is a record of an event by listen -o json or listen.js.
type handledRecord struct {
	Subject    string
	Sequence   int
	Deliveries int
	Text       string // listen.js only: the data as it came
	Data       json.RawMessage
}

// A child is a program that runs beside the test.
type child struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout childOutput
	stderr childOutput
	exited chan struct{}
	stop   func() // asks a member to close cleanly
}

// startChild runs a program until it exits or the test ends.
func startChild(t *testing.T, program string, args ...string) *child {
	t.Helper()
	cmd := exec.Command(program, args...)
	c := &child{t: t, name: strings.Join(append([]string{filepath.Base(program)}, args...), " "), cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &c.stdout, &c.stderr
	for _, v := range os.Environ() { // the developer's own broker is none of the test's business
		if !strings.HasPrefix(v, "NATS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	// For a busy machine; and a program with the race detector sleeps 1 s at its end.
	cmd.Env = append(cmd.Env, "NATS_TIMEOUT=20s", "GORACE=atexit_sleep_ms=50 "+os.Getenv("GORACE"))
	var err error
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // mustEnd checks the exit code
		close(c.exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-c.exited
		if t.Failed() {
			t.Logf("%s: %v, and wrote on stderr:\n%s", c.name, cmd.ProcessState, c.stderr.text())
		}
	})
	return c
}

// write gives the child all of its stdin.
func (c *child) write(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.stdin, text); err != nil {
		c.t.Fatalf("writing to %s: %v", c.name, err)
	}
	if err := c.stdin.Close(); err != nil {
		c.t.Fatalf("closing stdin of %s: %v", c.name, err)
	}
}

// await waits until the child's stderr holds text.
func (c *child) await(text string) {
	c.t.Helper()
	brokertest.Eventually(c.t, c.name+" says "+text, func() bool {
		if strings.Contains(c.stderr.text(), text) {
			return true
		}
		c.mustLive()
		return false
	})
}

func (c *child) ended() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// mustLive fails the test at once if the child has ended.
func (c *child) mustLive() {
	c.t.Helper()
	if c.ended() {
		c.t.Fatalf("%s ended too early", c.name)
	}
}

// mustEnd waits until the child has ended, which it must do with success.
func (c *child) mustEnd() {
	c.t.Helper()
	brokertest.Eventually(c.t, c.name+" ends", c.ended)
	if state := c.cmd.ProcessState; !state.Success() {
		c.t.Fatalf("%s: %v", c.name, state)
	}
}

// mustHandle waits until a member has ended, having handled just the events
// from to to, in order.
func (c *child) mustHandle(from, to int) {
	c.t.Helper()
	c.mustEnd()
	if got := c.sequences(); !slices.Equal(got, numbersFrom(from, to)) {
		c.t.Fatalf("%s handled %v, want #%d to #%d", c.name, got, from, to)
	}
}

// records returns the records of a child that has ended.
func (c *child) records() []handledRecord {
	c.t.Helper()
	var records []handledRecord
	for _, line := range c.stdout.lines() {
		var r handledRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			c.t.Fatalf("%s wrote %q: %v", c.name, line, err)
		}
		records = append(records, r)
	}
	return records
}

func (c *child) sequences() []int {
	c.t.Helper()
	var sequences []int
	for _, r := range c.records() {
		sequences = append(sequences, r.Sequence)
	}
	return sequences
}

// A childOutput collects a child's output while the test reads it.
type childOutput struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *childOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *childOutput) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

// lines returns the lines that are complete.
func (o *childOutput) lines() []string {
	text := o.text()
	text = text[:strings.LastIndexByte(text, '\n')+1]
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// numbersFrom returns the numbers from to to.
func numbersFrom(from, to int) []int {
	var numbers []int
	for i := from; i <= to; i++ {
		numbers = append(numbers, i)
	}
	return numbers
}

func object(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatalf("%q is no object: %v", data, err)
	}
	return o
}
