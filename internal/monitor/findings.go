package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Finding is one problem, in a sentence.
type Finding struct {
	Kind string `json:"kind"`
	// Stuck is set if events don't reach a subscriber. Otherwise it is a note.
	Stuck bool   `json:"stuck"`
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"` // what to type or do

	Channel string `json:"channel,omitempty"`
	Group   string `json:"group,omitempty"`
	Client  string `json:"client,omitempty"`
	Events  uint64 `json:"events,omitempty"` // number of events concerned
}

// The kinds of findings, worst first.
var kinds = []string{
	"refusing",       // a full stream, or one without a leader, takes no events
	"missed-events",  // events were dropped before they were delivered to a position
	"dead-client",    // holds events
	"hung-client",    // holds events
	"lost-events",    // unacked events are held by no member that answers
	"stalled-member", // holds its maximum of unacked events, and acks none
	"blocked-member", // its output is not read
	"offline",        // events wait, and no member is there
	"paused",         // events wait, and the consumer is paused
	"given-up",       // events reached the limit of deliveries without an ack
	"absent",         // the channel or subject asked for does not exist
	"near-limit",     // the oldest events will be dropped
	"channels",       // the number of channels is near its limit
	"replica",        // a replica is offline or not current
	"dead-letters",   // workers gave events up
	"retries",        // failed events wait for their next run
}

// nearly is the share of a limit at which it is reported.
const nearly = 0.9

// Judge returns the findings, worst first. A position without progress for settled is
// stuck, as far as [History.Add] has seen.
func (s *Snapshot) Judge(settled time.Duration) []Finding {
	var all []Finding
	for _, name := range s.Absent {
		why := "does not exist: nothing is stored, and nobody listens"
		if s.Backend == "jetstream" {
			why = "is in no stream: its events are not stored"
		}
		all = append(all, Finding{Kind: "absent", Stuck: !strings.Contains(name, "*"), Channel: name, Text: name + " " + why})
	}
	if used := s.Total; s.MaxChannels > 0 && float64(used) >= nearly*float64(s.MaxChannels) {
		all = append(all, Finding{Kind: "channels", Events: uint64(used),
			Text: fmt.Sprintf("%d of at most %d channels exist: beyond that, events on a new one are refused", used, s.MaxChannels),
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

// judge returns the findings on a channel or stream itself.
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
	var late []string // positions to which the oldest event was not delivered
	for _, sub := range c.Subscriptions {
		if sub.Lag > 0 && sub.Delivered < c.First && sub.Survives() && sub.wantsAll(c) {
			late = append(late, sub.Who())
		}
	}
	// A limit of bytes is reached when one more event of average size does not fit.
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
		j.Stuck, j.Hint = true, "raise the limit, or have its members handle events faster"
		j.Text += ", which did not reach " + Some(late) + " yet"
	}
	return append(all, j)
}

// judge returns the findings on one position on channel c.
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
		add(Finding{Kind: "given-up"},
			"%s gave up some events of %s, up to #%d: they were delivered as often as its max deliver allows, and not acked",
			s.Who(), on, s.GivenUp)
	}
	if behind := s.Lag + uint64(s.Unacked); s.Offline && behind > 0 && s.Survives() && !s.Paused { // unacked events are redelivered, too
		j := Finding{Kind: "offline", Stuck: true, Events: behind, Hint: "start one of its members"}
		// Services may pull only now and then. Members of a listen group always have a
		// request at the server.
		if n := len(s.Members); s.Consumer != "" && n > 0 { // answers to roll calls may be forged
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
		// More pull requests than listeners: other programs, which answer no roll call,
		// may hold the events.
		add(Finding{Kind: "lost-events", Stuck: s.Waiting <= len(s.Members), Events: uint64(s.Lost)},
			"%s of %s %s unacked in %s, and no member that answers holds them: one was killed, hangs, is another program, or asked for a delay; "+
				"they come again %v after their delivery, or after that delay",
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
	return append(all, s.judgeWork(c)...)
}

// blockedFor is the minimum time without reading output that is reported, even if settled
// is shorter.
const blockedFor = time.Second

// seldom is the longest interval at which a pulling service is expected to ask for events.
const seldom = 30 * time.Second

// wantsAll reports whether the position is for every event of channel c.
func (s *Subscription) wantsAll(c *Channel) bool {
	return len(s.Filters) == 0 || slices.Equal(s.Filters, c.Subjects)
}

// on names the events of a position: its channel, or the consumer's filters.
func (s *Subscription) on(c *Channel) string {
	if len(s.Filters) > 0 {
		return Some(s.Filters)
	}
	return c.Name
}

// Some lists up to three names and counts the others.
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
