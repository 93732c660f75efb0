package conn

import (
	"context"
	"errors"
	"fmt"
	"time"

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
