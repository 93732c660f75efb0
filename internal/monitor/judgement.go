package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Judgement is one sentence on what is wrong.
type Judgement struct {
	Kind string `json:"kind"`
	// Stuck tells that events do not reach somebody who wants them; else it is
	// only good to know.
	Stuck bool   `json:"stuck"`
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"` // what to type or do

	Channel string `json:"channel,omitempty"`
	Group   string `json:"group,omitempty"`
	Client  string `json:"client,omitempty"`
	Events  uint64 `json:"events,omitempty"` // that are concerned
}

// The kinds of judgements, the worst first.
var kinds = []string{
	"refusing",       // a full stream, or one without a leader, takes no events
	"missed-events",  // were dropped before a position came to them
	"dead-client",    // holds events
	"hung-client",    // holds events
	"lost-events",    // are held by nobody who answers
	"stalled-member", // got as much as it may hold, and acks nothing
	"offline",        // events wait, and nobody is there
	"paused",         // events wait
	"absent",         // asked for, and not there
	"near-limit",     // the oldest events will be dropped
	"channels",       // their number comes to its limit
	"replica",        // is away
}

// nearly is the part of a limit from which on it is told.
const nearly = 0.9

// Judge tells what is wrong, the worst first.
func (s *Snapshot) Judge() []Judgement {
	var all []Judgement
	for _, name := range s.Absent {
		why := "is not there: nothing was published to it yet, and nobody listens"
		if s.Backend == "jetstream" {
			why = "is in no stream: its events are not stored"
		}
		all = append(all, Judgement{Kind: "absent", Stuck: true, Channel: name, Text: name + " " + why,
			Hint: "`listen status` without a subject shows what is there"})
	}
	if used := s.Total; s.MaxChannels > 0 && float64(used) >= nearly*float64(s.MaxChannels) {
		all = append(all, Judgement{Kind: "channels", Events: uint64(used),
			Text: fmt.Sprintf("%d of at most %d channels are there: beyond that, events of a new one are refused", used, s.MaxChannels),
			Hint: "raise max_channels, or let idle channels go with max_inactivity"})
	}
	for _, c := range s.Channels {
		all = append(all, c.judge(s.Backend)...)
		for _, sub := range c.Subscriptions {
			all = append(all, sub.judge(c)...)
		}
	}
	all = append(all, s.silent()...)
	slices.SortStableFunc(all, func(a, b Judgement) int {
		worse := func(j Judgement) int {
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
func (c *Channel) judge(backend string) []Judgement {
	what := "channel " + c.Name
	if backend == "jetstream" {
		what = "stream " + c.Name
	}
	var all []Judgement
	if c.Leaderless {
		all = append(all, Judgement{Kind: "refusing", Stuck: true, Channel: c.Name,
			Text: what + " has no leader: it takes and gives no events until most of its servers are there again"})
	}
	if len(c.Away) > 0 {
		all = append(all, Judgement{Kind: "replica", Channel: c.Name,
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
	j := Judgement{Kind: "near-limit", Channel: c.Name, Hint: "raise the limit, or see to it that events are taken faster"}
	var late []string // who has not got the oldest event
	for _, sub := range c.Subscriptions {
		if sub.Lag > 0 && sub.Delivered < c.First && sub.Survives() {
			late = append(late, sub.Who())
		}
	}
	full := part >= 1 || c.MaxEvents > 0 && c.Events >= c.MaxEvents
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
		j.Stuck = true
		j.Text += ", which did not reach " + some(late) + " yet"
	}
	return append(all, j)
}

// judge tells what is wrong with one position on channel c.
func (s *Subscription) judge(c *Channel) []Judgement {
	j := Judgement{Channel: c.Name, Group: cmp.Or(s.Group, s.Consumer, s.Durable)}
	on := s.on(c)
	var all []Judgement
	add := func(kind string, stuck bool, events uint64, text, hint string) {
		j := j
		j.Kind, j.Stuck, j.Events, j.Text, j.Hint = kind, stuck, events, text, hint
		all = append(all, j)
	}
	if s.Missed > 0 && s.Survives() {
		add("missed-events", true, s.Missed, fmt.Sprintf("%s has missed %s of %s (#%d to #%d): dropped by the channel's limits before it got them",
			s.Who(), events(s.Missed), on, s.Delivered+1, s.Delivered+s.Missed), "")
	}
	if s.Paused && s.Lag > 0 {
		add("paused", true, s.Lag, fmt.Sprintf("%s is paused and %s behind on %s", s.Who(), events(s.Lag), on), "")
	}
	switch {
	case s.Offline && (s.Lag > 0 || s.Unacked > 0) && s.Survives() && !s.Paused:
		behind := s.Lag + uint64(s.Unacked) // what is unacked comes to the next member, too
		add("offline", true, behind, fmt.Sprintf("%s is offline and %s behind on %s", s.Who(), events(behind), on), "start one of its members")
	case s.Lost > 0 && s.Quiet >= settled:
		text := fmt.Sprintf("%s of %s %s unacked in %s, nothing was acked for %v, and ", events(uint64(s.Lost)), on,
			plural(s.Lost, "is", "are"), s.Who(), s.Quiet.Round(time.Second))
		if len(s.Members) > 0 {
			text += "no member that answers holds them: one was killed, hangs or is no `listen`"
		} else {
			text += "nobody asks for more: a member was killed, left or is at work"
		}
		text += fmt.Sprintf("; they come again %v after their delivery", s.AckWait)
		add("lost-events", len(s.Members) > 0, uint64(s.Lost), text, "")
	}
	if s.Limit > 0 && s.Unacked >= s.Limit && s.Quiet >= settled && s.Lag > 0 {
		add("stalled-member", true, s.Lag, fmt.Sprintf("%s is stalled on %s: %d of %d unacked, the most for all members together, nothing acked for %v, %s wait",
			s.Who(), on, s.Unacked, s.Limit, s.Quiet.Round(time.Second), events(s.Lag)),
			"look at what its members do with their events, or raise the consumer's max ack pending")
	}
	for _, m := range s.Members {
		if !m.Stalled || m.State != Alive || m.Quiet < settled || s.Lag == 0 && m.Quiet < m.AckWait {
			continue
		}
		text := fmt.Sprintf("member %s of %s is stalled on %s: %d of %d in flight, nothing acked for %v",
			m.Client, s.Who(), on, m.Unacked, m.MaxInFlight, m.Quiet.Round(time.Second))
		if s.Group == "" {
			text = strings.Replace(text, " of "+s.Who(), "", 1)
		}
		if s.Lag > 0 {
			text += fmt.Sprintf(", %s wait", events(s.Lag))
		}
		j.Client = m.Client
		add("stalled-member", true, s.Lag+1, text,
			"look at what it does with an event; others can take over what it does not hold: start another member")
		j.Client = ""
	}
	return all
}

// on names the events of a position: its channel, or the filters of a consumer.
func (s *Subscription) on(c *Channel) string {
	if len(s.Filters) > 0 {
		return some(s.Filters)
	}
	return c.Name
}

// silent tells of clients that do not answer and hold events.
func (s *Snapshot) silent() []Judgement {
	type holding struct {
		state  State
		groups []string // as sentences name them
		events []string // "3 events of ticket:created"
		n      uint64
		swaps  bool // others share its events, or they wait for its return
		alone  bool // nobody else is there to take its events
		wait   time.Duration
	}
	found := make(map[string]*holding)
	var order []string
	for _, c := range s.Channels {
		for _, sub := range c.Subscriptions {
			for _, m := range sub.Members {
				if m.State != Dead && m.State != Hung {
					continue
				}
				h := found[m.Client]
				if h == nil {
					h = &holding{state: m.State}
					found[m.Client] = h
					order = append(order, m.Client)
				}
				if sub.Group != "" && !slices.Contains(h.groups, sub.Group) {
					h.groups = append(h.groups, sub.Group)
				}
				if m.Unacked > 0 {
					h.events = append(h.events, fmt.Sprintf("%d unacked %s of %s", m.Unacked, plural(m.Unacked, "event", "events"), c.Name))
					h.n += uint64(m.Unacked)
				}
				h.swaps = h.swaps || sub.Group != "" || sub.Survives()
				h.wait = max(h.wait, m.AckWait)
				h.alone = h.alone || !slices.ContainsFunc(sub.Members, func(m Member) bool { return m.State == Alive })
			}
		}
	}
	var all []Judgement
	for _, id := range order {
		h := found[id]
		j := Judgement{Kind: "dead-client", Client: id, Events: h.n, Stuck: h.swaps, Group: strings.Join(h.groups, ", ")}
		who := "client " + id
		if len(h.groups) > 0 {
			who += " of group " + some(h.groups)
		}
		is := "is dead"
		if h.state == Hung {
			j.Kind = "hung-client"
			is = "does not answer (stopped, blocked or cut off)"
		}
		if h.n > 0 {
			j.Text = fmt.Sprintf("%s %s and still holds %s", who, is, some(h.events))
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
		j.Hint = fmt.Sprintf("`listen evict %s` closes it at once", id)
		if h.state == Hung {
			j.Hint = fmt.Sprintf("look at it; `listen evict --force %s` closes its session", id)
		}
		all = append(all, j)
	}
	return all
}

// some names up to three of several.
func some(names []string) string {
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
