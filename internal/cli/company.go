package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
	"nats-test/internal/monitor"
	"nats-test/internal/monitor/streaming"
)

// A company is who shares a queue group with a listener. It tells when that
// changes, and why events come again ([redelivery]).
type company struct {
	tell     *teller
	o        *listenOptions
	listener *conn.Listener
	backend  broker.Backend
	kick     chan struct{} // cap 1: look now
	done     sync.WaitGroup
	stop     context.CancelFunc // nil before it was started

	members []string             // as last told; nil before
	gone    map[string]time.Time // when members were found to have left
	mute    bool                 // nobody can be asked
	byPort  bool                 // the monitoring port told of the members

	mu     sync.Mutex
	again  []redelivery // to be explained
	places []broker.Place
	began  time.Time // when the listener first joined
	broke  time.Time // when the listener joined again after its connection broke
}

// errNoNews: who told of the members does not answer.
var errNoNews = errors.New("no news of the members")

// How often the members are looked after: soon after a change, and more seldom
// when there is none, or when they are many, since each answers each other.
const (
	companyLook   = 2 * time.Second
	companySeldom = 5 * time.Second
	companyEach   = 100 * time.Millisecond // a member
	companySoon   = 100 * time.Millisecond // after an event came again: others may follow
)

func newCompany(tell *teller, o *listenOptions) *company {
	return &company{tell: tell, o: o, kick: make(chan struct{}, 1), gone: make(map[string]time.Time)}
}

// joined notes what was joined, and begins to look after the members, until
// ctx is done or end is called.
func (c *company) joined(ctx context.Context, l *conn.Listener, b broker.Backend, places []broker.Place) {
	c.mu.Lock()
	if c.places != nil {
		c.broke = time.Now()
	} else {
		c.began = time.Now()
	}
	c.places = places
	c.mu.Unlock()
	if c.stop == nil && !c.tell.quiet {
		c.listener, c.backend = l, b
		ctx, c.stop = context.WithCancel(ctx)
		c.done.Go(func() {
			defer fault.Exit()
			c.watch(ctx)
		})
	}
	c.look()
}

// end stops the watch and tells what is left to tell.
func (c *company) end() {
	if c.stop != nil {
		c.stop()
		c.done.Wait()
	}
	c.explain()
}

// look has the watch look now.
func (c *company) look() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

func (c *company) watch(ctx context.Context) {
	wait := companyLook
	for {
		begin := time.Now()
		if c.o.group == "" || c.mute {
			c.explain()
		} else if c.ask(ctx) {
			wait = companyLook
		} else {
			wait = min(wait+companyLook/2, companySeldom)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
			if !pause(ctx, max(companySoon, companyLook/2-time.Since(begin))) {
				return
			}
		case <-time.After(max(wait, companyEach*time.Duration(len(c.members)))):
		}
	}
}

// ask finds out who is there, and tells what changed, if something did.
func (c *company) ask(ctx context.Context) (changed bool) {
	now, noun, err := c.present(ctx)
	switch {
	case ctx.Err() != nil || errors.Is(err, broker.ErrLost) || errors.Is(err, broker.ErrHung) || errors.Is(err, errNoNews): // told elsewhere
		return false
	case err != nil:
		c.mute = true
		c.tell.say("how many share group %s can't be told: %v", c.o.group, err)
		c.explain()
		return false
	}
	before := c.members
	joined, left := c.missing(now, before), c.missing(before, now)
	c.members = now
	changed = before == nil || len(joined)+len(left) > 0
	for _, id := range now {
		delete(c.gone, id)
	}
	for _, id := range left {
		c.gone[id] = time.Now()
	}
	total := fmt.Sprintf("%d %ss now", len(now), noun)
	if len(now) == 1 {
		total = "no other " + noun + " now"
	}
	switch {
	case before == nil && len(now) == 1:
		c.tell.say("no other %s shares group %s", noun, c.o.group)
	case before == nil:
		c.tell.say("%d %ss share group %s: this one, %s", len(now), noun, c.o.group, monitor.Some(joined))
	default:
		if len(left) > 0 && c.byPort {
			c.tell.say("%s left group %s: %s", monitor.Some(left), c.o.group, total)
		} else if len(left) > 0 { // of those who don't answer, some may only hang
			c.tell.say("%s left group %s, or does not answer: %s", monitor.Some(left), c.o.group, total)
		}
		if len(joined) > 0 {
			c.tell.say("%s joined group %s: %s", monitor.Some(joined), c.o.group, total)
		}
	}
	c.explain()
	return changed
}

// missing are those of from that are not in others, but for this listener.
func (c *company) missing(from, others []string) []string {
	return slices.DeleteFunc(slices.Clone(from), func(id string) bool {
		return id == c.o.options.ClientID || slices.Contains(others, id)
	})
}

// present returns the client IDs of those who share the group, this one among
// them, and what they are to be called. The monitoring port of NATS Streaming
// knows all members; else listeners answer each other, and others are not known.
func (c *company) present(ctx context.Context) (ids []string, noun string, err error) {
	if c.backend == broker.STAN {
		ids, err := streaming.GroupMembers(ctx, c.o.monitorURL(), c.o.subjects, c.o.group, c.o.durable)
		if err == nil && slices.Contains(ids, c.o.options.ClientID) {
			c.byPort = true
			return ids, "member", nil
		}
		if c.byPort { // listeners alone would look as if the others had left
			return nil, "", errNoNews
		}
	}
	ids, err = c.listener.Members(ctx)
	return ids, "listener", err
}

// cameAgain notes an event that was delivered before; left is when it was left
// unacked here, the zero time if it was not.
func (c *company) cameAgain(m *broker.Message, left time.Time) {
	r := redelivery{subject: m.Subject, first: m.Sequence, last: m.Sequence, delivery: m.Deliveries, n: 1, wait: c.ackWait(m.Subject)}
	if !left.IsZero() {
		r.own = max(time.Second, time.Since(left).Round(time.Second))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r.fresh = m.Time.After(c.began)
	r.broke = m.Time.Before(c.broke) && time.Since(c.broke) < 2*r.wait
	i := slices.IndexFunc(c.again, r.like)
	if i >= 0 {
		c.again[i].n++
		c.again[i].last = m.Sequence
		return
	}
	c.again = append(c.again, r)
	c.look()
}

// explain tells of what came again.
func (c *company) explain() {
	c.mu.Lock()
	again := c.again
	c.again = nil
	c.mu.Unlock()
	for _, r := range again {
		r.group, r.durable, r.others = c.o.group, c.o.durable, len(c.members) > 1
		for id, at := range c.gone {
			if time.Since(at) < r.wait+companySeldom { // what it held comes when the ack wait is over
				r.left = append(r.left, id)
			}
		}
		slices.Sort(r.left)
		c.tell.say("%s", r)
	}
}

// ackWait is that of the consumer, where there is one.
func (c *company) ackWait(subject string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.places {
		if p.Subject == subject && p.AckWait > 0 {
			return p.AckWait
		}
	}
	return c.o.ackWait
}
