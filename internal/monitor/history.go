package monitor

import (
	"fmt"
	"strings"
	"time"
)

// A History remembers earlier snapshots. Servers report neither rates nor since when
// something has been unchanged.
type History struct {
	last    time.Time
	states  map[string]state
	lost    map[string]int // lowest number of lost events since there were some
	numbers map[string]numbers
}

// A state is a value, and since when it has been so.
type state struct {
	how   string
	since time.Time
	moved bool // it differed in an earlier snapshot
}

type numbers struct{ delivered, lag uint64 }

// Add sets the fields of s that depend on earlier snapshots.
func (h *History) Add(s *Snapshot) {
	next := History{last: s.Time, states: make(map[string]state), lost: make(map[string]int), numbers: make(map[string]numbers)}
	// lasts returns for how long a value has been unchanged, as far as was seen, and
	// whether it was different before.
	lasts := func(key string, how ...any) (lasted time.Duration, moved bool) {
		now := state{how: fmt.Sprint(how...), since: s.Time}
		if before, known := h.states[key]; known {
			now.moved = before.moved || before.how != now.how
			if before.how == now.how {
				now.since = before.since
			}
		}
		next.states[key] = now
		return s.Time.Sub(now.since), now.moved
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
	twins := make(map[string]int) // a client may have several identical subscriptions
	for _, c := range s.Channels {
		c.Rate, _ = change(c.Name, numbers{delivered: c.Last})
		for _, sub := range c.Subscriptions {
			key := strings.Join([]string{c.Name, sub.Group, sub.Durable, sub.Consumer, sub.Who()}, "\x00")
			twins[key]++
			key = fmt.Sprintf("%s\x00%d", key, twins[key])
			sub.Rate, sub.Growth = change(key, numbers{sub.Delivered, sub.Lag})
			quiet, moved := lasts(key, sub.Delivered, sub.Unacked)
			sub.Quiet, sub.moved = max(sub.Quiet, quiet), moved
			// Acks in flight look like lost events, but then the ack floor moves. Only events
			// below an ack floor that stays are lost.
			if least, known := h.lost[key]; known {
				sub.Lost = min(sub.Lost, least)
			}
			if sub.LostFor, moved = lasts(key+"\x00lost", sub.Lost > 0, sub.AckFloor); sub.Lost > 0 {
				next.lost[key] = sub.Lost
				sub.lossMoved = moved
			}
			for i := range sub.Members {
				m := &sub.Members[i]
				own := fmt.Sprintf("%s\x00%s\x00%d", key, m.Client, i)
				quiet, moved := lasts(own, m.Delivered, m.Unacked)
				m.Quiet, m.moved = max(m.Quiet, quiet), moved
				if silent, _ := lasts("client\x00"+m.Client, m.Silent()); m.Silent() {
					m.SilentFor = silent
				}
			}
		}
	}
	*h = next
}

// silentFor is how long a client must be silent to be called dead or hung. A client whose
// connection broke is back by then (stan.go and node-nats-streaming reconnect after 2 s),
// or has finished the work that blocked it.
const silentFor = 3 * time.Second

// Doubtful reports whether something in s may be stuck or merely slow, so that another
// snapshot is needed. A position without progress for settled is stuck; one that has moved
// since the first snapshot is working.
func (s *Snapshot) Doubtful(settled time.Duration) bool {
	for _, c := range s.Channels {
		for _, sub := range c.Subscriptions {
			if sub.Lost > 0 && !sub.lossMoved && sub.LostFor < settled || sub.full() && !sub.moved && sub.Quiet < settled ||
				sub.Consumer != "" && sub.Offline && len(sub.Members) > 0 && !sub.moved && sub.Quiet < settled {
				return true
			}
			for _, m := range sub.Members {
				if m.Silent() && m.SilentFor < silentFor ||
					m.Stalled && m.State == Alive && sub.Lag > 0 && !m.moved && m.Quiet < settled {
					return true
				}
			}
		}
	}
	return false
}
