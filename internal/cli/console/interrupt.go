package console

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nats-test/internal/fault"
)

// CutShort returns ErrInterrupted with a remark in place of an error that came once
// ctx was done: then the signal is the reason.
func CutShort(ctx context.Context, err error, format string, args ...any) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrInterrupted, fmt.Sprintf(format, args...))
}

// WhenInterrupted returns ErrInterrupted in place of an error that a signal caused.
func WhenInterrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return ErrInterrupted
	}
	return err
}

// soonWait is how long an interrupted look may take to come back by itself.
const soonWait = 250 * time.Millisecond

// Soon runs look and returns its error. Once ctx is done, it waits for soonWait at
// most, since answers of a hundred megabytes take seconds to read: then over is
// false, and look ends with the process.
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

// Pause waits, and reports whether ctx is not done yet.
func Pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
