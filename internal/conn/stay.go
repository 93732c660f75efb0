package conn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A position is what a listener remembers of one subject between two sessions.
type position struct {
	sequence uint64 // newest event that came, 0 for none
	time     time.Time
	joinedAt time.Time // when the first subscription began
	origin   time.Time // when the broker began to store the subject, if it told
	end      uint64    // for UntilEnd: the sequence to come to, 0 when it has come
	handled  handledSet
}

// start returns where a new session continues. A durable keeps its position
// at the broker. Others continue after the newest event that came, but for
// groups, whose events went to several members.
func (s *stay) start(ctx context.Context, session Session, subject string, p *position) (Start, error) {
	asked := s.Subscription.Start
	began := p.origin
	if s.alone() {
		var err error
		if p.origin, err = session.Origin(ctx, subject); err != nil {
			return Start{}, err
		}
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
	sequence, at, err := session.Last(ctx, subject)
	if err != nil {
		return Start{}, err
	}
	if sequence < p.sequence || sequence == p.sequence && !at.Equal(p.time) || !began.Equal(p.origin) {
		s.options.Notify(fmt.Sprintf("%s began anew while the connection was lost, starting at its first event", subject))
		p.sequence, p.end = 0, 0
		return Start{Kind: StartAll}, nil
	}
	return Start{Kind: StartSequence, Sequence: p.sequence + 1}, nil
}

// patience is how long a shutdown waits for the handler before it says so.
const patience = 500 * time.Millisecond

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
	lost      error // why the session ended, or did not begin, if a new one may do better

	// mu is held while an event is handled and acked. Leaving takes it once
	// after stopping was set: from then on, what still comes is left to others.
	mu       sync.Mutex
	stopping bool
	enough   bool                       // the handler wants no more
	failed   error                      // the handler's, if it ended the listener
	latest   time.Time                  // when the newest event was done with
	left     map[string]map[uint64]bool // left unacked, by subject
	stalled  bool                       // those of a subject fill its max in flight
	taken    []taken                    // handled, not flushed and acked yet
	takenAt  time.Time                  // when the first of taken came
	clock    time.Time                  // read once after each event

	wake chan struct{} // cap 1: failed or an end changed
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
	s.left = make(map[string]map[uint64]bool)
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
	s.mu.Lock() // waits for the handler
	told.Stop()
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
	case ctx.Err() != nil || err == nil:
		return end, closing
	case errors.Is(err, ErrLost), errors.Is(err, ErrHung),
		!first && (errors.Is(err, ErrNoStream) || errors.Is(err, ErrNoJetStream)): // they may come back
		s.lost = err
	}
	return EndStopped, err
}

func (s *stay) listen(ctx context.Context, session Session) (End, error) {
	quiet, quietly := s.Idle, EndIdle
	if s.UntilEnd && (quiet == 0 || quiet > quietEnd) {
		quiet, quietly = quietEnd, EndReached
	}
	var silence <-chan time.Time
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	if quiet > 0 {
		silence = timer.C
	}
	for {
		if end, over := s.over(); over {
			return end, nil
		}
		select {
		case <-ctx.Done():
			return EndStopped, nil
		case <-session.Lost():
			return EndStopped, session.Err()
		case <-s.wake:
		case <-silence:
			rest := quiet - s.silentFor()
			if rest <= 0 && session.Alive(ctx) == nil && s.silentFor() >= quiet {
				switch stalled := s.isStalled(); {
				case quietly == EndReached && stalled:
					return EndStopped, ErrStalled
				case quietly != EndReached || !s.alone():
					return quietly, nil
				}
			}
			timer.Reset(max(rest, quiet/10, time.Millisecond))
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
		last, at, err := session.Last(ctx, subject)
		if err != nil {
			return err
		}
		if s.comesTo(last, at) {
			p.end = last
		}
	}
	for _, subject := range s.Subjects {
		p := s.positions[subject]
		sub := s.Subscription
		sub.Subject = subject
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
		s.places = append(s.places, place)
	}
	return nil
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
		if p.end > 0 {
			return false
		}
	}
	return s.UntilEnd
}

func (s *stay) over() (End, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.enough {
		return EndEnough, true
	}
	return EndReached, s.failed != nil || s.atEnd()
}

// silentFor returns how long no event has come. It waits for a handler.
func (s *stay) silentFor() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.latest)
}
