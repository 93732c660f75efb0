package cli

import (
	"testing"
	"time"
)

func TestWhyEventsCameAgain(t *testing.T) {
	const wait = 30 * time.Second
	for want, r := range map[string]redelivery{
		"left unacked here 31s ago":                                              {own: 31 * time.Second, group: "g", left: []string{"a"}},
		"not acked within 30s here":                                              {},
		"a left without acking it":                                               {group: "g", left: []string{"a"}, young: true},
		"a, b left without acking it":                                            {group: "g", left: []string{"a", "b"}, steady: true},
		"not acked within 30s by another member":                                 {group: "g", steady: true},
		"given back unacked by a member that left":                               {group: "g", young: true, steady: true},
		"not acked within 30s by another member, or given back by one that left": {group: "g"},
		"delivered before and not acked, by an earlier session of durable d":     {durable: "d", young: true},
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
