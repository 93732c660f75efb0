package conn

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"nats-test/internal/conn/broker"
)

// A Task is an event that is being handled. It is open until the first call of
// Ack, Return, or a Retry that returns false; further calls do nothing. Any
// goroutine may call them, also during Begin.
//
// While it is open, the event is unacked at the broker. JetStream gets in-progress
// acks. NATS Streaming has none, and delivers the event again after the ack wait: a
// copy that comes here is not handed out, but other members of the group handle
// theirs. There the ack wait must be longer than any task.
//
// A task outlives its session. If it is finished without one, or in a later one, the
// ack is sent to the same consumer of JetStream as soon as can be. Otherwise it is
// sent when a copy of the event comes.
type Task struct {
	broker.Message // as it was delivered first; without its Acker
	broker.Details

	tasks    *tasks
	position *position

	// The following is guarded by tasks.mu.
	acker    broker.Acker // of the latest delivery
	attached bool         // which is one to the session that there is
	void     bool         // the broker has lost the event
	finished bool
	acked    bool          // the outcome; else it is to be delivered again
	after    time.Duration // then: not before this delay
}

// Ack says that the event was handled.
func (t *Task) Ack() { t.finish(func() bool { t.acked = true; return true }) }

// Return gives the event back, to be delivered again, perhaps to this listener: at
// once on JetStream, after the ack wait or when the session is closed on NATS
// Streaming.
func (t *Task) Return() { t.finish(func() bool { return true }) }

// Retry has the event handled again after a delay. If held is false, the task is
// finished and the broker delivers the event again, to any member of the group:
// JetStream gets a nak, which takes no notice of the consumer's BackOff. If held is
// true, the broker does not do that and the task stays open: the caller waits and
// handles the event again. That is so on NATS Streaming, which has no naks, for a
// listener whose events are not acked, and if the broker has lost the event.
func (t *Task) Retry(after time.Duration) (held bool) {
	t.finish(func() bool {
		held = !t.tasks.naks || t.void
		if at := time.Now().Add(after); !held && at.After(t.position.retryAt) {
			t.position.retryAt = at
		}
		t.after = after
		return !held
	})
	return held
}

// finish ends an open task, unless decide says that it stays open, and sends the
// outcome, now or as soon as can be.
func (t *Task) finish(decide func() bool) {
	s := t.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.finished || s.ended || !decide() {
		return
	}
	t.finished = true
	if t.acked {
		t.position.handled.add(t.Sequence, t.Time)
	}
	s.close(t)
	s.settle(t)
}

// send sends the outcome.
func (t *Task) send() error {
	switch {
	case t.acked:
		return t.acker.Ack()
	case t.tasks.naks:
		return t.acker.Nak(t.after)
	}
	t.acker.Leave()
	return nil
}

func (t *Task) key() handledEvent { return handledEvent{t.Sequence, t.Time.UnixNano()} }

// Tasks are those of one listener, over all its sessions. Its methods may be called
// by any goroutine; mu may be taken while that of an attempt is held.
type tasks struct {
	handler TaskHandler
	limit   int // open tasks of one subject

	mu        sync.Mutex
	changed   *sync.Cond // running or accepting
	running   int        // open tasks
	latest    time.Time  // when one was finished
	naks      bool       // what was not handled goes back to the broker
	accepting bool       // more are wanted
	ended     bool       // nothing is sent any more
	unsent    int        // acks that are still to be sent
	wake      func()     // looks for the end
	finishing sync.Once
}

func newTasks(handler TaskHandler, limit int) *tasks {
	s := &tasks{handler: handler, limit: limit}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// close counts a task as no longer open. mu is held.
func (s *tasks) close(t *Task) {
	t.position.running--
	s.running--
	s.latest = time.Now()
	s.changed.Broadcast()
	if s.running == 0 && s.wake != nil {
		s.wake()
	}
}

// settle sends the outcome of a finished task and forgets it. Without a delivery to
// this session, the task is kept until one comes, or the next session can take it
// over. mu is held.
func (s *tasks) settle(t *Task) {
	if t.attached && t.send() == nil {
		delete(t.position.tasks, t.key())
		return
	}
	switch {
	case t.void:
	case t.acked:
		s.unsent++
	case !s.naks: // a copy is to be handled
		delete(t.position.tasks, t.key())
	}
}

// open opens a task for an event that none is open for. m is not kept.
func (s *tasks) open(m *broker.Message, p *position) *Task {
	t := &Task{Message: *m, Details: m.Acker.Details(), tasks: s, position: p, acker: m.Acker, attached: true}
	t.Acker = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.tasks == nil {
		p.tasks = make(map[handledEvent]*Task)
	}
	p.tasks[t.key()] = t
	p.running++
	s.running++
	return t
}

// refused takes back a task that the handler did not want. Its event stays unacked.
func (s *tasks) refused(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.finished {
		t.finished = true
		s.close(t)
		delete(t.position.tasks, t.key())
	}
}

// isCopy takes a delivery of an event that was handled or that a task is open for.
func (s *tasks) isCopy(m *broker.Message, p *position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := p.tasks[handledEvent{m.Sequence, m.Time.UnixNano()}]; t != nil {
		s.attach(t, m.Acker)
		return true
	}
	if p.handled.has(m.Sequence, m.Time) {
		_ = m.Acker.Ack() // else another copy comes
		return true
	}
	return false
}

// attach has a task be acked by another delivery. mu is held.
func (s *tasks) attach(t *Task, a broker.Acker) {
	if t.attached {
		t.acker.Drop()
	}
	t.acker, t.attached = a, true
	if t.finished {
		if t.acked {
			s.unsent--
		}
		s.settle(t)
	}
}

// held are the tasks of a subject that a new session may go on with.
func (s *tasks) held(p *position) []broker.Open {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.SortedFunc(maps.Values(p.tasks), func(a, b *Task) int { return cmp.Compare(a.Sequence, b.Sequence) })
	open := make([]broker.Open, len(all))
	for i, t := range all {
		open[i] = broker.Open{Acker: t.acker, Resume: func(a broker.Acker) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.attach(t, a)
		}}
	}
	return open
}

// hasRoom reports whether another task of a subject may be opened. With wait it
// waits for that, or until no more are wanted.
func (s *tasks) hasRoom(p *position, wait bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for wait && s.accepting && p.running >= s.limit {
		s.changed.Wait()
	}
	return p.running < s.limit
}

// begin takes tasks of a new session, until refuse.
func (s *tasks) begin(naks bool, wake func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.naks, s.wake, s.accepting = naks, wake, true
}

func (s *tasks) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepting = false
	s.changed.Broadcast()
}

// hasJoined notes that a session has taken over what it could. Of what was finished
// before, copies are known as handled.
func (s *tasks) hasJoined(positions map[string]*position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range positions {
		maps.DeleteFunc(p.tasks, func(_ handledEvent, t *Task) bool {
			over := t.finished && !t.attached
			if over && t.acked {
				s.unsent--
			}
			return over
		})
	}
}

// detach keeps what is open from a session that ends, for the next.
func (s *tasks) detach(positions map[string]*position) {
	s.refuse()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range positions {
		for _, t := range p.tasks {
			if t.attached {
				t.acker.Drop()
			}
			t.attached = false
		}
	}
}

// forget gives up the tasks of a subject whose events the broker has lost, and
// returns how many are open.
func (s *tasks) forget(p *position) (open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range p.tasks {
		t.void = true
		if t.finished && t.acked {
			s.unsent--
		}
	}
	clear(p.tasks)
	return p.running
}

// finish has the handler finish what is open, once. From then on nothing is sent. It
// returns how many acks could not be.
func (s *tasks) finish(ctx context.Context) (unsent int) {
	s.finishing.Do(func() {
		s.refuse()
		s.handler.Finish(ctx)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	return s.unsent
}

// state returns how many tasks are open, and when the latest was finished.
func (s *tasks) state() (open int, latest time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running, s.latest
}

// retryWaits reports whether an event of a subject that was given back is to come
// again, here or elsewhere.
func (s *tasks) retryWaits(p *position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(p.retryAt) < lastPause
}
