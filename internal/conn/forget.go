package conn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/stan.go"
	"github.com/nats-io/stan.go/pb"
)

// Forget deletes the position of a durable on one subject, so that the next
// listener begins anew. It does so at once: whoever shares the position must
// have left. On NATS Streaming, the durable of a single client belongs to
// o.ClientID. Errors are those of [Dial] and [Session.Subscribe]; on JetStream
// one that wraps [ErrNoPosition] says that there is no such consumer.
func Forget(ctx context.Context, o Options, sub Subscription) error {
	session, err := Dial(ctx, o)
	if err != nil {
		return err
	}
	switch s := session.(type) {
	case *stanSession:
		err = s.forgetDurable(sub)
	case *jetSession:
		err = s.deleteConsumer(ctx, sub)
	}
	if err != nil {
		_ = session.Close()
		return fmt.Errorf("forgetting the position on %q: %w", sub.Subject, err)
	}
	return session.Close()
}

// forgetDurable joins and unsubscribes: the last member's word deletes the
// position (nats-streaming-server, subStore.Remove).
func (s *stanSession) forgetDurable(sub Subscription) error {
	joined, err := s.sc.QueueSubscribe(sub.Subject, sub.Group, func(*stan.Msg) {},
		stan.DurableName(sub.Durable), stan.SetManualAckMode(), stan.MaxInflight(1), stan.AckWait(time.Second),
		stan.StartAt(pb.StartPosition_NewOnly))
	if err == nil {
		err = joined.Unsubscribe()
	}
	if err != nil {
		return explainSubscribe(err)
	}
	return nil
}

func (s *jetSession) deleteConsumer(ctx context.Context, sub Subscription) error {
	stream, err := s.stream(ctx, sub.Subject)
	if err != nil {
		return err
	}
	err = s.ask(ctx, func(ctx context.Context) error { return s.js.DeleteConsumer(ctx, stream, ConsumerName(sub)) })
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return because(ErrNoPosition, err)
	}
	return explainJetStream(err)
}

// Evict closes another client's session with NATS Streaming, whatever it does:
// others get at once what it holds. The error wraps [ErrNoClient], [ErrHung],
// [ErrAuth] or [ErrRefused].
func (o *Observer) Evict(ctx context.Context, client string) error {
	fail := func(err error) error { return fmt.Errorf("closing the client %q: %w", client, err) }
	// Only a client is told where clients are closed.
	inbox := o.nc.NewInbox()
	hello := &pb.ConnectRequest{ClientID: o.opts.ClientID, HeartbeatInbox: inbox}
	var welcome pb.ConnectResponse
	if err := o.exchange(ctx, stan.DefaultDiscoverPrefix+"."+o.opts.Cluster, hello, &welcome); err != nil {
		return fail(err)
	}
	if welcome.Error != "" {
		return fail(because(ErrRefused, errors.New(welcome.Error)))
	}
	var answer, goodbye pb.CloseResponse
	err := o.exchange(ctx, welcome.CloseRequests, &pb.CloseRequest{ClientID: client}, &answer)
	own := o.exchange(ctx, welcome.CloseRequests, &pb.CloseRequest{ClientID: o.opts.ClientID}, &goodbye)
	switch {
	case err != nil:
		return fail(err)
	case answer.Error == "stan: unknown clientID": // nats-streaming-server, ErrUnknownClient
		return fail(ErrNoClient)
	case answer.Error != "":
		return fail(because(ErrRefused, errors.New(answer.Error)))
	case own != nil:
		return fmt.Errorf("closing the session of this program: %w", own)
	}
	return nil
}

// exchange makes a request of the protocol of NATS Streaming.
func (o *Observer) exchange(ctx context.Context, subject string, question interface{ Marshal() ([]byte, error) },
	answer interface{ Unmarshal([]byte) error }) error {
	data, err := question.Marshal()
	if err != nil {
		return err
	}
	var reply *nats.Msg
	err = o.ask(ctx, func(ctx context.Context) (err error) {
		reply, err = o.nc.RequestWithContext(ctx, subject, data)
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
