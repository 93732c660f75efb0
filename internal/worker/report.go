package worker

import (
	"time"

	"nats-test/internal/worker/process"
)

// How a run of an event ended.
const (
	Acked   = "acked" // handled
	Retried = "retry" // it is run again
	Dead    = "dead"  // its dead letter is stored
)

// A Result is the record of one run of an event.
type Result struct {
	Subject  string `json:"subject"`
	Sequence uint64 `json:"sequence"`
	ID       string `json:"id"`
	Attempt  int    `json:"attempt"`
	Outcome  string `json:"outcome"`
	Exit     *int   `json:"exit,omitempty"` // the exit code, where there is one
	Signal   string `json:"signal,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Ms       int64  `json:"ms"`

	Took time.Duration `json:"-"` // by the handler
	Age  time.Duration `json:"-"` // of the event when its run began, at least 0; -1 if it was not run
}

// Counts are how many runs ended how.
type Counts struct {
	Acked, Retried, Dead int
}

// settled counts and reports a run, and has the breaker judge it.
func (w *Worker) settled(j *job, out process.Outcome, outcome string) {
	w.mu.Lock()
	closed, opened := false, time.Duration(0)
	switch outcome {
	case Acked:
		w.counts.Acked++
		closed = w.breaker.succeeded()
	case Retried:
		w.counts.Retried++
	case Dead:
		w.counts.Dead++
		w.dead[j.task.Subject]++
		switch {
		case j.faults != nil: // says nothing about the handler
		case out.Verdict == process.Dead: // a handler that judges works
			closed = w.breaker.succeeded()
		default:
			if w.breaker.row++; w.breaker.row == w.breaker.limit {
				opened = w.breaker.pause(time.Now())
			}
		}
	}
	w.mu.Unlock()
	switch {
	case closed:
		w.Warn("the handler succeeds again: going on")
	case opened > 0:
		w.Warn("%d events in a row used up their retries, so the cause is hardly the events: pausing for %v, then trying one at a time",
			w.breaker.limit, opened.Round(100*time.Millisecond))
	}
	if w.Report != nil {
		w.Report(resultOf(j, out, outcome))
	}
}

func resultOf(j *job, out process.Outcome, outcome string) Result {
	r := Result{
		Subject: j.task.Subject, Sequence: j.task.Sequence, ID: EventID(j.task), Attempt: j.attempt,
		Outcome: outcome, Signal: out.Signal, Reason: out.Reason, Ms: out.Took.Milliseconds(),
		Took: out.Took, Age: -1,
	}
	if !j.begun.IsZero() {
		r.Age = max(0, j.begun.Sub(j.task.Time))
	}
	if out.Code >= 0 {
		r.Exit = &out.Code
	}
	return r
}

// failedProbe returns how long the breaker pauses after a run that failed while it
// was open; longer than before if that was the run to see whether the cause is gone.
func (w *Worker) failedProbe(j *job) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.breaker.open():
		return 0
	case w.breaker.probe == j:
		return w.breaker.pause(time.Now())
	}
	return time.Until(w.breaker.until)
}

// Counts returns how many runs ended how so far.
func (w *Worker) Counts() Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts
}
