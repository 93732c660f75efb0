package streaming

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"

	"nats-test/internal/monitor"
	"nats-test/internal/monitor/port"
)

// A Client is a client of NATS Streaming.
type Client struct {
	ID    string
	State monitor.State
	Holds []Holding // sorted by channel
}

// A Holding is the number of a client's unacked events on a channel.
type Holding struct {
	Channel string
	Events  int
}

// ErrNoClient: no client is registered under that client ID.
var ErrNoClient = errors.New("the server knows no client of that ID")

// Client reads the state of one client, and asks the client itself whether it is alive. The
// error may be [ErrNoClient].
func (r *Reader) Client(ctx context.Context, id string) (*Client, error) {
	var answer struct {
		clientz
		Subscriptions map[string]port.List[subscriptionz] `json:"subscriptions"`
	}
	err := (&port.Port{Base: r.Base, Timeout: r.Timeout, Left: port.MaxBytes, Objects: port.MostObjects}).Get(ctx, "/streaming/clientsz?subs=1&client="+url.QueryEscape(id), &answer)
	switch {
	case errors.Is(err, port.ErrAbsent):
		return nil, ErrNoClient
	case err != nil:
		return nil, err
	}
	states, err := r.Ask.States(ctx, []string{answer.HBInbox})
	if err != nil {
		return nil, err
	}
	c := &Client{ID: id, State: states[answer.HBInbox]}
	for channel, list := range answer.Subscriptions {
		held := 0
		for _, z := range list {
			held += z.PendingCount
		}
		if held > 0 {
			c.Holds = append(c.Holds, Holding{channel, held})
		}
	}
	slices.SortFunc(c.Holds, func(a, b Holding) int { return cmp.Compare(a.Channel, b.Channel) })
	return c, nil
}

// Knows reports whether the server has a client with that ID and heartbeat inbox, so that it
// is the server that the client is connected to.
func (r *Reader) Knows(ctx context.Context, id, inbox string) (bool, error) {
	var answer clientz
	err := port.Get(ctx, r.Base, "/streaming/clientsz?client="+url.QueryEscape(id), &answer)
	if errors.Is(err, port.ErrAbsent) {
		return false, nil
	}
	return answer == clientz{id, inbox}, err
}
