package process

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"nats-test/internal/fault"
)

// A Starter is a [Runner] that needs no goroutine for an event.
type Starter interface {
	Runner
	// Start begins what Run does, and returns at once. done gets the outcome, once,
	// in another goroutine. It must not block: the handler's further answers wait.
	Start(e Event, done func(Outcome))
	// Cut stops the handlers at once, as Run does when its context is done.
	Cut()
}

// A loop runs long-lived handlers. There is one mutex, and no goroutine for an
// event: records are written, and answers read, in batches.
type loop struct {
	Config
	ctx     context.Context // done when the loop is closed
	cancel  context.CancelFunc
	begun   sync.Once
	running sync.WaitGroup

	mu       sync.Mutex
	handlers []*handler // a place for each worker; nil: none runs
	needed   *sync.Cond // an event waits for a handler, or the loop ends
	backlog  []*ticket  // events for which no handler has room, in order
	settled  []*ticket  // those with an outcome, to be told by release
	broken   string     // why handlers can't be started
	closed   bool
}

// NewLoop returns a runner that starts c.Argv c.Workers times, at the first
// event. A handler reads a record a line from its standard input, and writes a
// line to file descriptor 3 for each, in order:
//
//	{"ack":true}        handled; with c.Emit also {"ack":true,"emit":[RECORD, …]}
//	{"retry":"5s"}      to be tried again, in 5 s; {"retry":true}: when the policy says
//	{"dead":"why"}      never to be tried again
//
// One that ends, answers anything else, answers twice or before it was asked, or
// does not answer within c.Timeout, is stopped and started again, with a growing
// pause as long as it answers nothing. Of its events in flight, the first that it
// had not answered is a Retry; the others are Back. A second answer that comes
// when the next event was written already can't be told from that event's.
//
// It is a [Starter].
func NewLoop(c Config) Runner {
	l := &loop{Config: c.withDefaults()}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.handlers = make([]*handler, l.Workers)
	l.needed = sync.NewCond(&l.mu)
	return l
}

func (l *loop) begin() {
	l.running.Add(l.Workers)
	for i := range l.Workers {
		go l.keep(i)
	}
}

// keep keeps one handler running. After one that was cut off, the next is
// started when an event waits for it.
func (l *loop) keep(i int) {
	defer l.running.Done()
	defer fault.Exit()
	// See child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pauses := restarts()
	for l.wanted(true) {
		h, err := l.launch()
		switch {
		case err == nil:
			l.admit(i, h)
			h.serve()
			answered, reason := l.withdraw(i, h)
			if answered {
				pauses.Reset()
			}
			if reason == cutOff && !l.wanted(false) {
				return
			}
		case temporary(err):
			l.Warn("%s: it is tried again", unstarted(l.Argv, err))
		default:
			l.mu.Lock()
			l.breaks(unstarted(l.Argv, err))
			l.release()
			return
		}
		select {
		case <-time.After(pauses.NextBackOff()):
		case <-l.ctx.Done():
		}
	}
}

// wanted reports whether a handler is to be started; it waits until an event
// needs one, unless it is wanted at once.
func (l *loop) wanted(atOnce bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && l.broken == "" {
		if atOnce || len(l.backlog) > 0 {
			return true
		}
		l.needed.Wait()
	}
	return false
}

func (l *loop) admit(i int, h *handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handlers[i] = h
	if l.closed {
		h.dismiss(cutOff)
	}
	l.refill()
}

// withdraw returns whether the handler answered anything, and why it was stopped.
func (l *loop) withdraw(i int, h *handler) (answered bool, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handlers[i] = nil
	return h.answered, h.reason
}

// breaks ends the loop for all events that have no handler yet.
func (l *loop) breaks(reason string) {
	if l.broken == "" {
		l.broken = reason
	}
	l.giveUp(Outcome{Verdict: Broken, Reason: l.broken, Code: -1})
	l.needed.Broadcast()
}

func (l *loop) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		l.cancel()
		for _, h := range l.handlers {
			if h != nil {
				h.dismiss(cutOff)
			}
		}
		l.giveUp(Outcome{Verdict: Back, Reason: cutOff, Code: -1})
		l.needed.Broadcast()
	}
	l.release()
	l.running.Wait()
}

// A ticket is one event in a loop. Its fields belong to the loop's mutex until
// it is settled.
type ticket struct {
	number  uint64
	record  []byte   // until a handler has it
	handler *handler // that has it, or had
	kept    bool     // by Run
	settled bool
	out     Outcome
	done    func(Outcome)
}

var tickets = sync.Pool{New: func() any { return new(ticket) }}

func (l *loop) Run(ctx context.Context, e Event) Outcome {
	if ctx.Err() != nil {
		return Outcome{Verdict: Back, Reason: cutOff, Code: -1}
	}
	done := make(chan Outcome, 1)
	t := &ticket{number: e.Number, record: e.Record, kept: true, done: func(out Outcome) { done <- out }}
	l.enqueue(t)
	select {
	case out := <-done:
		return out
	case <-ctx.Done():
	}
	l.mu.Lock()
	switch {
	case t.settled:
	case t.handler != nil:
		t.handler.fail(cutOff)
	default:
		l.backlog = slices.DeleteFunc(l.backlog, func(other *ticket) bool { return other == t })
		l.settle(t, Outcome{Verdict: Back, Reason: cutOff, Code: -1})
	}
	l.release()
	return <-done
}

func (l *loop) Start(e Event, done func(Outcome)) {
	t := tickets.Get().(*ticket)
	*t = ticket{number: e.Number, record: e.Record, done: done}
	l.enqueue(t)
}

// enqueue hands an event to a handler that has room, has it wait for one, or
// refuses it.
func (l *loop) enqueue(t *ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	refusal := Outcome{Verdict: Broken, Reason: l.broken, Code: -1}
	switch {
	case !longLived:
		refusal.Reason = "a long-lived handler needs a file descriptor 3, which this system does not pass on"
	case l.broken != "":
	case l.closed:
		refusal = Outcome{Verdict: Back, Reason: cutOff, Code: -1}
	default:
		l.begun.Do(l.begin)
		if h := l.idlest(); h != nil && len(l.backlog) == 0 {
			h.take(t)
			return
		}
		l.backlog = append(l.backlog, t)
		l.needed.Broadcast()
		return
	}
	t.settled = true
	go func() { // who calls Start is not called back by it
		defer fault.Exit()
		t.done(refusal)
	}()
}

// refill hands events that wait to handlers that have room.
func (l *loop) refill() {
	for len(l.backlog) > 0 {
		h := l.idlest()
		if h == nil {
			return
		}
		h.take(l.backlog[0])
		l.backlog[0] = nil
		if l.backlog = l.backlog[1:]; len(l.backlog) == 0 {
			l.backlog = nil
		}
	}
}

// idlest returns the handler with the fewest events, if one has room.
func (l *loop) idlest() (best *handler) {
	for _, h := range l.handlers {
		if h != nil && h.up && h.n < l.Depth && (best == nil || h.n < best.n) {
			best = h
		}
	}
	return best
}

// giveUp gives all events that no handler has an outcome.
func (l *loop) giveUp(out Outcome) {
	for _, t := range l.backlog {
		l.settle(t, out)
	}
	l.backlog = nil
}

// settle gives an event its outcome, which release tells.
func (l *loop) settle(t *ticket, out Outcome) {
	t.out, t.settled = out, true
	l.settled = append(l.settled, t)
}

// release unlocks mu, and tells the outcomes of the events that were settled.
func (l *loop) release() {
	settled := l.settled
	l.settled = nil
	l.mu.Unlock()
	for _, t := range settled {
		t.done(t.out)
		if !t.kept {
			*t = ticket{}
			tickets.Put(t)
		}
	}
}

func (l *loop) Cut() {
	l.mu.Lock()
	defer l.release()
	for _, h := range l.handlers {
		if h != nil {
			h.fail(cutOff)
		}
	}
	l.giveUp(Outcome{Verdict: Back, Reason: cutOff, Code: -1})
}
