//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// channel is the subject of all events. Its contract is built in.
const channel = "ticket:created"

// deadLetters is where a worker stores its dead letters.
const deadLetters = "ticket:created:dead"

// A program is one run of publish or listen.
type program struct {
	name     string // unique in its round
	args     []string
	cmd      *exec.Cmd
	killed   time.Time // by the round
	ended    bool      // the end was noticed
	seen     []record  // output of all listeners by then
	exited   chan struct{}
	exitedAt time.Time // once exited is closed
	stdout   *os.File  // read up to the last complete line
	rest     []byte
	acked    []uint64  // publish
	handled  []record  // listen
	runs     []outcome // listen with a handler
	looked   int       // of these, by awaitSettled
}

// start starts a program with its output in the round's folder. It stops with the
// round.
func (r *round) start(args ...string) *program {
	r.programs++
	p := &program{name: fmt.Sprintf("%d-%s", r.programs, args[0]), args: args, exited: make(chan struct{})}
	stdout, err := os.Create(filepath.Join(r.dir, p.name+".out"))
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = stdout.Close() }()
	stderr, err := os.Create(filepath.Join(r.dir, p.name+".err"))
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = stderr.Close() }()
	if p.stdout, err = os.Open(stdout.Name()); err != nil {
		r.Fatal(err)
	}
	args = slices.Concat(args, []string{"--server", r.url, "--monitor", r.server.Monitor, "-o", "json"})
	p.cmd = exec.Command(filepath.Join(r.bin, args[0]), args[1:]...)
	p.cmd.Env = []string{"HOME=" + r.dir, "GOTRACEBACK=all"}
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the campaign alone
	if args[0] == "publish" {
		if p.cmd.Stdin, err = os.Open(r.eventsFile()); err != nil {
			r.Fatal(err)
		}
		defer func() { _ = p.cmd.Stdin.(io.Closer).Close() }()
	}
	r.Logf("%s: %s", p.name, strings.Join(p.cmd.Args, " "))
	if err := p.cmd.Start(); err != nil {
		r.Fatal(err)
	}
	if args[0] == "listen" {
		r.listeners = append(r.listeners, p)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // exit returns the code
		p.exitedAt = time.Now()
	}()
	r.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		_ = p.stdout.Close()
	})
	return p
}

// kill ends a program as kill -9 does.
func (r *round) kill(p *program) {
	r.Logf("%s: SIGKILL", p.name)
	p.killed = time.Now()
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// terminate stops a listener as a deployment does. It first waits until it listens:
// before that, signals are not handled.
func (r *round) terminate(p *program) {
	r.awaitListening(p)
	r.Logf("%s: SIGTERM", p.name)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	const documented = 15 * time.Second
	r.awaitExit(p, documented)
}

// awaitListening waits until a listener has joined, or ended.
func (r *round) awaitListening(p *program) {
	for still := newStillness(); p.running() && !strings.Contains(r.said(p), "listening to "); r.pause(20 * time.Millisecond) {
		if still.over(0) {
			r.quit(p, fmt.Sprintf("it does not come to listen for %v", stillness))
		}
	}
}

// awaitExit waits for a program that must end within most.
func (r *round) awaitExit(p *program, most time.Duration) {
	select {
	case <-p.exited:
		return
	case <-r.ctx.Done():
		r.Fatal(context.Cause(r.ctx))
	case <-time.After(most):
	}
	r.quit(p, fmt.Sprintf("it still runs %v after SIGTERM", most))
}

// quit ends a hanging program; its stderr then shows where it hangs.
func (r *round) quit(p *program, why string) {
	r.untrue(fmt.Sprintf("%s: %s", p.name, why))
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		r.kill(p)
	}
}

func (p *program) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// exit returns the exit code, or -1 after a signal.
func (p *program) exit() int { return p.cmd.ProcessState.ExitCode() }

func (r *round) said(p *program) string {
	text, err := os.ReadFile(filepath.Join(r.dir, p.name+".err"))
	if err != nil {
		r.Fatal(err)
	}
	return string(text)
}

// read reads a program's output, up to the last complete line, since a killed one
// may leave a partial line. It returns the number of lines so far.
func (r *round) read(p *program) int {
	text, err := io.ReadAll(p.stdout)
	if err != nil {
		r.Fatal(err)
	}
	p.rest = append(p.rest, text...)
	for {
		line, rest, found := bytes.Cut(p.rest, []byte("\n"))
		if !found {
			return len(p.acked) + len(p.handled) + len(p.runs)
		}
		p.rest = rest
		if err := p.parse(line); err != nil {
			r.Fatalf("%s: %v: %s", p.name, err, line)
		}
	}
}

// parse parses a line of publish or listen -o json.
func (p *program) parse(line []byte) error {
	var line_ struct {
		Subject string
		Data    *struct{ ID string }
		outcome
	}
	if err := json.Unmarshal(line, &line_); err != nil {
		return err
	}
	if line_.Subject != channel {
		return errors.New("of another subject")
	}
	if line_.Outcome != "" {
		p.runs = append(p.runs, line_.outcome)
		return nil
	}
	if line_.Data == nil {
		p.acked = append(p.acked, line_.Sequence)
		return nil
	}
	event, err := strconv.Atoi(line_.Data.ID)
	if err != nil {
		return err
	}
	p.handled = append(p.handled, record{event, line_.Sequence})
	return nil
}
