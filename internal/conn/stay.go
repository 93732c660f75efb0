package conn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A position is what a listener remembers of one subject between two sessions.
type position struct {
	sequence uint64 // newest event that came, 0 for none
	time     time.Time
	joinedAt time.Time // when the first subscription began
	origin   time.Time // when the broker began to store the subject, if it told
	handled  handledSet
	earlier  Earlier
	ackWait  time.Duration // the consumer's, where there is one
	from     uint64        // the first event wanted in this session

	// For UntilEnd.
	end     uint64 // the newest event at the start, 0 where that is not known
	passed  bool   // an event came that is the end, or behind it
	reached bool   // everything up to the end was handled, or is gone
	whole   run

	left map[uint64]bool // left unacked in this session
}

// A run is the events that were handled by one listener without a gap.
type run struct {
	last  uint64          // the newest of them
	ahead map[uint64]bool // those behind a gap
}

// add notes an event. Of those behind a gap it remembers so many as a group's
// other members may hold; a longer run is not told then.
func (r *run) add(sequence uint64) {
	const most = 1 << 16
	if sequence != r.last+1 {
		if r.ahead == nil {
			r.ahead = make(map[uint64]bool)
		}
		if sequence > r.last && len(r.ahead) < most {
			r.ahead[sequence] = true
		}
		return
	}
	for r.last++; r.ahead[r.last+1]; r.last++ {
		delete(r.ahead, r.last+1)
	}
}

// start returns where a new session continues. A durable keeps its position
// at the broker. Others continue after the newest event that came, but for
// groups, whose events went to several members. The error wraps
// [ErrUnfinished] if the broker has lost the end that the listener was to come to.
func (s *stay) start(ctx context.Context, session Session, subject string, p *position) (Start, error) {
	asked := s.Subscription.Start
	anew, err := s.beganAnew(ctx, session, subject, p)
	if err != nil {
		return Start{}, err
	}
	if anew {
		forgotten := fmt.Sprintf("%s began anew while the connection was lost: the broker has forgotten its events up to #%d at least",
			subject, max(p.sequence, p.end))
		if s.Subscription.Durable != "" {
			forgotten += ", and the position of the durable " + s.Subscription.Durable
		}
		if s.UntilEnd && !p.reached {
			return Start{}, because(ErrUnfinished, fmt.Errorf("%s; #%d was the newest that came here", forgotten, p.sequence))
		}
		s.options.Notify(forgotten + "; starting at its first event")
		p.sequence, p.whole, p.earlier = 0, run{}, Earlier{}
		return Start{Kind: StartAll}, nil
	}
	switch {
	case p.joinedAt.IsZero():
		return asked, nil
	case s.Subscription.Durable != "" && asked.Kind == StartNew && s.backend == JetStream:
		return Start{Kind: StartTime, Time: p.joinedAt}, nil // for a consumer that was deleted
	case s.Subscription.Durable != "":
		return asked, nil
	case asked.Kind == StartNew && (p.sequence == 0 || s.Subscription.Group != ""):
		return Start{Kind: StartTime, Time: p.joinedAt}, nil
	case s.Subscription.Group != "":
		s.options.Notify("a group without a durable keeps no position: if this was its only member, it starts over")
		return asked, nil
	case p.sequence == 0:
		return asked, nil
	}
	return Start{Kind: StartSequence, Sequence: p.sequence + 1}, nil
}

// beganAnew reports whether the broker has lost what it had stored of subject
// since this listener saw it, as NATS Streaming does that keeps events in memory
// and is restarted. What can't be asked is not taken for a loss.
func (s *stay) beganAnew(ctx context.Context, session Session, subject string, p *position) (bool, error) {
	before := p.origin
	origin, err := session.Origin(ctx, subject)
	if err != nil {
		return false, err
	}
	if !origin.IsZero() {
		p.origin = origin
	}
	seen := max(p.sequence, p.end)
	if p.joinedAt.IsZero() || seen == 0 {
		return false, nil
	}
	if !before.IsZero() && !origin.IsZero() {
		if !before.Equal(origin) {
			return true, nil
		}
		newest, err := session.End(ctx, subject) // of a stream in memory whose server was restarted
		return newest > 0 && newest < seen, err
	}
	newest, at, err := session.Find(ctx, subject, 0)
	switch {
	case errors.Is(err, ErrAuth):
		return false, nil
	case err != nil:
		return false, err
	case newest < seen:
		return true, nil
	case p.sequence == 0:
		return false, nil
	case newest > p.sequence: // others may have been stored since
		if newest, at, err = session.Find(ctx, subject, p.sequence); err != nil {
			return false, err
		}
	}
	return newest == p.sequence && !at.Equal(p.time), nil
}

// patience is how long a shutdown waits for the handler before it says so, and
// blockedLimit how long for one whose output nobody reads.
const (
	patience     = 500 * time.Millisecond
	blockedLimit = 2 * time.Second
)

// A stay is one session of a listener, from join to leave.
type stay struct {
	*Listener
	options   Options
	handler   Handler
	positions map[string]*position
	reached   bool    // the broker answered
	backend   Backend // then: which it is
	session   Session // set when it has joined
	places    []Place // what was joined
	others    string  // further servers
	joined    bool
	lostAt    time.Time // when the session before this one was lost
	lost      error     // why the session ended, or did not begin, if a new one may do better

	// mu is held while an event is handled and acked. Leaving takes it once
	// after stopping was set: from then on, what still comes is left to others.
	mu       sync.Mutex
	stopping bool
	enough   bool      // the handler wants no more
	failed   error     // the handler's, if it ended the listener
	latest   time.Time // when the newest event was done with
	stalled  bool      // those left unacked of a subject fill its max in flight
	taken    []taken   // handled, not flushed and acked yet
	takenAt  time.Time // when the first of taken came
	clock    time.Time // read once after each event

	ended atomic.Bool   // the listener has come to its end: failed, enough, or every subject's
	wake  chan struct{} // cap 1: ended, or an event of the end came
}

func (s *stay) run(ctx context.Context, first bool) (End, error) {
	// What the broker sends to a connection that just broke is lost until the
	// ack wait is over. A new session gets it at once, so none is mended.
	o := s.options
	o.NoReconnect = true
	session, err := Dial(ctx, o)
	if err != nil {
		if ctx.Err() != nil {
			return EndStopped, nil
		}
		if !errors.Is(err, ErrConfig) && !errors.Is(err, ErrName) {
			s.lost = err
		}
		return EndStopped, err
	}
	s.reached, s.backend = true, session.Backend()
	if s.Reached != nil {
		s.Reached(session.Backend(), !first)
	}
	s.latest = time.Now()
	for _, p := range s.positions {
		p.left = nil
	}
	end := EndStopped
	err = s.join(ctx, session)
	if err == nil {
		s.joined, s.session = true, session
		s.current.Store(s)
		defer s.current.Store(nil)
		if s.Joined != nil {
			s.Joined(s.places, !first)
		}
		end, err = s.listen(ctx, session)
	}
	if ctx.Err() != nil {
		session.Drain(patience)
	}
	told := time.AfterFunc(patience, func() {
		s.options.Notify("stopping when the event in hand is done; a second signal ends at once")
	})
	locked := s.lock(ctx)
	told.Stop()
	if !locked {
		s.others = session.Others()
		return EndStopped, errors.Join(because(ErrBlocked, errors.New("its output is not read")), session.Close())
	}
	if s.enough {
		end = EndEnough
	}
	s.stopping = true
	s.flush()
	failed := s.failed
	s.mu.Unlock()
	s.others = session.Others()
	closing := session.Close()
	switch {
	case failed != nil:
		return EndStopped, failed
	case errors.Is(err, ErrUnfinished), errors.Is(err, ErrStalled):
		return EndStopped, err
	case ctx.Err() != nil || err == nil:
		return end, closing
	case errors.Is(err, ErrLost), errors.Is(err, ErrHung),
		!first && (errors.Is(err, ErrNoStream) || errors.Is(err, ErrNoJetStream)): // they may come back
		s.lost = err
	}
	return EndStopped, err
}

func (s *stay) listen(ctx context.Context, session Session) (End, error) {
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

func (s *stay) join(ctx context.Context, session Session) error {
	if err := session.Covered(ctx, s.Subjects); err != nil {
		return err
	}
	for _, subject := range s.Subjects {
		p := s.positions[subject]
		if !s.UntilEnd || !p.joinedAt.IsZero() {
			continue
		}
		var err error
		if p.end, err = session.End(ctx, subject); err != nil {
			return err
		}
	}
	for _, subject := range s.Subjects {
		p := s.positions[subject]
		sub := s.Subscription
		sub.Subject, sub.Earlier, sub.Blocked = subject, &p.earlier, s.handler.Blocked
		var err error
		if sub.Start, err = s.start(ctx, session, subject, p); err != nil {
			return err
		}
		if p.joinedAt.IsZero() {
			p.joinedAt = time.Now()
		}
		place, err := session.Subscribe(ctx, sub, func(m *Message, more bool) bool { return s.deliver(ctx, m, more, p) })
		if err != nil {
			return err
		}
		p.ackWait, p.from = place.AckWait, firstWanted(sub.Start, place, p.end)
		s.places = append(s.places, place)
	}
	return nil
}

// firstWanted is the sequence from which on events are to come to a listener
// alone, as far as it is known.
func firstWanted(start Start, place Place, end uint64) uint64 {
	switch start.Kind {
	case StartNew:
		return end + 1
	case StartLast:
		return end
	}
	return place.Position + 1
}

// end notes that the listener has come to its end.
func (s *stay) end() {
	s.ended.Store(true)
	s.signal()
}

func (s *stay) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// atEnd reports whether every subject has come to its end. mu is held.
func (s *stay) atEnd() bool {
	for _, p := range s.positions {
		if !p.reached {
			return false
		}
	}
	return s.UntilEnd
}

// silentFor returns how long no event has come; 0 while one is handled.
func (s *stay) silentFor() time.Duration {
	if !s.mu.TryLock() {
		return 0
	}
	defer s.mu.Unlock()
	return time.Since(s.latest)
}

// lock takes mu, and so waits for the handler; but when the listener is to stop,
// no longer than blockedLimit for one that waits for its reader. It reports
// whether mu was taken.
func (s *stay) lock(ctx context.Context) bool {
	locked := make(chan struct{})
	go func() {
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
			if ctx.Err() != nil && s.handler.Blocked() >= blockedLimit {
				return false
			}
		}
	}
}
