package monitor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// silent returns the findings on clients that don't answer and hold events.
func (s *Snapshot) silent() []Finding {
	type holding struct {
		state  State
		groups []string // in order of appearance
		known  map[string]bool
		events []string // "3 events of ticket:created"
		n      uint64
		awaits bool // its events matter to others of its group, or to itself when it returns
		alone  bool // no other member could get its events
		wait   time.Duration
	}
	found := make(map[string]*holding)
	var order []string
	for _, c := range s.Channels {
		for _, sub := range c.Subscriptions {
			alone := !slices.ContainsFunc(sub.Members, func(m Member) bool { return m.State == Alive })
			for _, m := range sub.Members {
				if !m.Silent() || m.SilentFor < silentFor {
					continue
				}
				h := found[m.Client]
				if h == nil {
					h = &holding{state: m.State, known: make(map[string]bool)}
					found[m.Client] = h
					order = append(order, m.Client)
				}
				if sub.Group != "" && !h.known[sub.Group] {
					h.groups, h.known[sub.Group] = append(h.groups, sub.Group), true
				}
				if m.Unacked > 0 {
					h.events = append(h.events, fmt.Sprintf("%d unacked %s of %s", m.Unacked, plural(m.Unacked, "event", "events"), c.Name))
					h.n += uint64(m.Unacked)
				}
				h.awaits = h.awaits || sub.Group != "" || sub.Survives()
				h.wait = max(h.wait, m.AckWait)
				h.alone = h.alone || sub.Group != "" && m.Unacked > 0 && alone
			}
		}
	}
	var all []Finding
	for _, id := range order {
		h := found[id]
		j := Finding{Kind: "dead-client", Client: id, Events: h.n, Stuck: h.awaits, Group: strings.Join(h.groups, ", ")}
		who := "client " + id
		if len(h.groups) > 0 {
			who += " of group " + Some(h.groups)
		}
		is := "is dead"
		if h.state == Hung {
			j.Kind = "hung-client"
			is = "does not answer (stopped, blocked or cut off)"
		}
		if h.n > 0 {
			j.Text = fmt.Sprintf("%s %s and still holds %s", who, is, Some(h.events))
		} else {
			j.Text = fmt.Sprintf("%s %s, and new events still go to it", who, is)
		}
		switch {
		case len(h.groups) == 0 || h.n == 0:
		case h.alone:
			j.Text += "; no other member is there to take them"
		default:
			j.Text += fmt.Sprintf("; other members get them after the ack wait of %v", h.wait)
		}
		j.Text += "; the server drops it when its heartbeats have failed: after 5 minutes by default, 15 s with -hbi 5s -hbt 5s -hbf 2"
		all = append(all, j)
	}
	return all
}
