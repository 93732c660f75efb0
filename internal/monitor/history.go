package monitor

import (
	"strings"
	"time"
)

// A History remembers earlier snapshots: how fast things went, and since when
// nothing moves. A server tells neither.
type History struct {
	last  time.Time
	marks map[string]mark
}

// A mark is how far something had come.
type mark struct {
	delivered uint64
	lag       uint64
	unacked   int
	since     time.Time // when it was first seen there
	seen      time.Time
}

// Add fills in what of s takes an earlier snapshot to know.
func (h *History) Add(s *Snapshot) {
	marks := make(map[string]mark)
	elapsed := s.Time.Sub(h.last).Seconds()
	visit := func(now mark, names ...string) (quiet time.Duration, rate float64, growth int64) {
		key := strings.Join(names, "\x00")
		before, known := h.marks[key]
		now.since, now.seen = s.Time, s.Time
		if known && before.delivered == now.delivered && before.unacked == now.unacked {
			now.since = before.since
		}
		if known && elapsed > 0 && now.delivered > before.delivered {
			rate = float64(now.delivered-before.delivered) / elapsed
		}
		if known {
			growth = int64(now.lag) - int64(before.lag)
		}
		marks[key] = now
		return now.seen.Sub(now.since), rate, growth
	}
	for _, c := range s.Channels {
		_, c.Rate, _ = visit(mark{delivered: c.Last}, c.Name)
		for _, sub := range c.Subscriptions {
			watched := time.Duration(0)
			watched, sub.Rate, sub.Growth = visit(mark{delivered: sub.Delivered, lag: sub.Lag, unacked: sub.Unacked}, c.Name, sub.Who(), sub.Durable)
			if sub.Quiet == 0 {
				sub.Quiet = watched
			}
			for i := range sub.Members {
				m := &sub.Members[i]
				watched, _, _ := visit(mark{delivered: m.Delivered, unacked: m.Unacked}, c.Name, sub.Who(), sub.Durable, m.Client)
				if m.Quiet == 0 {
					m.Quiet = watched
				}
			}
		}
	}
	h.last, h.marks = s.Time, marks
}

// Doubtful reports whether something of s may be stuck, or only looks so at
// this moment: another look, a little later, tells.
func (s *Snapshot) Doubtful() bool {
	for _, c := range s.Channels {
		for _, sub := range c.Subscriptions {
			if sub.Lost > 0 && sub.Quiet < settled {
				return true
			}
			for _, m := range sub.Members {
				if m.Stalled && m.State == Alive && m.Quiet < settled {
					return true
				}
			}
		}
	}
	return false
}

// settled is for how long nothing must move until it is called stuck.
const settled = 2 * time.Second
