package monitor

import (
	"fmt"
	"strings"
	"time"
)

// A History remembers earlier snapshots: how fast things went, and since when
// something is as it is. A server tells neither.
type History struct {
	last    time.Time
	states  map[string]state
	numbers map[string]numbers
}

// A state is how something was, and since when.
type state struct {
	how   string
	since time.Time
}

type numbers struct{ delivered, lag uint64 }

// Add fills in what of s takes an earlier snapshot to know.
func (h *History) Add(s *Snapshot) {
	next := History{last: s.Time, states: make(map[string]state), numbers: make(map[string]numbers)}
	// lasts returns for how long it has been so, as far as was looked.
	lasts := func(key string, how ...any) time.Duration {
		now := state{fmt.Sprint(how...), s.Time}
		if before, known := h.states[key]; known && before.how == now.how {
			now.since = before.since
		}
		next.states[key] = now
		return s.Time.Sub(now.since)
	}
	seconds := s.Time.Sub(h.last).Seconds()
	change := func(key string, now numbers) (rate float64, growth int64) {
		next.numbers[key] = now
		before, known := h.numbers[key]
		if !known || seconds <= 0 {
			return 0, 0
		}
		if now.delivered > before.delivered {
			rate = float64(now.delivered-before.delivered) / seconds
		}
		return rate, int64(now.lag) - int64(before.lag)
	}
	twins := make(map[string]int) // of one client, several subscriptions may look alike
	for _, c := range s.Channels {
		c.Rate, _ = change(c.Name, numbers{delivered: c.Last})
		for _, sub := range c.Subscriptions {
			key := strings.Join([]string{c.Name, sub.Group, sub.Durable, sub.Consumer, sub.Who()}, "\x00")
			twins[key]++
			key = fmt.Sprintf("%s\x00%d", key, twins[key])
			sub.Rate, sub.Growth = change(key, numbers{sub.Delivered, sub.Lag})
			sub.Quiet = max(sub.Quiet, lasts(key, sub.Delivered, sub.Unacked))
			if lost := lasts(key+"\x00lost", sub.Lost > 0); sub.Lost > 0 {
				sub.LostFor = lost
			}
			for i := range sub.Members {
				m := &sub.Members[i]
				own := fmt.Sprintf("%s\x00%s\x00%d", key, m.Client, i)
				m.Quiet = max(m.Quiet, lasts(own, m.Delivered, m.Unacked))
				if silent := lasts("client\x00"+m.Client, m.Silent()); m.Silent() {
					m.SilentFor = silent
				}
			}
		}
	}
	*h = next
}

// silentFor is how long a client must not answer until it is called dead or
// hung: one whose connection broke is back by then (stan.go and
// node-nats-streaming connect again after 2 s), or has finished what blocked it.
const silentFor = 3 * time.Second

// Doubtful reports whether something of s may be stuck, or only looks so at
// this moment: another look, a little later, tells. What does not move for
// settled is stuck.
func (s *Snapshot) Doubtful(settled time.Duration) bool {
	for _, c := range s.Channels {
		for _, sub := range c.Subscriptions {
			if sub.Lost > 0 && (sub.Quiet < settled || sub.LostFor == 0) || sub.full() && sub.Quiet < settled {
				return true
			}
			for _, m := range sub.Members {
				if m.Silent() && m.SilentFor < silentFor || m.Stalled && m.State == Alive && sub.Lag > 0 && m.Quiet < settled {
					return true
				}
			}
		}
	}
	return false
}
