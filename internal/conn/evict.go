package conn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go"
	"github.com/nats-io/stan.go/pb"
)

// A Visit is a short stay of an [Observer] with NATS Streaming: as a client,
// since only clients are told where clients are closed, and since the server
// that counts it among its own is the one that was meant.
type Visit struct {
	ID    string // its client ID
	Inbox string // where the server asks whether it is alive

	observer *Observer
	alive    *nats.Subscription // on Inbox
	closing  string             // subject of requests to close a client
}

// Visit registers as a client. [Visit.Leave] must be called. The error wraps
// [ErrNoCluster], [ErrHung], [ErrAuth] or [ErrRefused].
func (o *Observer) Visit(ctx context.Context) (*Visit, error) {
	v := &Visit{ID: NewClientID("visit"), Inbox: o.link.nc.NewInbox(), observer: o}
	alive, err := o.link.nc.Subscribe(v.Inbox, func(m *nats.Msg) { _ = m.Respond(nil) })
	if err != nil {
		return nil, fmt.Errorf("opening the session %q: %w", v.ID, because(ErrLost, err))
	}
	v.alive = alive
	hello := &pb.ConnectRequest{ClientID: v.ID, HeartbeatInbox: v.Inbox}
	var welcome pb.ConnectResponse
	err = o.exchange(ctx, stan.DefaultDiscoverPrefix+"."+o.link.opts.Cluster, hello, &welcome)
	if err == nil && welcome.Error != "" {
		err = because(ErrRefused, errors.New(welcome.Error))
	}
	if err != nil {
		_ = alive.Unsubscribe()
		return nil, fmt.Errorf("opening the session %q: %w", v.ID, err)
	}
	v.closing = welcome.CloseRequests
	return v, nil
}

// Evict closes another client's session, whatever it does: others get at once
// what it holds. The error wraps [ErrNoClient], [ErrHung], [ErrAuth] or
// [ErrRefused].
func (v *Visit) Evict(ctx context.Context, client string) error {
	var answer pb.CloseResponse
	err := v.observer.exchange(ctx, v.closing, &pb.CloseRequest{ClientID: client}, &answer)
	switch {
	case err != nil:
	case answer.Error == "stan: unknown clientID": // nats-streaming-server, ErrUnknownClient
		err = ErrNoClient
	case answer.Error != "":
		err = because(ErrRefused, errors.New(answer.Error))
	}
	if err != nil {
		return fmt.Errorf("closing the client %q: %w", client, err)
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

// exchange makes a request of the protocol of NATS Streaming.
func (o *Observer) exchange(ctx context.Context, subject string, question interface{ Marshal() ([]byte, error) },
	answer interface{ Unmarshal([]byte) error }) error {
	data, err := question.Marshal()
	if err != nil {
		return err
	}
	var reply *nats.Msg
	err = o.link.ask(ctx, func(ctx context.Context) (err error) {
		reply, err = o.link.nc.RequestWithContext(ctx, subject, data)
		return err
	})
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return because(ErrNoCluster, err)
	case err != nil:
		return err
	}
	if err := answer.Unmarshal(reply.Data); err != nil {
		return because(ErrRefused, err)
	}
	return nil
}
