package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"nats-test/internal/cli/connect"
	"nats-test/internal/cli/console"
	"nats-test/internal/cli/stdio"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/worker"
	"nats-test/internal/worker/process"
)

// A Listener is what the worker has to know of who listens.
type Listener struct {
	*connect.Broker
	Subjects []string
	Group    string // or durable
	AckWait  time.Duration
	// MaxInFlight is how many events a subject may hold, if the user said so; else 0.
	MaxInFlight int
	Count       int
	JSON        bool // a record for each run
	// Check returns an event's data, or why it breaks its contract.
	Check func(m *broker.Message) ([]byte, error)
	// Encode returns an event to be stored on subject as the broker gets it, or why it
	// breaks its contract.
	Encode func(subject string, data []byte) ([]byte, error)
	// Stop ends the listener.
	Stop func(error)
}

// A Run is a worker, and how it is told of.
type Run struct {
	*worker.Worker
	flags   *Flags
	l       Listener
	tell    *console.Console
	out     io.Writer
	stderr  io.Writer
	letters *worker.Letters // dead ones; nil for none
	meter   *meter          // nil without --metrics
	store   *worker.Letters // for what handlers emit
	mu      sync.Mutex      // of out
}

// Begin returns a worker that has not begun: Reached begins it.
func (f *Flags) Begin(s *console.System, tell *console.Console, l Listener) *Run {
	r := &Run{flags: f, l: l, tell: tell, out: s.Stdout, stderr: s.Stderr}
	c := worker.Config{
		Workers: f.workers * f.depth(l.MaxInFlight), Retries: f.retries, Backoff: f.wait, Grace: f.grace, Count: l.Count,
		Check: l.Check, Event: inputOf(l.Group, f.loop != ""),
		Warn: tell.Warn, Stop: l.Stop,
	}
	if f.key != "" {
		c.Key = keyOf(f.key)
	}
	if !f.noBreaker {
		c.Breaker = breakerLimit
	}
	if l.JSON || f.metrics != "" {
		c.Report = r.report
	}
	if !f.noLetters() {
		r.letters = &worker.Letters{Dial: r.dial, Subject: f.deadSubject, Group: l.Group}
		c.Letters = r.letters
	}
	if f.emit {
		r.store = &worker.Letters{Dial: r.dial, Group: l.Group}
		c.Emit = r.emit
	}
	r.Worker = worker.New(c)
	if f.metrics != "" {
		r.meter = newMeter(r.Load)
	}
	return r
}

// Finish ends the worker, and then what it used.
func (r *Run) Finish(ctx context.Context) {
	r.Worker.Finish(ctx)
	if r.store != nil {
		r.store.Close()
	}
}

// dial opens a session to store in.
func (r *Run) dial(ctx context.Context) (*conn.Conn, error) {
	o := r.l.Options
	o.ClientID, o.Stream = broker.NewClientID("listen"), ""
	return conn.Dial(ctx, o)
}

// Reached begins the worker once it is known which broker there is. The error wraps
// [console.ErrUsage] if the events need no acks.
func (r *Run) Reached(ctx context.Context, t broker.Traits, noAcks bool) error {
	if noAcks {
		return console.Explained(errors.New("on this broker a listener alone has no acks, so a failed event would not come again"), console.ErrUsage,
			"join a group with --group NAME, or keep a position of its own with --durable NAME")
	}
	if r.letters != nil {
		subjects := make([]string, len(r.l.Subjects))
		for i, subject := range r.l.Subjects {
			subjects[i] = r.flags.deadSubject(subject)
		}
		if err := r.letters.Check(ctx, subjects); err != nil {
			return fmt.Errorf("preparing for dead letters: %w", err)
		}
	}
	r.Start(r.runner(t))
	return nil
}

func (r *Run) runner(t broker.Traits) process.Runner {
	f := r.flags
	c := process.Config{
		Argv: f.argv, Timeout: f.timeout, Workers: f.workers, Depth: f.depth(r.l.MaxInFlight), Stdout: r.out, Stderr: r.stderr, Emit: f.emit, Warn: r.tell.Warn,
	}
	if r.l.JSON { // its stdout holds records
		c.Stdout = r.stderr
	}
	if !t.ExtendsWait && !f.timeoutGiven {
		c.Timeout = r.l.AckWait * 9 / 10
		r.tell.Say("a handler may take %v: this broker delivers an event again after the ack wait (--ack-wait, --exec-timeout)", c.Timeout)
	}
	switch {
	case f.loop != "":
		c.Argv = shell(f.loop)
		return process.NewLoop(c)
	case f.exec != "":
		c.Argv = shell(f.exec)
	}
	return process.NewCommand(c)
}

func shell(command string) []string {
	if runtime.GOOS == "windows" {
		return []string{"cmd", "/C", command}
	}
	return []string{"/bin/sh", "-c", command}
}

// report counts one run, and writes its record.
func (r *Run) report(result worker.Result) {
	if r.meter != nil {
		r.meter.count(result)
	}
	if !r.l.JSON {
		return
	}
	line, _ := json.Marshal(result) // its parts always marshal
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.out.Write(append(line, '\n')); err != nil {
		r.l.Stop(stdio.Unwritten(err))
	}
}

// Summary prints the totals.
func (r *Run) Summary() {
	n := r.Counts()
	r.tell.Say("handled %d %s, %d %s, %d dead %s", n.Acked, console.Plural(n.Acked, "event"),
		n.Retried, plural(n.Retried, "retry", "retries"), n.Dead, console.Plural(n.Dead, "letter"))
}

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}
