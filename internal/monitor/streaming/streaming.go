// Package streaming takes snapshots of a NATS Streaming server: it reads the monitoring
// port, and asks the clients whether they are alive.
//
// The package's rule: it reads only, and every read is limited.
package streaming

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"nats-test/internal/monitor"
	"nats-test/internal/monitor/port"
)

// Limits of a snapshot.
const (
	lookBytes = 256 << 20 // size of all answers; 100,000 subscriptions take 45 MB
	pageSize  = 1024      // entries of a page, the server's own default
)

// A Reader takes snapshots of a NATS Streaming server through its monitoring port.
type Reader struct {
	Base    string // URL of the monitoring port
	Cluster string // cluster ID that the server must have

	// Ask asks the clients whether they are alive. If it is nil, they are not asked.
	Ask *Heartbeats

	// Workers returns the members that answer for each of several subscriptions, given
	// as [durable, group, channel]. If it is nil, they are not asked.
	Workers func(ctx context.Context, subscriptions [][3]string) ([][]monitor.Member, error)

	// Timeout is the limit for each answer of the monitoring port.
	Timeout time.Duration
}

// Answers of the server (nats-streaming-server, server/monitor.go).
type (
	serverz struct {
		ClusterID string `json:"cluster_id"`
		Role      string `json:"role"`
		State     string `json:"state"`
		Channels  int    `json:"channels"`
	}
	storez struct {
		Limits struct {
			MaxChannels int `json:"max_channels"`
			channelLimits
			PerChannel map[string]channelLimits `json:"channels"`
		} `json:"limits"`
	}
	channelLimits struct {
		MaxMsgs  int64 `json:"max_msgs"`
		MaxBytes int64 `json:"max_bytes"`
	}
	clientz struct {
		ID      string `json:"id"`
		HBInbox string `json:"hb_inbox"`
	}
	channelz struct {
		Name          string                   `json:"name"`
		Msgs          uint64                   `json:"msgs"`
		Bytes         uint64                   `json:"bytes"`
		FirstSeq      uint64                   `json:"first_seq"`
		LastSeq       uint64                   `json:"last_seq"`
		Subscriptions port.List[subscriptionz] `json:"subscriptions"`
	}
	subscriptionz struct {
		ClientID     string `json:"client_id"`
		DurableName  string `json:"durable_name"`
		QueueName    string `json:"queue_name"`
		IsDurable    bool   `json:"is_durable"`
		IsOffline    bool   `json:"is_offline"`
		MaxInflight  int    `json:"max_inflight"`
		AckWait      int    `json:"ack_wait"` // seconds
		LastSent     uint64 `json:"last_sent"`
		PendingCount int    `json:"pending_count"`
		IsStalled    bool   `json:"is_stalled"`
	}
	// A page is a part of a list.
	page struct {
		Total    int                 `json:"total"`
		Clients  port.List[clientz]  `json:"clients"`
		Channels port.List[channelz] `json:"channels"`
	}
)

// Read returns a snapshot of the channels that match one of subjects, in which * stands for
// any text, or of all channels if there are none.
func (r *Reader) Read(ctx context.Context, subjects []string) (*monitor.Snapshot, error) {
	l := r.look()
	var server serverz
	if err := l.Get(ctx, "/streaming/serverz", &server); err != nil {
		if errors.Is(err, port.ErrAbsent) {
			err = errors.New("the monitoring port belongs to a server without NATS Streaming")
		}
		return nil, err
	}
	switch {
	case server.ClusterID == "" || server.State == "FAILED":
		return nil, fmt.Errorf("the server at the monitoring port is not at work: its state is %q", server.State)
	case server.ClusterID != r.Cluster:
		return nil, fmt.Errorf("the monitoring port belongs to a server of the cluster %q, not of %q", server.ClusterID, r.Cluster)
	}
	var store storez
	if err := l.Get(ctx, "/streaming/storez", &store); err != nil {
		return nil, err
	}
	s := &monitor.Snapshot{
		Time: time.Now(), Backend: "stan", Cluster: server.ClusterID, Role: server.Role,
		Total: server.Channels, MaxChannels: store.Limits.MaxChannels, Channels: []*monitor.Channel{},
	}
	channels, err := l.channels(ctx, subjects, s)
	if err != nil {
		return nil, err
	}
	// Read after the channels, so that a client that joins meanwhile does not look gone.
	clients, err := l.clients(ctx)
	if err != nil {
		return nil, err
	}
	states, err := r.states(ctx, l, clients)
	if err != nil {
		return nil, err
	}
	s.Clients = len(clients)
	for _, state := range states {
		if state == monitor.Dead {
			s.Dead++
		}
	}
	filters := newFilterLimits(store.Limits.PerChannel)
	for _, c := range channels {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s.Channels = append(s.Channels, channel(c, store.limits(filters, c.Name), states))
	}
	if s.Role != "" && s.Role != "Leader" {
		s.Notes = append(s.Notes, fmt.Sprintf("this server of the cluster is a %s: only the leader knows for sure who listens", strings.ToLower(s.Role)))
	}
	if r.Ask == nil {
		s.Notes = append(s.Notes, "clients could not be asked whether they are alive")
	}
	return s, r.work(ctx, s)
}

// A look reads one server. All its answers share one limit.
type look struct{ port.Port }

func (r *Reader) look() *look {
	return &look{port.Port{Base: r.Base, Timeout: r.Timeout, Left: lookBytes, Objects: port.MostObjects}}
}

// channels reads the channels that are asked for, and records those that don't exist.
func (l *look) channels(ctx context.Context, subjects []string, s *monitor.Snapshot) ([]channelz, error) {
	literal := func(subject string) bool { return !strings.Contains(subject, "*") }
	var found []channelz
	if len(subjects) > 0 && !slices.ContainsFunc(subjects, func(s string) bool { return !literal(s) }) {
		for _, subject := range subjects {
			var c channelz
			switch err := l.Get(ctx, "/streaming/channelsz?subs=1&channel="+url.QueryEscape(subject), &c); {
			case errors.Is(err, port.ErrAbsent):
				s.Absent = append(s.Absent, subject)
			case err != nil:
				return nil, err
			default:
				found = append(found, c)
			}
		}
		return found, nil
	}
	err := l.pages(ctx, "/streaming/channelsz?subs=1", func(page page) int {
		for _, c := range page.Channels {
			if monitor.Wanted(subjects, c.Name) {
				found = append(found, c)
			}
		}
		return len(page.Channels)
	})
	for _, subject := range subjects {
		if !slices.ContainsFunc(found, func(c channelz) bool { return monitor.Wanted([]string{subject}, c.Name) }) {
			s.Absent = append(s.Absent, subject)
		}
	}
	return found, err
}

func (l *look) clients(ctx context.Context) (map[string]clientz, error) {
	found := make(map[string]clientz)
	return found, l.pages(ctx, "/streaming/clientsz?", func(page page) int {
		for _, c := range page.Clients {
			found[c.ID] = c
		}
		return len(page.Clients)
	})
}

// pages reads all pages at path. take returns the number of entries in a page, since the
// server's total may be wrong.
func (l *look) pages(ctx context.Context, path string, take func(page) int) error {
	for offset := 0; ; {
		var answer page
		if err := l.Get(ctx, fmt.Sprintf("%s&offset=%d&limit=%d", path, offset, pageSize), &answer); err != nil {
			return err
		}
		n := take(answer)
		offset += pageSize
		if n == 0 || offset >= answer.Total {
			return nil
		}
	}
}

// states asks all clients whether they are alive. A client that left meanwhile looks dead, but
// the server no longer lists it.
func (r *Reader) states(ctx context.Context, l *look, clients map[string]clientz) (map[string]monitor.State, error) {
	states := make(map[string]monitor.State, len(clients))
	if r.Ask == nil {
		for id := range clients {
			states[id] = monitor.Unasked
		}
		return states, nil
	}
	inboxes := make([]string, 0, len(clients))
	for _, c := range clients {
		inboxes = append(inboxes, c.HBInbox)
	}
	answers, err := r.Ask.States(ctx, inboxes)
	if err != nil {
		return nil, err
	}
	silent := false
	for id, c := range clients {
		states[id] = answers[c.HBInbox]
		silent = silent || states[id] == monitor.Dead || states[id] == monitor.Hung
	}
	if silent {
		still, err := l.clients(ctx)
		if err != nil {
			return nil, err
		}
		for id, c := range clients {
			if states[id] != monitor.Alive && still[id] != c {
				states[id] = monitor.Gone
			}
		}
	}
	return states, nil
}

// Replayed returns how many events of c were sent to a position. They are sent again if it
// is forgotten.
func (r *Reader) Replayed(_ context.Context, c *monitor.Channel, s *monitor.Subscription, _ string) (uint64, error) {
	if c.First == 0 || s.Delivered < c.First {
		return 0, nil
	}
	return s.Delivered - c.First + 1, nil
}
