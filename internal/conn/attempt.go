package conn

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
)

// patience is how long a shutdown waits for the handler before it says so, and
// blockedLimit how long for one whose output nobody reads.
const (
	patience     = 500 * time.Millisecond
	blockedLimit = 2 * time.Second
)

// An attempt is one session of a listener, from join to leave.
type attempt struct {
	*Listener
	options   link.Options
	handler   Handler              // nil with tasks
	tasks     *tasks               // nil with a handler
	blocked   func() time.Duration // of either
	refused   []broker.Acker       // guarded by mu: what came too late to be a task, and can be given back
	positions map[string]*position
	reached   bool           // the broker answered
	backend   broker.Backend // then: which it is
	traits    broker.Traits  // likewise
	session   *Conn          // set when it has joined
	places    []broker.Place // what was joined
	others    string         // further servers
	joined    bool
	lostAt    time.Time // when the session before this one was lost
	lost      error     // why the session ended, or did not begin, if a new one may do better

	// mu is held while an event is handled and acked. Leaving takes it once
	// after stopping was set: from then on, what still comes is left to others.
	mu        sync.Mutex
	stopping  bool
	enough    bool        // the handler wants no more
	failed    error       // the handler's, if it ended the listener
	latest    time.Time   // when the newest event was done with
	stalled   bool        // those left unacked of a subject fill its max in flight
	unflushed []unflushed // handled, not flushed and acked yet
	takenAt   time.Time   // when the first of them came
	clock     time.Time   // read once after each event

	ended atomic.Bool   // the listener has come to its end: failed, enough, or every subject's
	wake  chan struct{} // cap 1: ended, or an event of the end came
}

func (s *attempt) run(ctx context.Context, first bool) (End, error) {
	// What the broker sends to a connection that just broke is lost until the
	// ack wait is over. A new session gets it at once, so none is mended.
	o := s.options
	o.NoReconnect = true
	session, err := Dial(ctx, o)
	if err != nil {
		if ctx.Err() != nil {
			return EndStopped, nil
		}
		if !errors.Is(err, broker.ErrConfig) && !errors.Is(err, broker.ErrName) {
			s.lost = err
		}
		return EndStopped, err
	}
	s.reached, s.backend, s.traits = true, session.Backend(), session.Traits()
	if s.Reached != nil {
		s.Reached(session.Backend(), session.Traits(), !first)
	}
	s.latest = time.Now()
	if s.tasks != nil {
		s.tasks.begin(s.traits.Naks && (s.traits.LoneAcks || !s.ownsAllEvents()), s.signal)
		stop := context.AfterFunc(ctx, func() {
			defer fault.Exit()
			s.tasks.refuse()
		})
		defer stop()
	}
	for _, p := range s.positions {
		p.left = nil
	}
	end := EndStopped
	err = s.join(ctx, session)
	if err == nil {
		s.joined, s.session = true, session
		s.current.Store(s)
		defer s.current.Store(nil)
		if s.tasks != nil {
			s.tasks.hasJoined(s.positions)
		}
		if s.Joined != nil {
			s.Joined(s.places, !first)
		}
		end, err = s.listen(ctx, session)
	}
	if ctx.Err() != nil {
		session.Drain(patience)
	}
	told := time.AfterFunc(patience, func() {
		defer fault.Exit()
		s.options.Notify("stopping when the event in hand is done; a second signal ends at once")
	})
	locked := s.lock(ctx)
	told.Stop()
	if !locked {
		s.others = session.Others()
		return EndStopped, errors.Join(broker.Because(broker.ErrBlocked, errors.New("its output is not read")), session.Close())
	}
	if s.enough {
		end = EndEnough
	}
	s.stopping = true
	s.flush()
	failed := s.failed
	s.mu.Unlock()
	if s.tasks != nil {
		s.leaveTasks(ctx, session, failed == nil && s.mayRejoin(err, first))
	}
	s.others = session.Others()
	closing := session.Close()
	if end != EndStopped && err == nil && s.ownsAllEvents() && (!s.traits.LoneAcks || errors.Is(closing, broker.ErrLost)) {
		closing = nil // nobody has to confirm its acks: its position ends with its session
	}
	switch {
	case failed != nil:
		return EndStopped, failed
	case !comesToNothing(err) && (ctx.Err() != nil || err == nil):
		return end, closing
	case s.mayRejoin(err, first):
		s.lost = err
	}
	return EndStopped, err
}

// comesToNothing reports whether the end that was asked for can't be reached.
func comesToNothing(err error) bool {
	return errors.Is(err, broker.ErrUnfinished) || errors.Is(err, broker.ErrUntold) || errors.Is(err, broker.ErrStalled)
}

// mayRejoin reports whether a new session may do better after err.
func (s *attempt) mayRejoin(err error, first bool) bool {
	return !comesToNothing(err) && (errors.Is(err, broker.ErrLost) || errors.Is(err, broker.ErrHung) ||
		!first && (errors.Is(err, broker.ErrNoStream) || errors.Is(err, broker.ErrNoJetStream))) // they may come back
}

func (s *attempt) listen(ctx context.Context, session *Conn) (End, error) {
	looker := newLooker(s, session)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if s.ended.Load() {
			return EndReached, nil
		}
		var due <-chan time.Time
		if wait := looker.next(); wait > 0 {
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return EndStopped, nil
		case <-session.Lost():
			return EndStopped, session.Err()
		case <-s.wake:
			continue
		case <-due:
		}
		if end, over, err := looker.look(ctx); over {
			return end, err
		}
	}
}

func (s *attempt) join(ctx context.Context, session *Conn) error {
	subs, err := s.subscriptions(ctx, session)
	if err != nil {
		return err
	}
	begin := time.Now()
	s.places, err = session.Subscribe(ctx, subs)
	for i, place := range s.places { // also where another one failed
		p := s.positions[s.Subjects[i]]
		if p.joinedAt.IsZero() {
			p.joinedAt = begin
		}
		p.afresh = false
		if s.traits.PlacesNew && s.Subscription.Start.Kind == broker.StartNew && p.first == 0 && !place.Resumed {
			p.first = place.Position + 1
		}
		p.limit.Store(int64(place.MaxInFlight))
		p.origin, p.ackWait, p.from = place.Origin, place.AckWait, firstWanted(subs[i].Start, place, p.end)
	}
	return err
}

// subscriptions are what is asked for in this session. The error names all
// subjects of which no stream is there.
func (s *attempt) subscriptions(ctx context.Context, session *Conn) ([]broker.Subscription, error) {
	var missing []string
	subs := make([]broker.Subscription, len(s.Subjects))
	for i, subject := range s.Subjects {
		p := s.positions[subject]
		start, err := s.start(ctx, session, subject, p)
		switch {
		case errors.Is(err, broker.ErrNoStream) && !errors.Is(err, broker.ErrNoSuchStream):
			missing = append(missing, strconv.Quote(subject))
			continue
		case err != nil:
			return nil, err
		}
		subs[i] = s.Subscription
		sub := &subs[i]
		sub.Subject, sub.Start, sub.Size, sub.Earlier, sub.Blocked = subject, start, p.size, &p.earlier, s.blocked
		sub.GaveUp = func(sequence uint64, deliveries int) { s.gaveUp(subject, p, sequence, deliveries) }
		sub.Deliver = func(m *broker.Message, more bool) bool { return s.deliver(ctx, m, more, p) }
		if s.tasks != nil {
			sub.Open = s.tasks.held(p)
			sub.Work = func() *broker.Work { return s.tasks.handler.Work(subject) }
			sub.Deliver = func(m *broker.Message, _ bool) bool { return s.begin(ctx, m, p) }
		}
		if start.Kind == broker.StartSequence {
			p.whole.begin(start.Sequence)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%s: %w", strings.Join(missing, ", "), broker.ErrNoStream)
	}
	return subs, nil
}

// gaveUp tells of an event that nobody acked and that does not come again.
func (s *attempt) gaveUp(subject string, p *position, sequence uint64, deliveries int) {
	const few = 10
	switch n := p.givenUp.Add(1); {
	case n <= few:
		s.options.Notify(fmt.Sprintf("the broker gave up #%d of %s: it was delivered %d times and not acked, and does not come again", sequence, subject, deliveries))
	case n == few+1:
		s.options.Notify("the broker gives up more events of " + subject)
	}
}

// firstWanted is the sequence from which on events are to come to a listener
// alone, as far as it is known.
func firstWanted(start broker.Start, place broker.Place, end uint64) uint64 {
	switch start.Kind {
	case broker.StartNew:
		return end + 1
	case broker.StartLast:
		return end
	}
	return place.Position + 1
}

// end notes that the listener has come to its end.
func (s *attempt) end() {
	s.ended.Store(true)
	s.signal()
}

func (s *attempt) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// atEnd reports whether every subject has come to its end. mu is held.
func (s *attempt) atEnd() bool {
	for _, p := range s.positions {
		if !p.reached {
			return false
		}
	}
	return s.UntilEnd
}

// silentFor returns how long no event has come; 0 while one is handled.
func (s *attempt) silentFor() time.Duration {
	if !s.mu.TryLock() {
		return 0
	}
	defer s.mu.Unlock()
	return s.silence()
}

// lock takes mu, and so waits for the handler; but when the listener is to stop,
// no longer than blockedLimit for one that waits for its reader. It reports
// whether mu was taken.
func (s *attempt) lock(ctx context.Context) bool {
	locked := make(chan struct{})
	go func() {
		defer fault.Exit()
		s.mu.Lock()
		close(locked)
	}()
	limit := time.NewTicker(blockedLimit)
	defer limit.Stop()
	for {
		select {
		case <-locked:
			return true
		case <-limit.C:
			if ctx.Err() != nil && s.blocked() >= blockedLimit {
				return false
			}
		}
	}
}
