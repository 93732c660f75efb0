package conn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go"
)

// envelope is how many bytes of the server's payload limit NATS Streaming
// needs beside the data: field tags, lengths and two IDs, then the names.
const envelope = 128

func (s *stanSession) MaxPayload() int {
	return int(s.nc.MaxPayload()) - envelope
}

func (s *stanSession) Publish(ctx context.Context, subject string, data []byte, done func(Receipt, error)) error {
	if limit := s.MaxPayload() - len(s.opts.ClientID) - len(subject); len(data) > limit {
		return because(ErrTooLarge, fmt.Errorf("%d bytes, at most %d are possible", len(data), limit))
	}
	answered := func(id string, err error) { done(Receipt{ID: id}, explainAck(err)) }
	for {
		_, err := s.sc.PublishAsync(subject, data, answered)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, nats.ErrReconnectBufExceeded):
			if err := s.connected(ctx); err != nil {
				return err
			}
		default:
			return because(ErrLost, err)
		}
	}
}

func explainAck(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, stan.ErrTimeout), errors.Is(err, stan.ErrConnectionClosed):
		return because(ErrNotAcked, err)
	case strings.Contains(err.Error(), "invalid publish request"):
		// The answer to a client that the server does not know: it came
		// back without its store (names are checked before).
		return because(ErrLost, fmt.Errorf("%w (the broker no longer knows this session)", err))
	}
	return because(ErrRefused, err)
}

// connected waits until nats.go has the connection back.
func (s *stanSession) connected(ctx context.Context) error {
	status := s.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer s.nc.RemoveStatusListener(status)
	if s.nc.IsConnected() {
		return nil
	}
	timeout := time.NewTimer(s.opts.Timeout)
	defer timeout.Stop()
	select {
	case <-status:
		return nil // if closed, the next call says so
	case <-s.lost:
		return s.Err()
	case <-timeout.C:
		return because(ErrLost, fmt.Errorf("not connected again within %v", s.opts.Timeout))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
