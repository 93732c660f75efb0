package worker

import (
	"cmp"
	"slices"
	"time"

	"nats-test/internal/conn/broker"
)

// A Load is what a worker has to do now.
type Load struct {
	Running int // events whose handlers run
	Waiting int // failed ones whose wait for a retry is not over, here or at the broker
}

// A failure is a failed event that is to be run again.
type failure struct {
	subject  string
	sequence uint64
	runs     int
	next     time.Time
	passed   bool // it waits at the broker
}

// pass remembers that the broker delivers an event again after a while.
func (w *Worker) pass(j *job, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.passed) == cap(w.passed) {
		w.forget(time.Now())
	}
	w.passed = append(w.passed, failure{j.task.Subject, j.task.Sequence, j.attempt, time.Now().Add(wait), true})
}

// forget forgets the failures that the broker has delivered again by now. mu is held.
func (w *Worker) forget(now time.Time) {
	w.passed = slices.DeleteFunc(w.passed, func(f failure) bool { return !f.next.After(now) })
}

// failures returns the failed events whose wait for a retry is not over. mu is held.
func (w *Worker) failures(now time.Time) []failure {
	w.forget(now)
	all := slices.Clone(w.passed)
	for j := range w.waiting {
		if runs := j.attempt - 1; runs > 0 { // else it waits because it could not be run
			all = append(all, failure{j.task.Subject, j.task.Sequence, runs, j.retryAt, false})
		}
	}
	return all
}

// Load returns what the worker has to do now.
func (w *Worker) Load() Load {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Load{Running: w.running, Waiting: len(w.failures(time.Now()))}
}

// Work returns what the worker has to tell of the events of a subject.
func (w *Worker) Work(subject string) *broker.Work {
	now := time.Now()
	w.mu.Lock()
	all, dead := w.failures(now), w.dead[subject]
	w.mu.Unlock()
	all = slices.DeleteFunc(all, func(f failure) bool { return f.subject != subject })
	slices.SortFunc(all, func(a, b failure) int { return cmp.Or(a.next.Compare(b.next), cmp.Compare(a.sequence, b.sequence)) })
	work := &broker.Work{Retries: len(all), Dead: dead}
	for _, f := range all {
		if f.passed {
			work.Passed++
		}
	}
	for _, f := range all[:min(len(all), broker.MostRetries)] {
		work.Next = append(work.Next, broker.Retry{Sequence: f.sequence, Failed: f.runs, Wait: max(0, f.next.Sub(now).Milliseconds())})
	}
	if dead > 0 && w.Letters != nil {
		work.Letters = w.Letters.Subject(subject)
	}
	return work
}
