package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"nats-test/internal/conn"
	"nats-test/internal/monitor"
)

// A company is who shares a queue group with a listener: it tells when that
// changes, and why events come again.
type company struct {
	tell *teller
	o    *listenOptions
	// ask returns the client IDs of all members, this one's among them.
	ask func(context.Context) ([]string, error)

	members []string // as last told; nil before
	silent  bool     // that nobody can be asked was told

	mu     sync.Mutex
	again  []repeats // of each subject, to be explained
	kick   chan struct{}
	places []conn.Place
}

// repeats are events of a subject that came again, and were not explained yet.
type repeats struct {
	subject     string
	reason      string // "" if it takes a look at the members to know
	first, last uint64
	delivery    int // of the first
	n           int
	young       bool // the first was stored less than an ack wait ago
}

// How often the members are looked after. Each of them answers each other: in
// a large group less often.
const (
	companyLook = 2 * time.Second
	companySoon = 100 * time.Millisecond // after an event came again
	companyEach = 100 * time.Millisecond
)

func newCompany(tell *teller, o *listenOptions) *company {
	return &company{tell: tell, o: o, kick: make(chan struct{}, 1)}
}

// watch looks after the members until ctx is done.
func (c *company) watch(ctx context.Context) {
	for {
		begin := time.Now()
		if c.o.group != "" {
			c.look(ctx)
		}
		c.explain(nil)
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
			// Others may come at the same time, or again and again.
			if !pause(ctx, max(companySoon, companyLook/2-time.Since(begin))) {
				return
			}
		case <-time.After(max(companyLook, companyEach*time.Duration(len(c.members)))):
		}
	}
}

// look asks who is there, and tells what changed.
func (c *company) look(ctx context.Context) {
	now, err := c.ask(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		if !c.silent {
			c.silent = true
			c.tell.say("how many share group %s can't be told: %v", c.o.group, err)
		}
		return
	}
	c.silent = false
	before, total := c.members, fmt.Sprintf("%d members now", len(now))
	if len(now) == 1 {
		total = "alone now"
	}
	c.members = now
	missing := func(from, in []string) []string {
		return slices.DeleteFunc(slices.Clone(from), func(id string) bool { return slices.Contains(in, id) || id == c.o.options.ClientID })
	}
	joined, left := missing(now, before), missing(before, now)
	switch {
	case before == nil && len(now) == 1:
		c.tell.say("alone in group %s", c.o.group)
	case before == nil:
		c.tell.say("%d members share group %s: this one, %s", len(now), c.o.group, few(joined))
	default:
		if len(left) > 0 {
			c.tell.say("%s left group %s: %s", few(left), c.o.group, total)
		}
		if len(joined) > 0 {
			c.tell.say("%s joined group %s: %s", few(joined), c.o.group, total)
		}
	}
	c.explain(left)
}

// cameAgain notes an event that was delivered before. own tells that it was
// left unacked here.
func (c *company) cameAgain(m *conn.Message, own bool) {
	wait := c.ackWait(m.Subject)
	r := repeats{subject: m.Subject, first: m.Sequence, last: m.Sequence, delivery: m.Deliveries, n: 1, young: time.Since(m.Time) < wait}
	switch {
	case own:
		r.reason = fmt.Sprintf("left unacked here %v ago", wait)
	case c.o.group == "" && c.o.durable == "":
		r.reason = fmt.Sprintf("not acked within %v here", wait)
	case c.o.group == "" && r.young:
		r.reason = fmt.Sprintf("not acked by an earlier listener of durable %s", c.o.durable)
	case c.o.group == "":
		r.reason = fmt.Sprintf("not acked within %v by an earlier listener of durable %s", wait, c.o.durable)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.again, func(s repeats) bool { return s.subject == r.subject && s.reason == r.reason && s.young == r.young })
	if i >= 0 {
		s := &c.again[i]
		s.n++
		s.last = m.Sequence
		return
	}
	c.again = append(c.again, r)
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// explain tells of what came again, and why; left is who just left.
func (c *company) explain(left []string) {
	c.mu.Lock()
	again := c.again
	c.again = nil
	c.mu.Unlock()
	for _, r := range again {
		switch {
		case r.reason != "":
		case len(left) > 0:
			r.reason = few(left) + " left without acking it"
		case r.young:
			r.reason = "given back unacked by a member that left"
		default:
			r.reason = fmt.Sprintf("not acked within %v by another member", c.ackWait(r.subject))
		}
		more := ""
		if r.n > 1 {
			more = fmt.Sprintf("; likewise %d more, up to #%d", r.n-1, r.last)
		}
		c.tell.say("#%d of %s, delivery %d: %s%s", r.first, r.subject, r.delivery, r.reason, more)
	}
}

// joined notes what was joined.
func (c *company) joined(places []conn.Place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.places = places
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

// askMembers returns how to ask for the members of a listener's group. The
// monitoring port of NATS Streaming knows all; listeners answer each other.
func (o *listenOptions) askMembers(l *conn.Listener, b conn.Backend) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		if b == conn.STAN {
			ids, err := monitor.GroupMembers(ctx, o.monitorURL(), o.subjects, o.group, o.durable)
			if err == nil && slices.Contains(ids, o.options.ClientID) {
				return ids, nil
			}
		}
		return l.Members(ctx)
	}
}

// few names up to three of several.
func few(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
