package conn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// A Handler takes the events of a listener. Its methods are called by one
// goroutine at a time, whatever the number of subjects, and a shutdown waits
// for them.
type Handler interface {
	// Handle takes one event, which it must not keep. An error that wraps
	// [ErrLeave] leaves the event unacked, to be delivered again. One that
	// wraps [ErrEnough] says that it was handled, and no other is wanted. Any
	// other error leaves it unacked too, and ends the listener with that error.
	Handle(*broker.Message) error

	// Flush completes what Handle took since the last Flush. Only then are
	// those events acked; after an error none of them is, and the listener
	// ends. It is called when no further event is there yet, and every
	// [flushEvents] events or [flushAfter].
	Flush() error

	// Blocked returns for how long the handler has been waiting for somebody
	// who reads its output; 0 while it works or waits for events. It may be
	// called by any goroutine, at any time.
	Blocked() time.Duration
}

// A TaskHandler takes events as tasks, which are finished later, in any order.
type TaskHandler interface {
	// Begin takes one event. It is called by one goroutine at a time, whatever the
	// number of subjects, and should not wait for the event to be handled. No more
	// than Subscription.MaxInFlight tasks of a subject are open at a time. An error
	// that wraps [ErrEnough] says that the task was taken, and is to be the last.
	// Any other error ends the listener with it, and the event stays unacked.
	Begin(*Task) error

	// Finish waits for the open tasks, for as long as the handler sees fit. It is
	// called once, also if nothing was ever joined: when Begin is not called any
	// more, and before the session is closed, if there is one. What is open when it
	// returns goes back. ctx is that of RunTasks: if it is done, the listener was
	// stopped.
	Finish(ctx context.Context)

	// Blocked is that of [Handler]. It must not take a lock under which a method of
	// a task is called.
	Blocked() time.Duration

	// Work tells of the events of a subject what `listen status` shows. It may be
	// called by any goroutine, at any time.
	Work(subject string) *broker.Work
}

// Events are acked after flushEvents events or flushAfter, plus one event.
const (
	flushEvents = 128
	flushAfter  = 10 * time.Millisecond
)

// ErrLeave is wrapped by a handler's error if the event is to stay unacked and
// the listener is to go on.
var ErrLeave = errors.New("left unacked")

// ErrEnough is wrapped by a handler's error if the event was handled and is to
// be the last.
var ErrEnough = errors.New("enough")

// A Listener takes the events of some subjects off a broker, and joins again
// when its session is lost.
type Listener struct {
	Options link.Options
	// Subscription is what is asked for on every one of Subjects.
	Subscription broker.Subscription
	Subjects     []string

	NoAck bool // never ack

	// UntilEnd ends the listener when every event that was there when it began
	// was handled, by it or, in a group, by other members, or has been removed.
	UntilEnd bool
	// Idle ends the listener when no event came for so long; 0 is never. The
	// broker must say at that moment that none waits: an outage is not idleness.
	Idle time.Duration
	// Rest, if set, tells what is left of a group or durable where the session
	// can't: NATS Streaming tells it at its monitoring port alone.
	Rest func(ctx context.Context, s broker.Subscription, clientID string) (broker.Rest, error)

	// Persist tries the first join again, too, if it fails.
	Persist bool

	current atomic.Pointer[attempt] // the one that has joined

	// Reached, if set, is called when the broker was reached, before the
	// subjects are joined; Joined after every successful join. again is false
	// for the first.
	Reached func(b broker.Backend, t broker.Traits, again bool)
	Joined  func(places []broker.Place, again bool)
}

// End tells why a listener ended without an error.
type End int

// The ends of a listener.
const (
	EndStopped End = iota // its context was done
	EndIdle               // nothing came for Listener.Idle
	EndEnough             // the handler wanted no more
	EndReached            // all events that were there at the start have come
)

// mostLearned is how many servers are remembered beside those given: the
// addresses of a cluster may change, and those that no longer are cost time.
const mostLearned = 8

// goneFor is how long a stream may be gone while a cluster puts itself in order.
// What is gone for longer has no end to come to.
const goneFor = 30 * time.Second

// Listening reports whether the listener has joined, and its session is not lost.
func (l *Listener) Listening() bool { return l.current.Load() != nil }

// Members returns the client IDs of the listeners that share the group, by
// name, as [broker.Session] tells. The error wraps [broker.ErrLost] while nothing is joined.
func (l *Listener) Members(ctx context.Context) ([]string, error) {
	s := l.current.Load()
	if s == nil {
		return nil, broker.ErrLost
	}
	return s.session.Members(ctx)
}

// Run joins and hands events to handler until ctx is done, or an end set in l
// is reached, or an error ends it. The error of a first join wraps one of
// [Dial]'s; a session that is lost is joined again until ctx is done, unless
// Options.NoReconnect is set: then the error wraps [broker.ErrLost]. So does that of
// a session whose end the broker did not confirm, but for a listener alone that has
// come to its end: its position ends with its session. An end that can't be reached
// because of events left unacked is [broker.ErrStalled], one that others keep from
// being reached [broker.ErrUnfinished], one that nobody tells [broker.ErrUntold]. A handler that does
// not come back in time after ctx was done is [broker.ErrBlocked].
//
// The broker that was reached first is kept: where NATS Streaming was joined,
// its absence is an outage, and JetStream is no substitute.
func (l *Listener) Run(ctx context.Context, handler Handler) (End, error) {
	return l.run(ctx, handler, nil, handler.Blocked)
}

// RunTasks is Run for a handler that finishes events later. An open task is work:
// neither end is reached before it is finished, nor before what Retry gave back has
// come again. It takes no NoAck. If the session is lost for good, or breaks while
// Finish waits, what is finished later may be delivered again, and Notify is called.
func (l *Listener) RunTasks(ctx context.Context, handler TaskHandler) (End, error) {
	if l.NoAck {
		return EndStopped, broker.Because(broker.ErrConfig, errors.New("tasks are acked"))
	}
	t := newTasks(handler, l.Subscription.MaxInFlight)
	defer func() {
		if n := t.finish(ctx); n > 0 {
			l.Options.Or(link.Defaults).Notify(fmt.Sprintf("%s handled, and the acks could not be sent: these may come again", events(uint64(n))))
		}
	}()
	return l.run(ctx, nil, t, handler.Blocked)
}

// run hands events to handler, or as tasks. One of the two is nil.
func (l *Listener) run(ctx context.Context, handler Handler, t *tasks, blocked func() time.Duration) (End, error) {
	o := l.Options.Or(link.Defaults)
	o.ClientID = cmp.Or(o.ClientID, broker.NewClientID("listen"))
	o.Told = new(sync.Map)
	positions := make(map[string]*position, len(l.Subjects))
	for _, subject := range l.Subjects {
		positions[subject] = &position{handled: newHandledSet(l.Subscription.MaxInFlight, len(l.Subjects))}
	}
	pace := link.NewBackoff()
	var lostAt, gone time.Time // since when there is no stream
	for begun := false; ; {
		s := &attempt{Listener: l, options: o, handler: handler, tasks: t, blocked: blocked, positions: positions, lostAt: lostAt, wake: make(chan struct{}, 1)}
		end, err := s.run(ctx, !begun)
		begun = begun || s.joined || s.reached && errors.Is(err, broker.ErrLost)
		if s.reached {
			o.Backend = s.backend
		}
		if s.lost == nil || o.NoReconnect || !begun && !l.Persist {
			if end == EndReached {
				s.tellRemoved()
			}
			return end, err
		}
		if s.others != "" {
			o.Learned = append(o.Learned, strings.Split(s.others, ",")...) // the newest last
			o.Learned = o.Learned[max(0, len(o.Learned)-mostLearned):]
		}
		switch {
		case !errors.Is(s.lost, broker.ErrNoStream):
			gone = time.Time{}
		case gone.IsZero():
			gone = time.Now()
		case (l.UntilEnd || l.Idle > 0) && time.Since(gone) >= goneFor:
			return EndStopped, broker.Because(broker.ErrUnfinished, s.lost)
		}
		if s.joined {
			if !errors.Is(s.lost, broker.ErrGarbled) { // it would come to the same
				pace.Reset()
			}
			lostAt = time.Now()
		}
		wait := pace.NextBackOff()
		o.Notify(fmt.Sprintf("%v; joining again in %v", s.lost, wait.Round(10*time.Millisecond)))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return EndStopped, nil
		}
	}
}
