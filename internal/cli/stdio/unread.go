// Package stdio knows the standard streams of this process: which of them a shell
// closed, whether what is written is read, and what a library writes there.
//
// The package's rule: it prints nothing.
package stdio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"syscall"
	"time"

	"nats-test/internal/fault"
)

// Why stdout can't be written any more.
var (
	ErrClosed = errors.New("writing to stdout: it was closed at the other end")
	ErrUnread = errors.New("writing to stdout: nobody reads it")
)

// A Timed writer knows for how long a write has not come back: nobody reads what
// is written.
type Timed struct {
	io.Writer
	since atomic.Int64 // when the write began, in ns; 0 while there is none
}

func (w *Timed) Write(p []byte) (int, error) {
	w.since.Store(time.Now().UnixNano())
	defer w.since.Store(0)
	return w.Writer.Write(p)
}

// Blocked returns for how long the write that is under way has not come back.
func (w *Timed) Blocked() time.Duration {
	if since := w.since.Load(); since > 0 {
		return time.Since(time.Unix(0, since))
	}
	return 0
}

// unreadLimit is how long, once the program is to stop, a write that nobody reads
// is waited for.
const unreadLimit = 3 * time.Second

// Unwritten is why stdout could not be written.
func Unwritten(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return ErrClosed
	}
	return fmt.Errorf("writing to stdout: %w", Reason(err))
}

// Reason returns why a standard stream failed, without the name that it has for Go.
func Reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// WhenUnread calls end when ctx is done and a write to w does not come back. It
// gives up when over is closed; nil is never.
func WhenUnread(ctx context.Context, w *Timed, over <-chan struct{}, end func()) {
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
			if w.Blocked() >= unreadLimit {
				end()
				return
			}
		}
	}
}
