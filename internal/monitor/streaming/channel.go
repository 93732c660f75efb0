package streaming

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"nats-test/internal/monitor"
)

// channel groups the subscriptions of a channel by position.
func channel(c channelz, limits channelLimits, states map[string]monitor.State) *monitor.Channel {
	result := &monitor.Channel{
		Name: short(c.Name), Events: c.Msgs, Bytes: c.Bytes, First: c.FirstSeq, Last: c.LastSeq,
		MaxEvents: uint64(limits.MaxMsgs), MaxBytes: uint64(limits.MaxBytes),
		Subscriptions: []*monitor.Subscription{},
	}
	type position struct{ queue, durable, client string }
	known := make(map[position]*monitor.Subscription)
	for i, z := range c.Subscriptions {
		at := position{z.QueueName, z.DurableName, z.ClientID}
		switch {
		case z.QueueName != "":
			at.client = ""
		case z.DurableName == "": // a client may have several of them
			at.durable = fmt.Sprintf(":%d", i)
		}
		s := known[at]
		if s == nil {
			s = &monitor.Subscription{Group: short(z.QueueName), Durable: short(z.DurableName), Members: []monitor.Member{}, Offline: true}
			if z.QueueName != "" && z.IsDurable { // "durable:group"; a durable's name has no colon
				s.Durable, s.Group, _ = strings.Cut(s.Group, ":")
			}
			known[at] = s
			result.Subscriptions = append(result.Subscriptions, s)
		}
		add(s, z, states)
	}
	for _, s := range result.Subscriptions {
		s.Lag, s.Missed = behind(s.Delivered, c.FirstSeq, c.LastSeq)
	}
	slices.SortStableFunc(result.Subscriptions, func(a, b *monitor.Subscription) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Durable, b.Durable))
	})
	return result
}

// short cuts a name to 1024 bytes. NATS Streaming accepts group names of a megabyte.
func short(name string) string {
	const most = 1024
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// add adds a client's subscription to the position that it shares.
func add(s *monitor.Subscription, z subscriptionz, states map[string]monitor.State) {
	state, known := states[z.ClientID]
	z.ClientID = short(z.ClientID)
	s.Delivered = max(s.Delivered, z.LastSent)
	s.Unacked += z.PendingCount
	s.AckWait = max(s.AckWait, time.Duration(z.AckWait)*time.Second)
	if z.IsOffline {
		if s.Group == "" { // the durable of a single client, which is offline
			s.Members = append(s.Members, monitor.Member{Client: z.ClientID, State: monitor.Gone, Delivered: z.LastSent,
				Unacked: z.PendingCount, MaxInFlight: z.MaxInflight})
		}
		return
	}
	if !known {
		state = monitor.Gone
	}
	s.Offline = false
	s.Stalled = s.Stalled || z.IsStalled
	s.Members = append(s.Members, monitor.Member{
		Client: z.ClientID, State: state, Delivered: z.LastSent, Unacked: z.PendingCount,
		MaxInFlight: z.MaxInflight, Stalled: z.IsStalled, AckWait: time.Duration(z.AckWait) * time.Second,
	})
}

// behind returns how many of the events first to last come after delivered, and how many
// after delivered were dropped.
func behind(delivered, first, last uint64) (lag, missed uint64) {
	if last <= delivered || first == 0 {
		return 0, 0
	}
	if delivered+1 < first {
		missed = first - 1 - delivered
		delivered = first - 1
	}
	return last - delivered, missed
}
