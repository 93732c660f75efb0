package streaming

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"nats-test/internal/monitor/port"
)

// Clusters returns the IDs of the NATS Streaming clusters known to the server whose
// monitoring port is at base ("http://127.0.0.1:8222"): its own, and those whose servers
// are connected to it as clients.
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

// DurablePosition returns the sequence of the last event that was sent to a durable on a
// NATS Streaming channel: that of a queue group, or that of a client if group is "". found
// is false if there is no such durable.
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

// GroupMembers returns the sorted client IDs of a queue group's members on any of several
// NATS Streaming channels. A client that was killed counts until its heartbeats have failed.
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

// A Rest is what remains of a position on a NATS Streaming channel.
type Rest struct {
	Waiting uint64 // number of events not sent to any member yet
	Next    uint64 // sequence of the first of them
	Unacked uint64 // number of unacked events of all members
	Own     uint64 // of these, those of the asking client
	Sent    uint64 // sequence of the newest event that was sent
}

// RestOf returns what remains of the position of a queue group, or of the durable of one
// client if group is "". client must be a member; if the port does not list it, the port
// belongs to another server, which is an error.
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
		return Rest{}, errors.New("the monitoring port does not show this listener: it is that of another server")
	}
	lag, missed := behind(r.Sent, answer.FirstSeq, answer.LastSeq)
	if lag > 0 {
		r.Waiting, r.Next = lag, r.Sent+missed+1
	}
	return r, nil
}

// queueName returns the name of a queue group at NATS Streaming. Durable and other groups
// of the same name are different groups.
func queueName(group, durable string) string {
	if durable == "" {
		return group
	}
	return durable + ":" + group
}
