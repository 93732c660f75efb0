package console

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"nats-test/internal/fault"
)

// UntilSignal returns a context that is cancelled by the first SIGINT, SIGTERM or
// SIGHUP (a closed terminal), for a clean shutdown. A second signal then has its
// default effect and ends the program at once. stop must be called.
func UntilSignal(parent context.Context) (ctx context.Context, stop context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop = signal.NotifyContext(parent, signals...)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// CutShort returns ErrInterrupted with a remark in place of err once ctx is done,
// since the error is then a consequence of the signal.
func CutShort(ctx context.Context, err error, format string, args ...any) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrInterrupted, fmt.Sprintf(format, args...))
}

// WhenInterrupted returns ErrInterrupted in place of an error caused by a signal.
func WhenInterrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return ErrInterrupted
	}
	return err
}

// soonWait is how long Soon waits for look after an interruption.
const soonWait = 250 * time.Millisecond

// Soon runs look and returns its error. Once ctx is done, it waits for at most
// soonWait, since a reply of 100 MB takes seconds to parse. Then over is false, and
// look ends with the process.
func Soon(ctx context.Context, look func() error) (over bool, err error) {
	came := make(chan error, 1)
	go func() {
		defer fault.Exit()
		came <- look()
	}()
	select {
	case err = <-came:
		return true, err
	case <-ctx.Done():
	}
	select {
	case err = <-came:
		return true, err
	case <-time.After(soonWait):
		return false, context.Cause(ctx)
	}
}

// Pause waits for d, and reports whether ctx is still active.
func Pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
