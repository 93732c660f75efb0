package listen

import (
	"fmt"
	"time"

	"nats-test/internal/monitor"
)

// A redelivery describes the redelivered events of one subject.
type redelivery struct {
	subject     string
	first, last uint64 // sequences
	delivery    int    // of the first event
	n           int
	wait        time.Duration // the ack wait

	own    time.Duration // since they were left unacked here, or 0
	broke  bool          // stored before this listener's connection last broke
	group  string
	others bool     // there are other members
	left   []string // members that left within the ack wait

	durable string // of a listener without a group
	fresh   bool   // stored after the listener started
}

// like reports whether r and s have the same cause.
func (r redelivery) like(s redelivery) bool {
	return r.subject == s.subject && r.broke == s.broke && r.fresh == s.fresh && (r.own > 0) == (s.own > 0)
}

// String describes the events and the cause in one line.
func (r redelivery) String() string {
	more := ""
	if r.n > 1 {
		more = fmt.Sprintf("; likewise %d more, up to #%d", r.n-1, r.last)
	}
	return fmt.Sprintf("#%d of %s, delivery %d: %s%s", r.first, r.subject, r.delivery, r.why(), more)
}

// why returns the likely cause, worded as a guess unless this listener knows it: no
// broker tells who held an event before.
func (r redelivery) why() string {
	switch {
	case r.own > 0:
		return fmt.Sprintf("left unacked here %v ago", r.own)
	case r.broke && r.group == "":
		return "probably on its way here, or not acked yet, when the connection broke"
	case r.broke:
		return "probably on its way here when the connection broke, or held by another member"
	case r.group == "" && r.durable == "":
		return fmt.Sprintf("not acked within %v here", r.wait)
	case r.group == "" && r.fresh:
		return fmt.Sprintf("probably not acked within %v here", r.wait)
	case r.group == "":
		return "delivered before and not acked, probably by an earlier session of durable " + r.durable
	case len(r.left) > 0 && r.others:
		return "probably held by " + monitor.Some(r.left) + " until it left, or not acked in time by another member"
	case len(r.left) > 0:
		return "probably held by " + monitor.Some(r.left) + " until it left"
	case r.others:
		return "probably not acked in time by another member"
	}
	return "delivered before and not acked in time; by which member is not known"
}
