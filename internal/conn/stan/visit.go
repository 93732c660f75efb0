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

// A Visit is a short stay with NATS Streaming: as a client, since only clients are
// told where clients are closed, and since the server that counts it among its own
// is the one that was meant.
type Visit struct {
	ID    string // its client ID
	Inbox string // where the server asks whether it is alive

	link    *link.Link
	alive   *nats.Subscription // on Inbox
	welcome pb.ConnectResponse // where requests go to
}

// NewVisit registers under a client ID. The server asks a client that has it
// whether it is alive, and replaces one that does not answer: its session is
// closed. [Visit.Leave] must be called. The error wraps [broker.ErrNoCluster],
// [broker.ErrHung], [broker.ErrAuth], [broker.ErrRefused] or
// [broker.ErrClientIDTaken].
func NewVisit(ctx context.Context, l *link.Link, id string) (*Visit, error) {
	v := &Visit{ID: id, Inbox: l.Options.NewInbox(), link: l}
	alive, err := l.NC.Subscribe(v.Inbox, func(m *nats.Msg) {
		defer fault.Exit()
		if l.Options.IsInbox(m.Reply) {
			_ = m.Respond(nil)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("opening the session %q: %w", v.ID, broker.Because(broker.ErrLost, err))
	}
	v.alive = alive
	hello := &pb.ConnectRequest{ClientID: v.ID, HeartbeatInbox: v.Inbox}
	err = exchange(ctx, l, registration(l.Options.Cluster), hello, func(data []byte) (string, error) {
		err := v.welcome.Unmarshal(data)
		return v.welcome.Error, err
	})
	if err != nil {
		_ = alive.Unsubscribe()
		return nil, fmt.Errorf("opening the session %q: %w", v.ID, err)
	}
	return v, nil
}

// Evict closes another client's session, whatever it does: others get at once
// what it holds. The error wraps [broker.ErrNoClient], [broker.ErrHung], [broker.ErrAuth] or
// [broker.ErrRefused].
func (v *Visit) Evict(ctx context.Context, client string) error {
	err := exchange(ctx, v.link, v.welcome.CloseRequests, &pb.CloseRequest{ClientID: client}, func(data []byte) (string, error) {
		var answer pb.CloseResponse
		err := answer.Unmarshal(data)
		return answer.Error, err
	})
	if err != nil {
		return fmt.Errorf("closing the client %q: %w", client, err)
	}
	return nil
}

// EvictDead closes another client's session if it does not answer its server,
// whatever others say of it. The error wraps [broker.ErrClientIDTaken] if it does, else
// it is that of [Visit.Evict].
func (v *Visit) EvictDead(ctx context.Context, client string) error {
	heir, err := NewVisit(ctx, v.link, client)
	if err != nil {
		return fmt.Errorf("closing the client %q: %w", client, err)
	}
	defer func() { _ = heir.alive.Unsubscribe() }()
	return heir.Evict(ctx, client)
}

// Forget deletes the position of a durable, as the server does when its last
// member unsubscribes (nats-streaming-server, subStore.Remove): so v joins first.
// The durable of a single client is deleted by a visit under that client's ID.
func (v *Visit) Forget(ctx context.Context, sub broker.Subscription) error {
	var joined pb.SubscriptionResponse
	err := exchange(ctx, v.link, v.welcome.SubRequests, &pb.SubscriptionRequest{
		ClientID: v.ID, Subject: sub.Subject, QGroup: sub.Group, DurableName: sub.Durable, Inbox: v.link.Options.NewInbox(),
		MaxInFlight: 1, AckWaitInSecs: 1, StartPosition: pb.StartPosition_NewOnly,
	}, func(data []byte) (string, error) {
		err := joined.Unmarshal(data)
		return joined.Error, err
	})
	if err == nil {
		err = exchange(ctx, v.link, v.welcome.UnsubRequests, &pb.UnsubscribeRequest{
			ClientID: v.ID, Subject: sub.Subject, Inbox: joined.AckInbox, DurableName: sub.Durable,
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

// Leave closes the visit's own session, also after an interruption: the server
// would count it for minutes.
func (v *Visit) Leave() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = v.Evict(ctx, v.ID)
	_ = v.alive.Unsubscribe()
}
