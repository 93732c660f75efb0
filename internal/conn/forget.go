package conn

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// forgetConsumer deletes a consumer of JetStream, and so the position of a durable: the
// very one that was looked at. The error wraps [broker.ErrNoPosition] if it is gone, and
// [broker.ErrChanged] if it is another now, or has moved.
func forgetConsumer(ctx context.Context, l *link.Link, seen broker.Seen) error {
	js, err := client(l)
	tried := false
	if err == nil {
		err = l.Ask(ctx, func(ctx context.Context) error {
			consumer, err := js.Consumer(ctx, seen.Stream, seen.Consumer)
			switch {
			case tried && errors.Is(err, jetstream.ErrConsumerNotFound): // the answer was lost
				return nil
			case err != nil:
				return err
			}
			if info := consumer.CachedInfo(); !info.Created.Equal(seen.Created) || info.Delivered.Stream != seen.Delivered {
				return broker.Because(broker.ErrChanged, fmt.Errorf("the consumer %s of stream %s has come to #%d", broker.Clip(seen.Consumer), broker.Clip(seen.Stream), info.Delivered.Stream))
			}
			tried = true
			return js.DeleteConsumer(ctx, seen.Stream, seen.Consumer)
		})
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		err = broker.Because(broker.ErrNoPosition, err)
	case !errors.Is(err, broker.ErrChanged):
		err = explainJetStream(err)
	}
	return fmt.Errorf("forgetting the consumer %q of stream %q: %w", seen.Consumer, seen.Stream, err)
}
