package cli

import (
	"fmt"
	"time"

	"nats-test/internal/monitor"
)

// A redelivery is what is known of events of one subject that came again.
type redelivery struct {
	subject     string
	first, last uint64 // sequences
	delivery    int    // of the first
	n           int
	wait        time.Duration // the ack wait

	own    time.Duration // since they were left unacked here; 0 if they were not
	young  bool          // stored less than an ack wait ago
	group  string
	steady bool     // the members of the group are the same for longer than the ack wait
	left   []string // members who have just left

	durable string // of a listener alone
}

// like reports whether the same can be said of s.
func (r redelivery) like(s redelivery) bool {
	return r.subject == s.subject && r.young == s.young && (r.own > 0) == (s.own > 0)
}

// String says why they came again, as far as that is known.
func (r redelivery) String() string {
	more := ""
	if r.n > 1 {
		more = fmt.Sprintf("; likewise %d more, up to #%d", r.n-1, r.last)
	}
	return fmt.Sprintf("#%d of %s, delivery %d: %s%s", r.first, r.subject, r.delivery, r.why(), more)
}

func (r redelivery) why() string {
	switch {
	case r.own > 0:
		return fmt.Sprintf("left unacked here %v ago", r.own)
	case r.group == "" && r.durable == "":
		return fmt.Sprintf("not acked within %v here", r.wait)
	case r.group == "":
		return "delivered before and not acked, by an earlier session of durable " + r.durable
	case len(r.left) > 0:
		return monitor.Some(r.left) + " left without acking it"
	case r.young:
		return "given back unacked by a member that left"
	case r.steady:
		return fmt.Sprintf("not acked within %v by another member", r.wait)
	}
	return fmt.Sprintf("not acked within %v by another member, or given back by one that left", r.wait)
}
