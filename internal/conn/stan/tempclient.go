package stan

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go/pb"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
)

// A TempClient is a client of NATS Streaming for one command. Only registered clients
// learn the subject of close requests. The command also checks that the monitoring port
// lists this client, so that both belong to the same server.
type TempClient struct {
	ID    string // its client ID
	Inbox string // heartbeat inbox

	link    *link.Link
	alive   *nats.Subscription // on Inbox
	welcome pb.ConnectResponse // has the subjects of requests
}

// NewTempClient registers under a client ID. If another client has that ID, the server
// asks whether it is alive, and replaces one that does not answer: its session is closed.
// [TempClient.Leave] must be called. The error wraps [broker.ErrNoCluster],
// [broker.ErrHung], [broker.ErrAuth], [broker.ErrRefused] or [broker.ErrClientIDTaken].
func NewTempClient(ctx context.Context, l *link.Link, id string) (*TempClient, error) {
	c := &TempClient{ID: id, Inbox: l.Options.NewInbox(), link: l}
	alive, err := l.NC.Subscribe(c.Inbox, func(m *nats.Msg) {
		defer fault.Exit()
		if l.Options.IsInbox(m.Reply) {
			_ = m.Respond(nil)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("registering the client ID %q: %w", c.ID, broker.Because(broker.ErrLost, err))
	}
	c.alive = alive
	hello := &pb.ConnectRequest{ClientID: c.ID, HeartbeatInbox: c.Inbox}
	err = exchange(ctx, l, registration(l.Options.Cluster), hello, func(data []byte) (string, error) {
		err := c.welcome.Unmarshal(data)
		return c.welcome.Error, err
	})
	if err != nil {
		_ = alive.Unsubscribe()
		return nil, fmt.Errorf("registering the client ID %q: %w", c.ID, err)
	}
	return c, nil
}

// Evict closes another client's session, alive or not. The server redelivers its unacked
// events to others at once. The error wraps [broker.ErrNoClient], [broker.ErrHung],
// [broker.ErrAuth] or [broker.ErrRefused].
func (c *TempClient) Evict(ctx context.Context, client string) error {
	err := exchange(ctx, c.link, c.welcome.CloseRequests, &pb.CloseRequest{ClientID: client}, func(data []byte) (string, error) {
		var answer pb.CloseResponse
		err := answer.Unmarshal(data)
		return answer.Error, err
	})
	if err != nil {
		return fmt.Errorf("closing the session of client ID %q: %w", client, err)
	}
	return nil
}

// EvictDead closes another client's session if the client does not answer the server. The
// error wraps [broker.ErrClientIDTaken] if it does, else it is that of [TempClient.Evict].
func (c *TempClient) EvictDead(ctx context.Context, client string) error {
	heir, err := NewTempClient(ctx, c.link, client)
	if err != nil {
		return fmt.Errorf("closing the session of client ID %q: %w", client, err)
	}
	defer func() { _ = heir.alive.Unsubscribe() }()
	return heir.Evict(ctx, client)
}

// Forget deletes a durable. The server does so when its last member unsubscribes
// (nats-streaming-server, subStore.Remove), so c joins first. The durable of a single
// client belongs to its client ID, and c must have that one.
func (c *TempClient) Forget(ctx context.Context, sub broker.Subscription) error {
	var joined pb.SubscriptionResponse
	err := exchange(ctx, c.link, c.welcome.SubRequests, &pb.SubscriptionRequest{
		ClientID: c.ID, Subject: sub.Subject, QGroup: sub.Group, DurableName: sub.Durable, Inbox: c.link.Options.NewInbox(),
		MaxInFlight: 1, AckWaitInSecs: 1, StartPosition: pb.StartPosition_NewOnly,
	}, func(data []byte) (string, error) {
		err := joined.Unmarshal(data)
		return joined.Error, err
	})
	if err == nil {
		err = exchange(ctx, c.link, c.welcome.UnsubRequests, &pb.UnsubscribeRequest{
			ClientID: c.ID, Subject: sub.Subject, Inbox: joined.AckInbox, DurableName: sub.Durable,
		}, func(data []byte) (string, error) {
			var answer pb.SubscriptionResponse
			err := answer.Unmarshal(data)
			return answer.Error, err
		})
	}
	if err != nil {
		return fmt.Errorf("forgetting the position on %q: %w", sub.Subject, err)
	}
	return nil
}

// Leave closes the client's own session, even after an interruption: otherwise the server
// would list it for minutes.
func (c *TempClient) Leave() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Evict(ctx, c.ID)
	_ = c.alive.Unsubscribe()
}
