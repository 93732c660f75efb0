package stan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go"

	"nats-test/internal/conn/broker"
)

// envelope is how many bytes of the server's payload limit NATS Streaming
// needs beside the data: field tags, lengths and two IDs, then the names.
const envelope = 128

func (s *session) MaxPayload(subject string) int {
	return int(s.NC.MaxPayload()) - envelope - len(s.Options.ClientID) - len(subject)
}

func (s *session) Publish(ctx context.Context, e broker.Event, done func(broker.Receipt, error)) error {
	subject, data := e.Subject, e.Data
	if err := broker.CheckChannel(subject); err != nil {
		return err
	}
	if limit := s.MaxPayload(subject); len(data) > limit {
		return broker.Because(broker.ErrTooLarge, fmt.Errorf("%d bytes, at most %d are possible", len(data), limit))
	}
	for {
		if s.Broken.Load() {
			if err := s.flight.settle(); err != nil {
				return err
			}
			if err := s.mend(ctx); err != nil {
				return err
			}
		}
		if err := s.send(subject, data, done); !errors.Is(err, errBroken) {
			return err
		}
	}
}

// errBroken: nothing was sent, since the connection is broken at the moment.
var errBroken = errors.New("the connection is broken")

// send hands an event over. The error wraps errBroken if the connection is to
// be mended first.
func (s *session) send(subject string, data []byte, done func(broker.Receipt, error)) error {
	return s.flight.send(int64(len(data)+envelope), done, func(answered func(string, error)) error {
		if s.Broken.Load() {
			return errBroken
		}
		var network *net.OpError // the connection breaks just now
		switch _, err := s.sc.PublishAsync(subject, data, answered); {
		case err == nil:
			return nil
		case errors.Is(err, nats.ErrReconnectBufExceeded), errors.As(err, &network):
			s.Broken.Store(true)
			return errBroken
		default:
			return broker.Because(broker.ErrLost, err)
		}
	})
}

func explainAck(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, stan.ErrTimeout), errors.Is(err, stan.ErrConnectionClosed):
		return broker.Because(broker.ErrNotAcked, err)
	case strings.Contains(err.Error(), "invalid publish request"):
		// The answer to a client that the server does not know: it came
		// back without its store (names are checked before).
		return broker.Because(broker.ErrLost, fmt.Errorf("%w (the broker no longer knows this session)", err))
	}
	return broker.Because(broker.ErrRefused, err)
}

// mend waits for nats.go to have the connection back, and then for the broker,
// which may need longer than the server that carries it, and would miss what
// is sent before.
func (s *session) mend(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Options.Timeout,
		broker.Because(broker.ErrLost, fmt.Errorf("it was not mended within %v", s.Options.Timeout)))
	defer cancel()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for {
		s.Broken.Store(false)
		if s.NC.IsConnected() && s.ping(ctx) == nil {
			return nil
		}
		select {
		case <-pace.C:
		case <-s.Lost():
			return s.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
