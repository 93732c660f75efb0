package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Finding is one sentence on what is wrong.
type Finding struct {
	Kind string `json:"kind"`
	// Stuck: events do not reach a subscriber. Otherwise it is a note.
	Stuck bool   `json:"stuck"`
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"` // what to type or do

	Channel string `json:"channel,omitempty"`
	Group   string `json:"group,omitempty"`
	Client  string `json:"client,omitempty"`
	Events  uint64 `json:"events,omitempty"` // that are concerned
}

// The kinds of findings, the worst first.
var kinds = []string{
	"refusing",       // a full stream, or one without a leader, takes no events
	"missed-events",  // were dropped before a position came to them
	"dead-client",    // holds events
	"hung-client",    // holds events
	"lost-events",    // are held by nobody who answers
	"stalled-member", // got as much as it may hold, and acks nothing
	"blocked-member", // nobody reads its output
	"offline",        // events wait, and nobody is there
	"paused",         // events wait
	"given-up",       // events were delivered as often as allowed, and not acked
	"absent",         // asked for, and not there
	"near-limit",     // the oldest events will be dropped
	"channels",       // their number comes to its limit
	"replica",        // is away
}

// nearly is the share of a limit from which on it is reported.
const nearly = 0.9

// Judge returns findings, the worst first. What has not moved for settled is stuck,
// as far as [History.Add] knows.
func (s *Snapshot) Judge(settled time.Duration) []Finding {
	var all []Finding
	for _, name := range s.Absent {
		why := "is not there: nothing is stored, and nobody listens"
		if s.Backend == "jetstream" {
			why = "is in no stream: its events are not stored"
		}
		all = append(all, Finding{Kind: "absent", Stuck: !strings.Contains(name, "*"), Channel: name, Text: name + " " + why,
			Hint: "`listen status` without a subject shows what is there"})
	}
	if used := s.Total; s.MaxChannels > 0 && float64(used) >= nearly*float64(s.MaxChannels) {
		all = append(all, Finding{Kind: "channels", Events: uint64(used),
			Text: fmt.Sprintf("%d of at most %d channels are there: beyond that, events of a new one are refused", used, s.MaxChannels),
			Hint: "raise max_channels, or let idle channels go with max_inactivity"})
	}
	for _, c := range s.Channels {
		all = append(all, c.judge(s.Backend)...)
		for _, sub := range c.Subscriptions {
			all = append(all, sub.judge(c, settled)...)
		}
	}
	all = append(all, s.silent()...)
	slices.SortStableFunc(all, func(a, b Finding) int {
		worse := func(j Finding) int {
			if j.Stuck {
				return 0
			}
			return 1
		}
		return cmp.Or(worse(a)-worse(b), slices.Index(kinds, a.Kind)-slices.Index(kinds, b.Kind),
			cmp.Compare(b.Events, a.Events))
	})
	return all
}

// judge tells what is wrong with a channel or stream itself.
func (c *Channel) judge(backend string) []Finding {
	what := "channel " + c.Name
	if backend == "jetstream" {
		what = "stream " + c.Name
	}
	var all []Finding
	if c.Leaderless {
		all = append(all, Finding{Kind: "refusing", Stuck: true, Channel: c.Name,
			Text: what + " has no leader: it takes and gives no events until most of its servers are there again"})
	}
	if len(c.Away) > 0 {
		all = append(all, Finding{Kind: "replica", Channel: c.Name,
			Text: fmt.Sprintf("%s has replicas that are away: %s", what, strings.Join(c.Away, ", "))})
	}
	part, limit := float64(c.Events)/float64(max(1, c.MaxEvents)), fmt.Sprintf("%d events", c.MaxEvents)
	if c.MaxEvents == 0 {
		part = 0
	}
	if bytes := float64(c.Bytes) / float64(max(1, c.MaxBytes)); c.MaxBytes > 0 && bytes > part {
		part, limit = bytes, fmt.Sprintf("%d bytes", c.MaxBytes)
	}
	if part < nearly {
		return all
	}
	j := Finding{Kind: "near-limit", Channel: c.Name, Hint: "raise the limit, or remove events"}
	var late []string // who has not got the oldest event
	for _, sub := range c.Subscriptions {
		if sub.Lag > 0 && sub.Delivered < c.First && sub.Survives() && sub.wantsAll(c) {
			late = append(late, sub.Who())
		}
	}
	// Of bytes, there is no room for one more event of the usual size.
	full := part >= 1 || c.Refuses && c.MaxBytes > 0 && c.Events > 0 && c.Bytes+c.Bytes/c.Events > c.MaxBytes
	switch {
	case full && c.Refuses:
		j.Kind, j.Stuck = "refusing", true
		j.Text = fmt.Sprintf("%s is full (%s) and refuses new events", what, limit)
	case full:
		j.Text = fmt.Sprintf("%s is full (%s): each new event drops the oldest", what, limit)
	case c.Refuses:
		j.Text = fmt.Sprintf("%s is at %d %% of its limit of %s: beyond it, new events will be refused", what, int(part*100), limit)
	default:
		j.Text = fmt.Sprintf("%s is at %d %% of its limit of %s: the oldest events will be dropped", what, int(part*100), limit)
	}
	if len(late) > 0 && !c.Refuses {
		j.Stuck, j.Hint = true, "raise the limit, or see to it that events are taken faster"
		j.Text += ", which did not reach " + Some(late) + " yet"
	}
	return append(all, j)
}

// judge tells what is wrong with one position on channel c.
func (s *Subscription) judge(c *Channel, settled time.Duration) []Finding {
	on, quiet := s.on(c), s.Quiet.Round(time.Second)
	var all []Finding
	add := func(j Finding, text string, args ...any) {
		j.Channel, j.Group, j.Text = c.Name, cmp.Or(s.Group, s.Consumer, s.Durable), fmt.Sprintf(text, args...)
		all = append(all, j)
	}
	if s.Missed > 0 && s.Survives() {
		add(Finding{Kind: "missed-events", Stuck: s.Lag > 0, Events: s.Missed},
			"%s has missed %s of %s (#%d to #%d): dropped by the channel's limits before it got them",
			s.Who(), events(s.Missed), on, s.Delivered+1, s.Delivered+s.Missed)
	}
	if s.GivenUp > 0 {
		add(Finding{Kind: "given-up", Hint: "look at them with listen --deliver seq:N, or at what became of them"},
			"%s gave up some events of %s, up to #%d: they were delivered as often as its max deliver allows, and not acked",
			s.Who(), on, s.GivenUp)
	}
	if behind := s.Lag + uint64(s.Unacked); s.Offline && behind > 0 && s.Survives() && !s.Paused { // what is unacked comes to the next, too
		j := Finding{Kind: "offline", Stuck: true, Events: behind, Hint: "start one of its members"}
		// Services may ask for events now and then. Groups of listen always do.
		if n := len(s.Members); s.Consumer != "" && n > 0 { // whoever may publish could answer for it
			j.Hint = "look at what they do, or start another member"
			if s.Quiet >= settled {
				add(j, "nobody asks for events of %s, and %s of %s wait; %d %s to be there", s.Who(), events(behind), on, n, plural(n, "listener says", "listeners say"))
			}
		} else if s.Consumer != "" && s.Group == "" && s.Quiet < max(s.AckWait, seldom) {
			j.Stuck = false
			add(j, "nobody asks for events of %s at this moment, and %s of %s wait", s.Who(), events(behind), on)
		} else {
			add(j, "%s is offline and %s behind on %s", s.Who(), events(behind), on)
		}
	}
	switch {
	case s.Paused && s.Lag > 0:
		add(Finding{Kind: "paused", Stuck: true, Events: s.Lag}, "%s is paused and %s behind on %s", s.Who(), events(s.Lag), on)
	case s.Lost == 0 || s.LostFor == 0 || s.LostFor < settled || s.Offline && len(s.Members) == 0:
	case len(s.Members) == 0:
		add(Finding{Kind: "lost-events", Events: uint64(s.Lost)},
			"%s of %s %s unacked in %s, nothing was acked for %v, and nobody asks for more: a member was killed, left or is at work; "+
				"they come again %v after their delivery",
			events(uint64(s.Lost)), on, plural(s.Lost, "is", "are"), s.Who(), quiet, s.AckWait)
	default:
		// More requests than listeners: others take part, who answer no roll call.
		add(Finding{Kind: "lost-events", Stuck: s.Waiting <= len(s.Members), Events: uint64(s.Lost)},
			"%s of %s %s unacked in %s, and no member that answers holds them: one was killed, hangs or is no `listen`; "+
				"they come again %v after their delivery",
			events(uint64(s.Lost)), on, plural(s.Lost, "is", "are"), s.Who(), s.AckWait)
	}
	if s.full() && s.Quiet >= settled {
		add(Finding{Kind: "stalled-member", Stuck: true, Events: s.Lag,
			Hint: "look at what its members do with their events, or raise the consumer's max ack pending"},
			"%s is stalled on %s: %d of %d unacked, the most for all members together, nothing acked for %v, %s wait",
			s.Who(), on, s.Unacked, s.Limit, quiet, events(s.Lag))
	}
	for _, m := range s.Members {
		if m.Blocked >= max(settled, blockedFor) {
			add(Finding{Kind: "blocked-member", Stuck: m.Unacked > 0 || s.Lag > 0, Client: m.Client, Events: uint64(m.Unacked),
				Hint: "have its output read again, or stop it: others get what it holds"},
				"member %s of %s can't write: its output has not been read for %v, and it holds %s of %s",
				m.Client, s.Who(), m.Blocked.Round(time.Second), events(uint64(m.Unacked)), on)
			continue
		}
		if !m.Stalled || m.State != Alive || m.Quiet < settled || s.Lag == 0 && m.Quiet < m.AckWait {
			continue
		}
		who, waits, hint := "client "+m.Client, "", "look at what it does with an event"
		if s.Group != "" || s.Consumer != "" {
			who = fmt.Sprintf("member %s of %s", m.Client, s.Who())
			hint += "; others can take over what it does not hold: start another member"
		}
		if s.Lag > 0 {
			waits = fmt.Sprintf(", %s wait", events(s.Lag))
		}
		add(Finding{Kind: "stalled-member", Stuck: true, Client: m.Client, Events: s.Lag,
			Hint: hint},
			"%s is stalled on %s: %d of %d in flight, nothing acked for %v%s",
			who, on, m.Unacked, m.MaxInFlight, m.Quiet.Round(time.Second), waits)
	}
	return all
}

// blockedFor is how long a reader may pause, whatever the user calls settled.
const blockedFor = time.Second

// seldom is how often a service that asks for events by itself is expected to.
const seldom = 30 * time.Second

// wantsAll reports whether the position is on every event of channel c.
func (s *Subscription) wantsAll(c *Channel) bool {
	return len(s.Filters) == 0 || slices.Equal(s.Filters, c.Subjects)
}

// on names the events of a position: its channel, or the filters of a consumer.
func (s *Subscription) on(c *Channel) string {
	if len(s.Filters) > 0 {
		return Some(s.Filters)
	}
	return c.Name
}

// Some names up to three of several.
func Some(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func events(n uint64) string { return fmt.Sprintf("%d %s", n, plural(n, "event", "events")) }

func plural[N int | uint64](n N, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}
