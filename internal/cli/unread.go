package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"syscall"
	"time"

	"nats-test/internal/fault"
)

// Why stdout can't be written any more.
var (
	errClosed = errors.New("writing to stdout: it was closed at the other end")
	errUnread = errors.New("writing to stdout: nobody reads it")
)

// A timed writer knows for how long a write has not come back: nobody reads what
// is written.
type timed struct {
	io.Writer
	since atomic.Int64 // when the write began, in ns; 0 while there is none
}

func (w *timed) Write(p []byte) (int, error) {
	w.since.Store(time.Now().UnixNano())
	defer w.since.Store(0)
	return w.Writer.Write(p)
}

func (w *timed) blocked() time.Duration {
	if since := w.since.Load(); since > 0 {
		return time.Since(time.Unix(0, since))
	}
	return 0
}

// unreadLimit is how long, once the program is to stop, a write that nobody reads
// is waited for.
const unreadLimit = 3 * time.Second

// unwritten is why stdout could not be written.
func unwritten(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return errClosed
	}
	return fmt.Errorf("writing to stdout: %w", err)
}

// whenUnread calls end when ctx is done and a write to w does not come back. It
// gives up when over is closed; nil is never.
func whenUnread(ctx context.Context, w *timed, over <-chan struct{}, end func()) {
	defer fault.Exit()
	select {
	case <-ctx.Done():
	case <-over:
		return
	}
	tick := time.NewTicker(unreadLimit / 30)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
			if w.blocked() >= unreadLimit {
				end()
				return
			}
		}
	}
}
