package conn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
)

// A Seen is a consumer of JetStream as it was looked at.
type Seen struct {
	Stream, Consumer string
	Created          time.Time
	Delivered        uint64 // sequence in the stream
}

// Forget deletes a consumer of JetStream, and so the position of a durable: the
// very one that was looked at. The error wraps [broker.ErrNoPosition] if it is gone, and
// [broker.ErrChanged] if it is another now, or has moved.
func (o *Observer) Forget(ctx context.Context, seen Seen) error {
	js, err := o.JetStream()
	tried := false
	if err == nil {
		err = o.link.ask(ctx, func(ctx context.Context) error {
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

// StreamOf returns the stream in which a listener of subject has its position:
// the one that the options name, else the one that stores subject. The error
// wraps [broker.ErrNoStream], or is that of [Observer.Ask].
func (o *Observer) StreamOf(ctx context.Context, subject string) (name string, err error) {
	if o.link.opts.Stream != "" {
		return o.link.opts.Stream, nil
	}
	js, err := o.JetStream()
	if err != nil {
		return "", err
	}
	err = o.Ask(ctx, func(ctx context.Context) (err error) {
		name, err = js.StreamNameBySubject(ctx, subject)
		return err
	})
	return name, err
}
