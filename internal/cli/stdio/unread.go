// Package stdio watches the standard streams of this process: which of them a shell
// has closed, whether anyone reads stdout and stderr, and whether a library writes
// there.
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

// Reasons why stdout can't be written any more.
var (
	ErrClosed = errors.New("writing to stdout: it was closed at the other end")
	ErrUnread = errors.New("writing to stdout: nobody reads it")
)

// A Timed writer knows for how long a write has blocked, as it does when nobody
// reads.
type Timed struct {
	io.Writer
	since atomic.Int64 // when the write began, in ns; 0 while there is none
}

func (w *Timed) Write(p []byte) (int, error) {
	w.since.Store(time.Now().UnixNano())
	defer w.since.Store(0)
	return w.Writer.Write(p)
}

// Blocked returns for how long the current write has blocked.
func (w *Timed) Blocked() time.Duration {
	if since := w.since.Load(); since > 0 {
		return time.Since(time.Unix(0, since))
	}
	return 0
}

// unreadLimit is how long a write may block once the program is to stop.
const unreadLimit = 3 * time.Second

// Unwritten returns the error for a failed write to stdout.
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

// WhenUnread calls end once ctx is done and a write to w has blocked for
// unreadLimit. It returns when over is closed; a nil over never is.
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
