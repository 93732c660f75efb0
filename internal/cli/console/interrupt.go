package console

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nats-test/internal/fault"
)

// CutShort is ErrInterrupted, and what that means, in place of an error that came
// once ctx was done: then the reason is the signal.
func CutShort(ctx context.Context, err error, format string, args ...any) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrInterrupted, fmt.Sprintf(format, args...))
}

// WhenInterrupted is ErrInterrupted in place of an error that a signal brought
// about.
func WhenInterrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return ErrInterrupted
	}
	return err
}

// soonWait is how long an interrupted look may take to come back by itself.
const soonWait = 250 * time.Millisecond

// Soon runs look, and returns what it does. Once ctx is done it is not waited for
// any longer: answers of a hundred megabytes take seconds to read, and what it
// still finds is of no use. over is false then; it ends with the process.
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
