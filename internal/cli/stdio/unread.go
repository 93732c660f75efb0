// Package stdio watches the standard streams of this process: whether a shell
// closed them, whether stdout and stderr are read, and whether a library writes to
// stdout.
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

// Reasons why a write to stdout fails.
var (
	ErrClosed = errors.New("writing to stdout: its reader closed it")
	ErrUnread = errors.New("writing to stdout: its reader has stopped reading")
)

// A Timed writer knows how long its current write has been blocked, which happens
// when the output is not read.
type Timed struct {
	io.Writer
	since atomic.Int64 // start of the write, in ns; 0 between writes
}

func (w *Timed) Write(p []byte) (int, error) {
	w.since.Store(time.Now().UnixNano())
	defer w.since.Store(0)
	return w.Writer.Write(p)
}

// Blocked returns how long the current write has been blocked.
func (w *Timed) Blocked() time.Duration {
	if since := w.since.Load(); since > 0 {
		return time.Since(time.Unix(0, since))
	}
	return 0
}

// unreadLimit is how long a write may block after the signal to stop.
const unreadLimit = 3 * time.Second

// Unwritten returns the error for a failed write to stdout.
func Unwritten(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return ErrClosed
	}
	return fmt.Errorf("writing to stdout: %w", Reason(err))
}

// Reason returns the cause of a stream's error, without the operation and file
// name.
func Reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// WhenUnread calls end once ctx is done and a write to w has been blocked for
// unreadLimit. It returns when over is closed, which may be nil.
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
