// Package worker runs a handler for each event of a listener and decides what
// becomes of the event: an ack, a retry, a dead letter, or back to the broker.
//
// The package's rule: an event is acked after its handler succeeded, or after its
// dead letter was stored; never before, and never in place of a retry.
package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
	"nats-test/internal/worker/process"
)

// A Config says how events are handled. Its functions may be called by several
// goroutines.
type Config struct {
	Workers int     // events that are handled at a time, at least 1
	Retries int     // runs after the first, before an event becomes a dead letter
	Backoff Backoff // the wait before a retry

	// Check returns an event's data, or why it breaks its contract: then it is a
	// dead letter at once.
	Check func(m *broker.Message) (data []byte, err error)
	// Key returns what an event has in common with those that it must not overtake,
	// "" for nothing. nil for a worker without keys.
	Key func(data []byte) string
	// Event returns an event as its handler gets it.
	Event func(t *conn.Task, data []byte, attempt int) process.Event

	// Letters stores dead letters; nil for none, and then an event that would be
	// one stops the worker.
	Letters *Letters
	// Emit stores what handlers emit; nil if they emit nothing. An error that wraps
	// [ErrNotEmitted] has it called again, another one is a failed run of the event.
	Emit func(ctx context.Context, t *conn.Task, records [][]byte) error

	Breaker int           // events in a row that use up their retries before the worker pauses; 0 is never
	Grace   time.Duration // for the handlers that run when the worker is stopped
	Count   int           // events that are acked, or dead letters; 0 is no limit

	Report func(Result)
	Warn   func(format string, args ...any)
	// Stop ends the listener. It is called once at most, with why.
	Stop func(err error)
}

// ErrKilled is wrapped by the error of a worker that was stopped, and whose grace
// was over before its handlers ended.
var ErrKilled = errors.New("handlers were killed")

// ErrCommand is wrapped by the error of a worker whose command can't be run.
var ErrCommand = errors.New("the command can't be run")

// ErrNoDeadLetter is wrapped by the error of a worker that has an event it can
// neither handle nor put aside.
var ErrNoDeadLetter = errors.New("there is no dead letter")

// A Worker is a [conn.TaskHandler].
type Worker struct {
	Config
	runner process.Runner
	loop   process.Starter // runner, if it is one

	// ctx is done when the grace is over: handlers are killed then.
	ctx    context.Context
	kill   context.CancelFunc
	active sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond        // an event is done, or the worker is to end
	ready   queue             // to be run
	lines   map[string][]*job // of each key that an event has which is not done: those behind it
	waiting map[*job]*time.Timer
	running int
	passed  []failure // failed events that the broker delivers again
	taken   int       // of Count: events that are here, or done with
	begun   bool
	closing bool
	killed  int // handlers that were cut off by the end of the grace
	failed  error
	breaker breaker
	counts  Counts
	dead    map[string]int // dead letters, by the subject of the event
}

// A job is an event on its way through the worker.
type job struct {
	task    *conn.Task
	data    []byte
	faults  error // it breaks its contract
	key     string
	attempt int           // runs, this one and those before, as far as they are known: see Begin
	retryAt time.Time     // when it is run again
	begun   time.Time     // this run, for a report
	input   process.Event // for a long-lived handler
}

// New returns a worker. [Worker.Start] is to be called before its first event.
func New(c Config) *Worker {
	w := &Worker{Config: c, lines: make(map[string][]*job), waiting: make(map[*job]*time.Timer), dead: make(map[string]int)}
	w.breaker.limit = c.Breaker
	w.changed = sync.NewCond(&w.mu)
	w.ctx, w.kill = context.WithCancel(context.Background())
	return w
}

// Start gives the worker what runs its handlers. Only the first call counts.
func (w *Worker) Start(runner process.Runner) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun || w.closing {
		return
	}
	w.begun, w.runner = true, runner
	w.loop, _ = runner.(process.Starter)
	w.advance()
}

// Begin takes an event, and never blocks.
//
// Every delivery counts as a run, since no broker tells of a delivery that failed from
// one that was given back, or lost with a member or a connection. So what is given
// back is given back at the end alone, and runs here are counted one by one.
func (w *Worker) Begin(t *conn.Task) error {
	j := &job{task: t, attempt: max(t.Deliveries, 1)}
	j.data, j.faults = w.Check(&t.Message)
	if w.Key != nil && j.faults == nil {
		j.key = w.Key(j.data)
	}
	w.prepare(j)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enqueue(j) // also if the worker has failed: Finish returns it
	w.advance()
	if w.taken++; w.taken == w.Count {
		return conn.ErrEnough
	}
	return nil
}

// prepare makes an event what a long-lived handler gets. Others get it when they start.
func (w *Worker) prepare(j *job) {
	if w.loop != nil && j.faults == nil {
		j.input = w.Event(j.task, j.data, j.attempt)
	}
}

// Blocked is 0: a handler that is slow is at work.
func (w *Worker) Blocked() time.Duration { return 0 }

// enqueue has an event run behind all others, or behind the last of its key. mu is held.
func (w *Worker) enqueue(j *job) {
	if j.key != "" {
		line, ahead := w.lines[j.key]
		if ahead {
			w.lines[j.key] = append(line, j)
			return
		}
		w.lines[j.key] = nil
	}
	w.ready.push(j)
}

// advance begins events, as long as they may be run now. mu is held.
func (w *Worker) advance() {
	for w.begun && !w.closing && w.failed == nil && w.running < w.Workers && !w.ready.empty() &&
		w.breaker.lets(w.running, w.wake) {
		j := w.ready.pop()
		w.running++
		w.breaker.probe = j // looked at while the breaker is open
		w.run(j)
	}
}

// wake begins events that a pause kept back.
func (w *Worker) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance()
}

// run begins the run of an event, and does not wait for it. mu is held.
func (w *Worker) run(j *job) {
	if w.Report != nil && j.faults == nil {
		j.begun = time.Now()
	}
	if w.loop == nil || j.faults != nil {
		w.active.Go(func() {
			defer fault.Exit()
			w.handle(j)
		})
		return
	}
	w.loop.Start(j.input, func(out process.Outcome) {
		if out.Verdict == process.Ack && len(out.Emit) == 0 {
			w.conclude(j, out)
			return
		}
		w.active.Go(func() { // it may take its time, and the handler's next answer is not to wait
			defer fault.Exit()
			w.conclude(j, out)
		})
	})
}

// done ends the way of an event whose task is finished.
func (w *Worker) done(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	if j.key != "" {
		w.free(j.key)
	}
	w.advance()
	w.changed.Broadcast()
}

// free has the next event of a key run, before those that came later. mu is held.
func (w *Worker) free(key string) {
	line := w.lines[key]
	if len(line) == 0 {
		delete(w.lines, key)
		return
	}
	w.lines[key] = line[1:]
	w.ready.urge(line[0])
}

// hold keeps an event, to be run again here after a while.
func (w *Worker) hold(j *job, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	defer w.changed.Broadcast()
	j.retryAt = time.Now().Add(wait)
	if w.closing { // Finish returns what is left
		w.ready.push(j)
		return
	}
	w.waiting[j] = time.AfterFunc(wait, func() {
		defer fault.Exit()
		w.again(j)
	})
	w.advance()
}

// again has an event run again whose wait is over, before those that came later.
func (w *Worker) again(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, waits := w.waiting[j]; !waits {
		return
	}
	delete(w.waiting, j)
	w.ready.urge(j)
	w.advance()
}
