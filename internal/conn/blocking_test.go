package conn_test

import (
	"errors"
	"sync/atomic"
	"time"

	"nats-test/internal/conn/broker"
)

// blocking is a handler whose output is not read until it is to be.
type blocking struct {
	until <-chan struct{}
	since atomic.Int64
}

func (b *blocking) Handle(*broker.Message) error { return nil }

func (b *blocking) Flush() error {
	b.since.CompareAndSwap(0, time.Now().UnixNano())
	<-b.until
	return errors.New("the reader went away")
}

func (b *blocking) Blocked() time.Duration {
	if since := b.since.Load(); since > 0 {
		return time.Since(time.Unix(0, since))
	}
	return 0
}
