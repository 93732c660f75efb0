package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"nats-test/internal/fault"
)

const (
	// startFor is how long a start is tried again that failed for want of memory,
	// processes or file descriptors.
	startFor = 10 * time.Second
	// letGo is how long a run waits for its output to be written once it was
	// stopped.
	letGo = time.Second
	// fits is what the smallest pipe holds.
	fits = 4096
	// largeEnv is how many bytes of an event's metadata may be why an environment
	// is too large; Linux allows 128 KiB a variable, and 2 MiB by default.
	largeEnv = 64 << 10
)

type commandRunner struct{ Config }

// NewCommand returns a runner that starts c.Argv for each event.
func NewCommand(c Config) Runner { return commandRunner{c.withDefaults()} }

func (c commandRunner) Close() {}

func (c commandRunner) Run(ctx context.Context, e Event) Outcome {
	begun := time.Now()
	r := &run{Config: c.Config, event: e}
	out := r.run(ctx)
	out.Took = time.Since(begun)
	return out
}

// A run is one process, for one event.
type run struct {
	Config
	event Event

	child    *child
	stdin    *os.File // what is still to be written goes here
	fed      chan struct{}
	streams  []*stream
	out, err *lines
	emitted  *records
	tail     tail
}

func (r *run) run(ctx context.Context) Outcome {
	if ctx.Err() != nil {
		return Outcome{Verdict: Back, Reason: cutOff, Code: -1}
	}
	runtime.LockOSThread() // see child
	if out := r.start(ctx); out != nil {
		runtime.UnlockOSThread()
		return *out
	}
	if r.Timeout > 0 {
		timer := time.AfterFunc(r.Timeout, func() {
			defer fault.Exit()
			r.child.stop(overdue(r.Timeout))
		})
		defer timer.Stop()
	}
	stop := context.AfterFunc(ctx, func() {
		defer fault.Exit()
		r.child.stop(cutOff)
	})
	defer stop()
	cause := r.child.wait(r.streams...)
	runtime.UnlockOSThread() // waiting below is cheaper without
	written := r.collect(ctx)
	return r.judge(cause, written)
}

func overdue(timeout time.Duration) string { return fmt.Sprintf("not done within %s", timeout) }

// start returns the outcome if there is no process.
func (r *run) start(ctx context.Context) *Outcome {
	for _, variable := range r.event.Env {
		if strings.ContainsRune(variable, 0) {
			name, _, _ := strings.Cut(variable, "=")
			return &Outcome{Verdict: Dead, Reason: fmt.Sprintf("%q has a zero byte, which no environment can hold", name), Code: -1}
		}
	}
	warned := false
	_, err := backoff.Retry(ctx, func() (_ struct{}, err error) {
		if err = r.once(); err != nil && !temporary(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(restarts()), backoff.WithMaxElapsedTime(startFor), backoff.WithNotify(func(err error, _ time.Duration) {
		if !warned {
			r.Warn("#%d: %s: it is tried again for %s", r.event.Number, unstarted(r.Argv, err), startFor)
		}
		warned = true
	}))
	size := 0
	for _, variable := range r.event.Env {
		size += len(variable)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &Outcome{Verdict: Back, Reason: cutOff, Code: -1}
	case temporary(err):
		return &Outcome{Verdict: Back, Reason: unstarted(r.Argv, err), Code: -1}
	case errors.Is(err, syscall.E2BIG) && size >= largeEnv:
		return &Outcome{Verdict: Dead, Reason: fmt.Sprintf("its headers (%d KiB) are more than an environment can hold", size>>10), Code: -1}
	}
	return &Outcome{Verdict: Broken, Reason: unstarted(r.Argv, err), Code: -1}
}

// once tries to start the process. If it fails, nothing is left open.
func (r *run) once() (err error) {
	var theirs [3]*os.File // the child's, closed by start
	defer func() {
		if err != nil {
			closeAll(append(theirs[:], r.stdin)...)
			for _, s := range r.streams {
				closeAll(s.pipe)
			}
			r.stdin, r.streams = nil, nil
		}
	}()
	if theirs[0], err = r.feed(); err != nil {
		return err
	}
	out, errs := r.outputs()
	for i, to := range []io.Writer{out, errs} {
		if to == nil {
			continue
		}
		s, end, err := newStream(to)
		if err != nil {
			return err
		}
		theirs[i+1] = end
		r.streams = append(r.streams, s)
	}
	if r.child, err = start(r.Argv, r.event.Env, theirs[0], theirs[1], theirs[2]); err != nil {
		return err
	}
	for _, s := range r.streams {
		go s.read()
	}
	if r.stdin != nil {
		r.fed = make(chan struct{})
		go r.write()
	}
	return nil
}

// feed returns the child's standard input. What fits into a pipe is in it at once.
func (r *run) feed() (*os.File, error) {
	if len(r.event.Data) == 0 {
		return nil, nil
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if len(r.event.Data) > fits {
		r.stdin = ours
		return theirs, nil
	}
	_, err = ours.Write(r.event.Data)
	return theirs, errors.Join(err, ours.Close())
}

// write writes the event's data. A handler need not read them.
func (r *run) write() {
	defer close(r.fed)
	defer fault.Exit()
	_, _ = r.stdin.Write(r.event.Data)
	_ = r.stdin.Close()
}

// outputs returns where the child's standard output and error go; nil: nowhere.
func (r *run) outputs() (out, err io.Writer) {
	out, err = r.Stdout, &r.tail
	behind := func(to io.Writer) *lines {
		l := &lines{to: to}
		l.number.Store(r.event.Number)
		return l
	}
	several := r.Workers > 1
	switch {
	case r.Emit:
		r.emitted = &records{}
		out = r.emitted
	case out != nil && several:
		r.out = behind(out)
		out = r.out
	}
	if to := r.Stderr; to != nil {
		if several {
			r.err = behind(to)
			to = r.err
		}
		err = io.MultiWriter(&r.tail, to)
	}
	return out, err
}

// collect waits for the output, and reports whether it was all written.
func (r *run) collect(ctx context.Context) bool {
	if r.stdin != nil {
		_ = r.stdin.Close()
		<-r.fed
	}
	for _, s := range r.streams {
		s.end()
	}
	if !finished(ctx, r.streams) {
		return false
	}
	for _, s := range r.streams {
		if s.held {
			r.Warn("#%d: a process that it left behind holds its output open, which is no longer read", r.event.Number)
			break
		}
	}
	for _, l := range []*lines{r.out, r.err} {
		if l != nil {
			l.close()
		}
	}
	return true
}

// finished waits for streams that were ended, and a moment only once ctx is
// done: their output may go where nobody reads it.
func finished(ctx context.Context, streams []*stream) bool {
	for _, s := range streams {
		select {
		case <-s.done:
			continue
		case <-ctx.Done():
		}
		timer := time.NewTimer(letGo)
		defer timer.Stop()
		select {
		case <-s.done:
		case <-timer.C:
			return false
		}
	}
	return true
}

func (r *run) judge(cause string, written bool) Outcome {
	code, signal, reason := r.child.exit()
	out := Outcome{Verdict: Retry, Reason: reason, Code: code, Signal: signal}
	switch {
	case cause == cutOff:
		out.Verdict, out.Reason = Back, cause
	case cause != "":
		out.Reason = cause
	case code == 0 && r.emitted == nil:
		return Outcome{Verdict: Ack}
	case code == 0 && !written:
		out.Verdict, out.Reason = Back, cutOff
	case code == 0:
		if r.emitted.line(); r.emitted.over == "" {
			return Outcome{Verdict: Ack, Emit: r.emitted.all}
		}
		out.Reason = r.emitted.over
	case code == exitDataErr:
		out.Verdict = Dead
	case code == exitNoExec || code == exitNoFile:
		out.Verdict, out.Reason = Broken, unfound(r.Argv, code)
	}
	out.Stderr = r.tail.end()
	return out
}

// restarts returns the pauses before something is started again.
func restarts() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 100*time.Millisecond, 10*time.Second
	return b
}
