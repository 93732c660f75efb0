package streaming

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"nats-test/internal/monitor/port"
)

// Clusters returns the IDs of the NATS Streaming clusters that the server
// with the monitoring port at base ("http://127.0.0.1:8222") knows of: its
// own, and those whose servers are its clients.
func Clusters(ctx context.Context, base string) ([]string, error) {
	var own struct {
		ClusterID string `json:"cluster_id"`
	}
	if err := port.Get(ctx, base, "/streaming/serverz", &own); err == nil && own.ClusterID != "" {
		return []string{own.ClusterID}, nil
	}
	var clients struct {
		Connections []struct {
			Name string `json:"name"`
		} `json:"connections"`
	}
	if err := port.Get(ctx, base, "/connz?limit=1024", &clients); err != nil {
		return nil, err
	}
	var ids []string
	for _, c := range clients.Connections {
		id, isServer := strings.CutPrefix(c.Name, "_NSS-")
		if id, general := strings.CutSuffix(id, "-general"); isServer && general {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// DurablePosition returns the sequence of the last event that was sent to the
// durable of a queue group, or of one client where group is "", on a NATS
// Streaming channel. found is false where there is no such durable yet.
func DurablePosition(ctx context.Context, base, channel, group, durable, client string) (lastSent uint64, found bool, err error) {
	var answer channelz
	err = port.Get(ctx, base, "/streaming/channelsz?subs=1&channel="+url.QueryEscape(channel), &answer)
	if err != nil {
		return 0, false, err
	}
	for _, s := range answer.Subscriptions {
		if group != "" && s.QueueName == queueName(group, durable) ||
			group == "" && s.DurableName == durable && s.ClientID == client {
			lastSent, found = max(lastSent, s.LastSent), true
		}
	}
	return lastSent, found, nil
}

// GroupMembers returns the IDs of the clients that share a queue group on one
// of several NATS Streaming channels, by name. The server counts a client that
// was killed until its heartbeats have failed.
func GroupMembers(ctx context.Context, base string, channels []string, group, durable string) ([]string, error) {
	var ids []string
	for _, channel := range channels {
		var answer channelz
		err := port.Get(ctx, base, "/streaming/channelsz?subs=1&channel="+url.QueryEscape(channel), &answer)
		if err != nil && !errors.Is(err, port.ErrAbsent) {
			return nil, err
		}
		for _, s := range answer.Subscriptions {
			if s.QueueName == queueName(group, durable) && !s.IsOffline {
				ids = append(ids, s.ClientID)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// A Rest is what is left of a position on a channel of NATS Streaming.
type Rest struct {
	Waiting uint64 // events that were sent to nobody yet
	Next    uint64 // the sequence of the first of them, if there are any
	Unacked uint64 // events sent and not acked, whoever holds them
	Own     uint64 // of these, those sent to the client that asks
	Sent    uint64 // the sequence of the newest that was sent
}

// RestOf returns what is left of the position of a queue group or, where group
// is "", of a durable of one client. client must be one of its members: a port
// that does not show it is that of another server, which is an error.
func RestOf(ctx context.Context, base, channel, group, durable, client string) (Rest, error) {
	var answer channelz
	err := port.Get(ctx, base, "/streaming/channelsz?subs=1&channel="+url.QueryEscape(channel), &answer)
	if err != nil && !errors.Is(err, port.ErrAbsent) {
		return Rest{}, err
	}
	var r Rest
	member := false
	for _, s := range answer.Subscriptions {
		if group != "" && s.QueueName == queueName(group, durable) ||
			group == "" && s.DurableName == durable && s.ClientID == client {
			pending := uint64(max(0, s.PendingCount))
			if s.ClientID == client {
				member = true
				r.Own += pending
			}
			r.Unacked += pending
			r.Sent = max(r.Sent, s.LastSent)
		}
	}
	if !member {
		return Rest{}, errors.New("the monitoring port does not show this listener: it is that of another server (--monitor)")
	}
	lag, missed := behind(r.Sent, answer.FirstSeq, answer.LastSeq)
	if lag > 0 {
		r.Waiting, r.Next = lag, r.Sent+missed+1
	}
	return r, nil
}

// queueName is what NATS Streaming calls a group: one that is durable is
// another than one that is not.
func queueName(group, durable string) string {
	if durable == "" {
		return group
	}
	return durable + ":" + group
}
