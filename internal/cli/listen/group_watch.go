package listen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"nats-test/internal/cli/console"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
	"nats-test/internal/monitor"
	"nats-test/internal/monitor/streaming"
)

// A groupWatch polls the members of the listener's queue group. It prints changes,
// and why events are redelivered ([redelivery]).
type groupWatch struct {
	tell     *console.Console
	o        *options
	listener *conn.Listener
	clients  bool          // the monitoring port lists the clients
	now      chan struct{} // cap 1: poll at once
	done     sync.WaitGroup
	stop     context.CancelFunc // nil before it was started

	members    []string             // as last printed; nil before the first poll
	gone       map[string]time.Time // by ID: when a member left
	unanswered bool                 // members can't be polled
	byPort     bool                 // the monitoring port has listed the members

	mu     sync.Mutex
	again  []redelivery // not yet explained
	places []broker.Place
	began  time.Time // when the listener first joined
	broke  time.Time // when the listener joined again after its connection broke
}

// errNoNews is returned when the monitoring port, which listed the members before,
// does not answer.
var errNoNews = errors.New("no news of the members")

// Intervals between polls: longer when nothing changes, or with many members, since
// every member answers every poll.
const (
	watchEvery      = 2 * time.Second
	watchSeldom     = 5 * time.Second
	watchEachMember = 100 * time.Millisecond
	watchSoon       = 100 * time.Millisecond // after an event was redelivered: others may follow
)

func newGroupWatch(tell *console.Console, o *options) *groupWatch {
	return &groupWatch{tell: tell, o: o, now: make(chan struct{}, 1), gone: make(map[string]time.Time)}
}

// joined records the places joined, and polls the members until ctx is done or end
// is called.
func (w *groupWatch) joined(ctx context.Context, l *conn.Listener, clients bool, places []broker.Place) {
	w.mu.Lock()
	if w.places != nil {
		w.broke = time.Now()
	} else {
		w.began = time.Now()
	}
	w.places = places
	w.mu.Unlock()
	if w.stop == nil && !w.tell.Quiet {
		w.listener, w.clients = l, clients
		ctx, w.stop = context.WithCancel(ctx)
		w.done.Go(func() {
			defer fault.Exit()
			w.watch(ctx)
		})
	}
	w.wake()
}

// end stops the watch and prints the redeliveries not yet explained.
func (w *groupWatch) end() {
	if w.stop != nil {
		w.stop()
		w.done.Wait()
	}
	w.explain()
}

// wake makes the watch poll at once.
func (w *groupWatch) wake() {
	select {
	case w.now <- struct{}{}:
	default:
	}
}

func (w *groupWatch) watch(ctx context.Context) {
	wait := watchEvery
	for {
		begin := time.Now()
		if w.o.Group == "" || w.unanswered {
			w.explain()
		} else if w.ask(ctx) {
			wait = watchEvery
		} else {
			wait = min(wait+watchEvery/2, watchSeldom)
		}
		select {
		case <-ctx.Done():
			return
		case <-w.now:
			if !console.Pause(ctx, max(watchSoon, watchEvery/2-time.Since(begin))) {
				return
			}
		case <-time.After(max(wait, watchEachMember*time.Duration(len(w.members)))):
		}
	}
}

// ask polls the members once, and prints who joined and who left.
func (w *groupWatch) ask(ctx context.Context) (changed bool) {
	now, noun, err := w.present(ctx)
	switch {
	case ctx.Err() != nil || errors.Is(err, broker.ErrLost) || errors.Is(err, broker.ErrHung) || errors.Is(err, errNoNews): // reported elsewhere
		return false
	case err != nil:
		w.unanswered = true
		w.tell.Say("the number of members of group %s is not known: %v", w.o.Group, err)
		w.explain()
		return false
	}
	before := w.members
	joined, left := w.missing(now, before), w.missing(before, now)
	w.members = now
	changed = before == nil || len(joined)+len(left) > 0
	for _, id := range now {
		delete(w.gone, id)
	}
	for _, id := range left {
		w.gone[id] = time.Now()
	}
	total := fmt.Sprintf("%d %ss now", len(now), noun)
	if len(now) == 1 {
		total = "no other " + noun + " now"
	}
	switch {
	case before == nil && len(now) == 1:
		w.tell.Say("no other %s shares group %s", noun, w.o.Group)
	case before == nil:
		w.tell.Say("%d %ss share group %s: this one, %s", len(now), noun, w.o.Group, monitor.Some(joined))
	default:
		if len(left) > 0 && w.byPort {
			w.tell.Say("%s left group %s: %s", monitor.Some(left), w.o.Group, total)
		} else if len(left) > 0 { // without the monitoring port, a member that does not answer may just hang
			w.tell.Say("%s left group %s, or does not answer: %s", monitor.Some(left), w.o.Group, total)
		}
		if len(joined) > 0 {
			w.tell.Say("%s joined group %s: %s", monitor.Some(joined), w.o.Group, total)
		}
	}
	w.explain()
	return changed
}

// missing returns the members in from that are not in others, without this
// listener.
func (w *groupWatch) missing(from, others []string) []string {
	return slices.DeleteFunc(slices.Clone(from), func(id string) bool {
		return id == w.o.Options.ClientID || slices.Contains(others, id)
	})
}

// present returns the client IDs of the group's members, including this one, and a
// noun for them. The monitoring port of NATS Streaming lists all members; without
// it, only listeners answer, and other programs stay unknown.
func (w *groupWatch) present(ctx context.Context) (ids []string, noun string, err error) {
	if w.clients {
		ids, err := streaming.GroupMembers(ctx, w.o.MonitorURL(), w.o.subjects, w.o.Group, w.o.Durable)
		if err == nil && slices.Contains(ids, w.o.Options.ClientID) {
			w.byPort = true
			return ids, "member", nil
		}
		if w.byPort { // without the port, only listeners answer, and others would seem to have left
			return nil, "", errNoNews
		}
	}
	ids, err = w.listener.Members(ctx)
	return ids, "listener", err
}

// cameAgain records a redelivered event. left is the time when it was left unacked
// here, or zero.
func (w *groupWatch) cameAgain(m *broker.Message, left time.Time) {
	r := redelivery{subject: m.Subject, first: m.Sequence, last: m.Sequence, delivery: m.Deliveries, n: 1, wait: w.ackWait(m.Subject)}
	if !left.IsZero() {
		r.own = max(time.Second, time.Since(left).Round(time.Second))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r.fresh = m.Time.After(w.began)
	r.broke = m.Time.Before(w.broke) && time.Since(w.broke) < 2*r.wait
	i := slices.IndexFunc(w.again, r.like)
	if i >= 0 {
		w.again[i].n++
		w.again[i].last = m.Sequence
		return
	}
	w.again = append(w.again, r)
	w.wake()
}

// explain prints why events were redelivered.
func (w *groupWatch) explain() {
	w.mu.Lock()
	again := w.again
	w.again = nil
	w.mu.Unlock()
	for _, r := range again {
		r.group, r.durable, r.others = w.o.Group, w.o.Durable, len(w.members) > 1
		for id, at := range w.gone {
			if time.Since(at) < r.wait+watchSeldom { // its events are redelivered after the ack wait
				r.left = append(r.left, id)
			}
		}
		slices.Sort(r.left)
		w.tell.Say("%s", r)
	}
}

// ackWait returns the consumer's ack wait, or the flag's without a consumer.
func (w *groupWatch) ackWait(subject string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.places {
		if p.Subject == subject && p.AckWait > 0 {
			return p.AckWait
		}
	}
	return w.o.ackWait
}
