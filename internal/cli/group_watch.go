package cli

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

// A groupWatch polls the members of the listener's queue group. It says when they
// change, and why events are redelivered ([redelivery]).
type groupWatch struct {
	tell     *console.Console
	o        *listenOptions
	listener *conn.Listener
	clients  bool          // the monitoring port names them
	now      chan struct{} // cap 1: poll at once
	done     sync.WaitGroup
	stop     context.CancelFunc // nil before it was started

	members    []string             // as last printed; nil before
	gone       map[string]time.Time // when members were found to have left
	unanswered bool                 // the members can't be asked
	byPort     bool                 // the monitoring port has listed the members

	mu     sync.Mutex
	again  []redelivery // to be explained
	places []broker.Place
	began  time.Time // when the listener first joined
	broke  time.Time // when the listener joined again after its connection broke
}

// errNoNews: the monitoring port, which listed the members before, does not answer.
var errNoNews = errors.New("no news of the members")

// How often the members are polled: more seldom when nothing changes, or when they
// are many, since each answers each other.
const (
	watchEvery      = 2 * time.Second
	watchSeldom     = 5 * time.Second
	watchEachMember = 100 * time.Millisecond
	watchSoon       = 100 * time.Millisecond // after an event was redelivered: others may follow
)

func newGroupWatch(tell *console.Console, o *listenOptions) *groupWatch {
	return &groupWatch{tell: tell, o: o, now: make(chan struct{}, 1), gone: make(map[string]time.Time)}
}

// joined notes the places that were joined, and polls the members until ctx is done
// or end is called.
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

// end stops the watch and prints the redeliveries that are not explained yet.
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
	case ctx.Err() != nil || errors.Is(err, broker.ErrLost) || errors.Is(err, broker.ErrHung) || errors.Is(err, errNoNews): // told elsewhere
		return false
	case err != nil:
		w.unanswered = true
		w.tell.Say("how many share group %s can't be told: %v", w.o.Group, err)
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
		} else if len(left) > 0 { // of those who don't answer, some may only hang
			w.tell.Say("%s left group %s, or does not answer: %s", monitor.Some(left), w.o.Group, total)
		}
		if len(joined) > 0 {
			w.tell.Say("%s joined group %s: %s", monitor.Some(joined), w.o.Group, total)
		}
	}
	w.explain()
	return changed
}

// missing are those of from that are not in others, but for this listener.
func (w *groupWatch) missing(from, others []string) []string {
	return slices.DeleteFunc(slices.Clone(from), func(id string) bool {
		return id == w.o.Options.ClientID || slices.Contains(others, id)
	})
}

// present returns the client IDs of the group's members, this one included, and a
// noun for them. The monitoring port of NATS Streaming knows all members; without
// it listeners answer each other, and other members stay unknown.
func (w *groupWatch) present(ctx context.Context) (ids []string, noun string, err error) {
	if w.clients {
		ids, err := streaming.GroupMembers(ctx, w.o.MonitorURL(), w.o.subjects, w.o.Group, w.o.Durable)
		if err == nil && slices.Contains(ids, w.o.Options.ClientID) {
			w.byPort = true
			return ids, "member", nil
		}
		if w.byPort { // listeners alone would look as if the others had left
			return nil, "", errNoNews
		}
	}
	ids, err = w.listener.Members(ctx)
	return ids, "listener", err
}

// cameAgain notes a redelivered event. left is when it was left unacked here, or
// zero.
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
			if time.Since(at) < r.wait+watchSeldom { // what it held comes when the ack wait is over
				r.left = append(r.left, id)
			}
		}
		slices.Sort(r.left)
		w.tell.Say("%s", r)
	}
}

// ackWait is that of the consumer, where there is one.
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
