package conn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nats-test/internal/conn/broker"
)

// unflushed is an event that was handled and waits to be acked.
type unflushed struct {
	acker    broker.Acker
	subject  string
	sequence uint64
	took     time.Duration
}

// ownsAllEvents reports whether all events come to this listener, from where it was
// told to start. A group or durable that exists has its own position.
func (s *attempt) ownsAllEvents() bool {
	return s.Subscription.Group == "" && s.Subscription.Durable == ""
}

// sizeWeight is how many events the average of their size is made of, about.
const sizeWeight = 16

// deliver has one event handled, and flushed and acked in good time. It
// returns false if the event is left to others, as all are once ctx is done.
// Without one, what was handled is flushed and acked.
func (s *attempt) deliver(ctx context.Context, m *broker.Message, more bool, p *position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	if m == nil {
		s.flush()
		return true
	}
	if ctx.Err() != nil { // none is begun after a signal, however long the one in hand took
		if len(s.unflushed) > 0 {
			s.flush()
		}
		return false
	}
	if len(s.unflushed) == 0 {
		s.clock = time.Now()
		s.takenAt = s.clock
	}
	if p.handled.has(m.Sequence, m.Time) {
		// A copy, sent because the ack was late, or lost. A server that was
		// killed may not even know that it sent it before.
		s.unflushed = append(s.unflushed, unflushed{m.Acker, m.Subject, m.Sequence, 0})
	} else {
		err := s.handler.Handle(m)
		begin := s.clock
		s.clock = time.Now()
		if errors.Is(err, ErrEnough) {
			err, s.enough, s.stopping = nil, true, true
			s.end()
		}
		if err == nil || m.Deliveries == 1 { // what is left comes again and again
			s.latest = s.clock
		}
		switch {
		case errors.Is(err, ErrLeave):
			m.Acker.Leave()
			s.leave(m, p)
		case err == nil && s.NoAck:
			m.Acker.Leave()
			s.leave(m, p)
		case err == nil:
			p.handled.add(m.Sequence, m.Time)
			s.unflushed = append(s.unflushed, unflushed{m.Acker, m.Subject, m.Sequence, s.clock.Sub(begin)})
		case err != nil:
			s.fail(err)
			return false
		}
	}
	if s.came(m, p) {
		more = false // those who decide on the end look at the acks
	}
	if !more || s.stopping || ctx.Err() != nil || len(s.unflushed) >= flushEvents || s.clock.Sub(s.takenAt) >= flushAfter {
		s.flush()
	}
	return true
}

// begin opens a task for one event, once there is room for it. It returns false if
// the event is left to others, as all are once ctx is done.
func (s *attempt) begin(ctx context.Context, m *broker.Message, p *position) bool {
	if m == nil { // tasks are acked one by one
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for wait := false; ; wait = true {
		if wait { // other subjects go on meanwhile
			s.mu.Unlock()
			s.tasks.hasRoom(p, true)
			s.mu.Lock()
		}
		if s.stopping || ctx.Err() != nil {
			if s.traits.Naks {
				s.refused = append(s.refused, m.Acker)
			}
			return false
		}
		if s.tasks.isCopy(m, p) {
			s.came(m, p)
			return true
		}
		if s.tasks.hasRoom(p, false) {
			break
		}
	}
	task := s.tasks.open(m, p)
	err := s.tasks.handler.Begin(task)
	s.latest = time.Now()
	switch {
	case errors.Is(err, ErrEnough):
		s.enough, s.stopping = true, true
		s.end()
	case err != nil:
		s.tasks.refused(task)
		s.fail(err)
		return false
	}
	s.came(m, p)
	return true
}

// leaveTasks keeps the open tasks for the next session, if there is to be one, or
// has them finished.
func (s *attempt) leaveTasks(ctx context.Context, session *Conn, rejoin bool) {
	if rejoin && ctx.Err() == nil && !s.options.NoReconnect {
		s.tasks.detach(s.positions)
		return
	}
	s.tasks.refuse()
	session.Drain(patience) // what came and was not begun goes back at once
	s.mu.Lock()
	refused := s.refused
	s.mu.Unlock()
	for _, a := range refused {
		_ = a.Nak(0)
	}
	s.tasks.finish(ctx)
}

// came notes that an event came. It reports whether that is the first of subject
// that is the end, or behind it. mu is held.
func (s *attempt) came(m *broker.Message, p *position) bool {
	if s.UntilEnd && !s.traits.Gapless {
		p.whole.add(m.Sequence)
	}
	p.size += (len(m.Data) - p.size) / sizeWeight
	if m.Sequence > p.sequence {
		p.sequence, p.time = m.Sequence, m.Time
	}
	if s.UntilEnd && !p.passed && (m.Newest || p.end > 0 && m.Sequence >= p.end) {
		p.passed = true
		// Alone, the others were handled before it, but for what the network
		// lost. Newest may be the word of a replica that lags.
		if s.tasks == nil && s.ownsAllEvents() && p.end > 0 && m.Sequence >= p.end && (s.traits.Gapless || p.whole.last >= p.end) {
			p.reached = true
			if s.atEnd() {
				s.stopping = true
				s.end()
			}
		}
		s.signal()
		return true
	}
	return false
}

// leave notes an event that stays unacked, and says so when no other can come
// because of such events. mu is held.
func (s *attempt) leave(m *broker.Message, p *position) {
	if !s.traits.LoneAcks && s.ownsAllEvents() { // its events need no acks
		return
	}
	limit := int(p.limit.Load())
	if limit == 0 { // events come before the subscription is told
		limit = s.Subscription.MaxInFlight
	}
	if p.left == nil {
		p.left = make(map[uint64]bool)
	}
	if len(p.left) < limit {
		p.left[m.Sequence] = true
	}
	if len(p.left) >= limit && !s.stalled {
		s.stalled = true
		s.options.Notify(fmt.Sprintf("%d events of %s left unacked fill --max-in-flight: no other comes until some member acks them, or it is raised",
			len(p.left), m.Subject))
	}
}

// flush completes and acks what was handled. mu is held.
func (s *attempt) flush() {
	if s.failed != nil || s.handler == nil {
		return
	}
	if err := s.handler.Flush(); err != nil {
		s.fail(err)
		return
	}
	unsent := 0
	var why error
	for _, t := range s.unflushed {
		if err := t.acker.Ack(); err != nil {
			unsent, why = unsent+1, err
		}
		if wait := s.Subscription.AckWait; !s.traits.ExtendsWait && t.took > wait*8/10 {
			s.options.Notify(fmt.Sprintf("handling #%d of %s took %v, and the ack wait is %v: a slower one is delivered "+
				"to others meanwhile (raise --ack-wait)", t.sequence, t.subject, t.took.Round(time.Millisecond), wait))
		}
	}
	if unsent > 0 {
		first, last := s.unflushed[0], s.unflushed[len(s.unflushed)-1]
		s.options.Notify(fmt.Sprintf("%d acks could not be sent (%v), of what was handled from #%d of %s to #%d of %s: these may come again",
			unsent, why, first.sequence, first.subject, last.sequence, last.subject))
	}
	clear(s.unflushed) // don't hold their memory
	s.unflushed = s.unflushed[:0]
}

// fail ends the listener, and what was handled stays unacked. mu is held.
func (s *attempt) fail(err error) {
	s.failed, s.stopping = err, true
	s.end()
}
