package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"nats-test/internal/fault"
	"nats-test/internal/worker/process"
)

// A Backoff is the wait before a retry: Min before the first, twice as long before
// each that follows, at most Max; and up to a fifth more or less, so that many do
// not come at once.
type Backoff struct{ Min, Max time.Duration }

// wait returns the wait after the given number of runs, at least 1.
func (b Backoff) wait(runs int) time.Duration {
	wait := b.Min
	for ; runs > 1 && wait < b.Max; runs-- {
		wait *= 2
	}
	wait = min(wait, b.Max)
	return max(wait+time.Duration((rand.Float64()-0.5)*0.4*float64(wait)), time.Millisecond)
}

// handle runs the handler on one event.
func (w *Worker) handle(j *job) {
	if j.faults != nil {
		w.bury(j, process.Outcome{Verdict: process.Dead, Code: -1, Reason: j.faults.Error()})
		return
	}
	w.conclude(j, w.runner.Run(w.ctx, w.Event(j.task, j.data, j.attempt)))
}

// conclude does with an event what the outcome of its run says.
func (w *Worker) conclude(j *job, out process.Outcome) {
	if out.Verdict == process.Ack && len(out.Emit) > 0 {
		var stored bool
		if out, stored = w.emit(j, out); !stored {
			w.hold(j, 0)
			return
		}
	}
	switch out.Verdict {
	case process.Ack:
		w.settled(j, out, Acked)
		j.task.Ack()
		w.done(j)
	case process.Dead:
		w.bury(j, out)
	case process.Retry:
		if j.attempt <= w.Retries || w.pausing() {
			w.retry(j, out)
			return
		}
		w.bury(j, out)
	case process.Back:
		w.notRun(j, out)
	case process.Broken:
		w.fail(fmt.Errorf("%w: %s", ErrCommand, out.Reason))
		w.hold(j, 0)
	}
}

// pausing reports whether the breaker is open: then a failure is not the event's, and
// it keeps its chance.
func (w *Worker) pausing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.breaker.open()
}

// notRun keeps an event that was not run, or was cut off. It counts as no run.
func (w *Worker) notRun(j *job, out process.Outcome) {
	if w.ctx.Err() != nil {
		w.mu.Lock()
		w.killed++
		w.mu.Unlock()
		w.hold(j, 0)
		return
	}
	if w.loop != nil { // its handler ended at an event before it, and is started again after a pause
		w.hold(j, 0)
		return
	}
	wait := w.Backoff.wait(1)
	w.Warn("#%d of %s is not run: %s; trying again in %v", j.task.Sequence, j.task.Subject, out.Reason, wait.Round(10*time.Millisecond))
	w.hold(j, wait)
}

// retry has an event run again: by the broker, to any member; or here, where the
// broker can't be told, or where its key must not be overtaken.
func (w *Worker) retry(j *job, out process.Outcome) {
	wait := out.After
	if wait <= 0 {
		wait = w.Backoff.wait(j.attempt)
	}
	wait = max(wait, w.failedProbe(j))
	w.settled(j, out, Retried)
	of := ""
	if j.attempt <= w.Retries {
		of = fmt.Sprintf(" of %d", w.Retries+1)
	}
	w.Warn("#%d of %s: %s; run %d%s, the next in %v", j.task.Sequence, j.task.Subject, out.Reason,
		j.attempt, of, wait.Round(10*time.Millisecond))
	if w.passOn(j, wait) {
		w.pass(j, wait)
		w.done(j)
		return
	}
	j.attempt++
	w.prepare(j)
	w.hold(j, wait)
}

// passOn has the broker deliver an event again. It reports false if the event is to
// be run again here.
func (w *Worker) passOn(j *job, wait time.Duration) bool {
	if j.key != "" {
		return false
	}
	if w.Count == 0 {
		return !j.task.Retry(wait)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken >= w.Count || j.task.Retry(wait) { // the listener takes no more, and this is one of its events
		return false
	}
	w.taken--
	return true
}

// bury stores an event's dead letter, and acks the event then. It tries again while
// the broker does not take it, until the worker is to stop.
func (w *Worker) bury(j *job, out process.Outcome) {
	if w.Letters == nil {
		defer w.hold(j, 0)
		w.fail(fmt.Errorf("%w for #%d of %s, which stays unacked: %s", ErrNoDeadLetter, j.task.Sequence, j.task.Subject, out.Reason))
		return
	}
	for tries := 1; ; tries++ {
		err := w.Letters.store(w.ctx, j, out)
		if err == nil {
			break
		}
		if w.isClosing() || w.ctx.Err() != nil {
			w.Warn("#%d of %s goes back: its dead letter could not be stored: %v", j.task.Sequence, j.task.Subject, err)
			w.hold(j, 0)
			return
		}
		if errors.Is(err, errUnstorable) {
			w.fail(err)
			w.hold(j, 0)
			return
		}
		wait := Backoff{time.Second, time.Minute}.wait(tries)
		w.Warn("#%d of %s: %v; trying again in %v", j.task.Sequence, j.task.Subject, err, wait.Round(10*time.Millisecond))
		w.sleep(wait)
	}
	w.settled(j, out, Dead)
	w.Warn("#%d of %s is a dead letter in %s: %s", j.task.Sequence, j.task.Subject, w.Letters.Subject(j.task.Subject), out.Reason)
	j.task.Ack()
	w.done(j)
}

func (w *Worker) isClosing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closing || w.failed != nil
}

// sleep waits, but not beyond the begin of a shutdown.
func (w *Worker) sleep(d time.Duration) {
	ctx, cancel := context.WithTimeout(w.ctx, d)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		defer fault.Exit()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changed.Broadcast()
	})
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for ctx.Err() == nil && !w.closing && w.failed == nil {
		w.changed.Wait()
	}
}
