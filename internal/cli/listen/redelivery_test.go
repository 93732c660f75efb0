package listen

import (
	"testing"
	"time"
)

func TestWhyEventsCameAgain(t *testing.T) {
	t.Parallel()
	const wait = 30 * time.Second
	for want, r := range map[string]redelivery{
		"left unacked here 31s ago":        {own: 31 * time.Second, group: "g", left: []string{"a"}, broke: true},
		"not acked within 30s here":        {},
		"probably held by a until it left": {group: "g", left: []string{"a"}},
		"probably held by a, b until it left, or not acked in time by another member":   {group: "g", left: []string{"a", "b"}, others: true},
		"probably not acked in time by another member":                                  {group: "g", others: true},
		"delivered before and not acked in time; by which member is not known":          {group: "g"},
		"probably not acked within 30s here":                                            {durable: "d", fresh: true},
		"delivered before and not acked, probably by an earlier session of durable d":   {durable: "d"},
		"probably on its way here, or not acked yet, when the connection broke":         {broke: true, durable: "d"},
		"probably on its way here when the connection broke, or held by another member": {group: "g", broke: true, left: []string{"a"}},
	} {
		r.wait, r.subject, r.first, r.last, r.delivery, r.n = wait, "s", 7, 7, 2, 1
		if got := r.String(); got != "#7 of s, delivery 2: "+want {
			t.Errorf("%s, want %s", got, want)
		}
		r.n, r.last = 3, 12
		if got := r.String(); got != "#7 of s, delivery 2: "+want+"; likewise 2 more, up to #12" {
			t.Error(got)
		}
	}
}
