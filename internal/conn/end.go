package conn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// A looker asks the broker, now and then, whether a listener has come to its
// end. Silence is no end: only the broker's word on what is left counts, and
// one that does not answer is asked again.
type looker struct {
	*attempt
	session broker.Session
	subject map[string]*looked
	first   time.Duration // the shortest pause
	pause   time.Duration // before the next look
	told    bool          // that others are waited for
}

// looked is what the broker said of one subject.
type looked struct {
	rest  broker.Rest
	since time.Time // it has been the same since then
	held  time.Time // since then, no event from before the end was acked, as far as is known
	err   error
}

// The pause between two looks doubles while nothing happens.
const (
	firstPause = 10 * time.Millisecond
	dearPause  = 250 * time.Millisecond // likewise, where a look is a subscription
	nearPause  = 100 * time.Millisecond // events of the end came, and others go on coming
	lastPause  = time.Second
	tellPause  = 3 * time.Second // acks of one's own are no longer on their way
)

func newLooker(s *attempt, session broker.Session) *looker {
	l := &looker{attempt: s, session: session, subject: make(map[string]*looked), first: firstPause}
	if s.traits.DearRest && s.ownsAllEvents() {
		l.first = dearPause
	}
	l.pause = l.first
	return l
}

// next returns how long to wait before the next look; 0 is for ever.
func (l *looker) next() time.Duration {
	if !l.UntilEnd && l.Idle == 0 {
		return 0
	}
	silent := l.silentFor()
	switch {
	case !l.UntilEnd && silent < l.Idle:
		l.pause = l.first
		return l.Idle - silent
	case silent >= l.pause:
		l.pause = min(2*l.pause, lastPause)
	case l.nearEnd():
		l.pause = min(2*l.pause, nearPause)
	default:
		l.pause = l.first
	}
	if l.Idle > silent {
		return min(l.pause, l.Idle-silent)
	}
	return l.pause
}

// look reports whether the listener has come to an end. The error wraps
// [broker.ErrUnfinished] or [broker.ErrStalled] if it can't come to the one that was asked for.
func (l *looker) look(ctx context.Context) (end End, over bool, err error) {
	silent := l.silentFor()
	idle := l.Idle > 0 && silent >= l.Idle
	if !idle && silent < l.pause && !l.nearEnd() {
		return 0, false, nil // events come
	}
	if l.tasks != nil && silent == 0 { // an open task is work
		return 0, false, nil
	}
	l.ask(ctx)
	if ctx.Err() != nil || !l.mu.TryLock() { // an event is being handled
		return 0, false, nil
	}
	defer l.mu.Unlock()
	silent = l.silence() // an event may have come while the broker was asked
	idle = idle && silent >= l.Idle
	if l.tasks != nil && silent == 0 {
		return 0, false, nil
	}
	var open, held, busy uint64 // subjects that may still come to their end, what others hold of them, those that keep it from being idle
	untold := 0                 // of left, those of which nobody tells
	var left, back []string     // why these can't come to their end; of them, why events that wait don't come
	for _, subject := range l.Subjects {
		p, seen := l.positions[subject], l.subject[subject]
		if p.reached && !idle {
			continue
		}
		if seen == nil || seen.err != nil && !errors.Is(seen.err, broker.ErrUntold) {
			return 0, false, nil // no answer is no end
		}
		if l.ownsAllEvents() {
			p.whole.skip(seen.rest.Next)
		}
		if l.atRest(p, seen) {
			p.reached = p.reached || l.UntilEnd
			continue
		}
		waits := l.retryWaits(p)
		if why := l.judge(subject, p, seen); why != "" && !waits {
			left = append(left, why)
			if seen.err != nil {
				untold++
			} else if seen.rest.Waiting > 0 {
				back = append(back, why)
			}
			continue
		}
		if !p.reached {
			open++
		}
		if !p.reached && !waits {
			held += seen.rest.Unacked - min(seen.rest.Unacked, uint64(len(p.left)))
		}
		coming := seen.rest.Waiting+seen.rest.Behind > 0 || seen.rest.Here > uint64(len(p.left))
		if coming && !l.stalled || l.lostLately(p) || waits {
			busy++
		}
	}
	switch {
	case l.UntilEnd && open == 0 && len(left) == 0:
		return l.reached()
	case l.UntilEnd && l.stalled && silent >= lastPause:
		return EndStopped, true, broker.ErrStalled
	case l.UntilEnd && open == 0:
		if untold == len(left) {
			return EndStopped, true, broker.Because(broker.ErrUntold, listed(left))
		}
		return EndStopped, true, broker.Because(broker.ErrUnfinished, listed(left))
	case idle && busy == 0:
		return idleEnd(back)
	case held > 0 && l.UntilEnd && silent >= min(tellPause, l.Subscription.AckWait) && !l.told:
		l.told = true
		l.options.Notify(fmt.Sprintf("waiting for %s that others, or earlier sessions of this listener, hold unacked: "+
			"what is not acked comes again after the ack wait", events(held)))
	}
	return 0, false, nil
}

// reached ends a listener that came to its end. What the broker gave up on the
// way was not handled.
func (l *looker) reached() (End, bool, error) {
	var given []string
	for _, subject := range l.Subjects {
		if n := l.positions[subject].givenUp.Load(); n > 0 {
			given = append(given, fmt.Sprintf("the broker gave up %s of %s", events(n), subject))
		}
	}
	if len(given) > 0 {
		return EndStopped, true, broker.Because(broker.ErrUnfinished, listed(given))
	}
	return EndReached, true, nil
}

// tellRemoved says how many of the events that were there at the start the broker
// removed before they came: what it tells by gaps in their numbers.
func (s *attempt) tellRemoved() {
	if s.traits.Gapless || !s.ownsAllEvents() || !s.UntilEnd {
		return
	}
	for _, subject := range s.Subjects {
		p := s.positions[subject]
		if n := p.whole.lacks(p.end); n > 0 {
			s.options.Notify(fmt.Sprintf("the broker removed %s of %s before they came here: its limits let go of the oldest while others are published",
				events(n), subject))
		}
	}
}

// listed is one error of several reasons.
func listed(reasons []string) error {
	const few = 5
	if more := len(reasons) - few; more > 0 {
		reasons = append(reasons[:few:few], fmt.Sprintf("and so on for %d further subjects", more))
	}
	return errors.New(strings.Join(reasons, "; "))
}

// idleEnd ends a listener to which nothing came for Idle. What others hold is
// not its business, but events that wait and are kept back from it are.
func idleEnd(back []string) (End, bool, error) {
	if len(back) > 0 {
		return EndStopped, true, broker.Because(broker.ErrUnfinished, listed(back))
	}
	return EndIdle, true, nil
}

// silence is silentFor. mu is held.
func (s *attempt) silence() time.Duration {
	if s.tasks != nil {
		open, latest := s.tasks.state()
		if open > 0 {
			return 0
		}
		if latest.After(s.latest) {
			s.latest = latest
		}
	}
	return time.Since(s.latest)
}

// nearEnd reports whether an event came that was one of the last.
func (l *looker) nearEnd() bool {
	if !l.mu.TryLock() {
		return false
	}
	defer l.mu.Unlock()
	for _, p := range l.positions {
		if p.passed && !p.reached {
			return true
		}
	}
	return false
}

// ask asks what is left of every subject that is not at its end.
func (l *looker) ask(ctx context.Context) {
	if !l.mu.TryLock() {
		return
	}
	from := make(map[string]uint64)
	for subject, p := range l.positions {
		if !p.reached || l.Idle > 0 {
			from[subject] = max(p.sequence+1, p.from)
			if l.UntilEnd && l.ownsAllEvents() && !l.traits.Gapless { // the network may have lost some before
				from[subject] = max(p.whole.last+1, p.from)
			}
		}
	}
	l.mu.Unlock()
	const together = 16
	var group errgroup.Group
	group.SetLimit(together)
	var mu sync.Mutex
	for subject, from := range from {
		group.Go(func() error {
			defer fault.Exit()
			rest, err := l.rest(ctx, subject, from)
			mu.Lock()
			defer mu.Unlock()
			seen := l.subject[subject]
			if seen == nil || seen.rest != rest || seen.err == nil && err != nil {
				before := seen
				seen = &looked{since: time.Now(), held: time.Now()}
				if before != nil && before.rest.Through == rest.Through && before.rest.Sent >= l.positions[subject].end {
					seen.held = before.held
				}
				l.subject[subject] = seen
			}
			seen.rest, seen.err = rest, err
			return nil
		})
	}
	_ = group.Wait() // each notes its own
}

// rest asks the broker what is left of a subject, of which from is the first
// event that may not have come yet.
func (l *looker) rest(ctx context.Context, subject string, from uint64) (broker.Rest, error) {
	sub := l.Subscription
	sub.Subject = subject
	rest, err := l.session.Rest(ctx, sub, from)
	if errors.Is(err, broker.ErrUntold) && l.Rest != nil {
		if rest, err = l.Rest(ctx, sub, l.options.ClientID); err != nil {
			err = broker.Because(broker.ErrUntold, err)
		}
	}
	if errors.Is(err, broker.ErrAuth) {
		err = broker.Because(broker.ErrUntold, err)
	}
	return rest, err
}
