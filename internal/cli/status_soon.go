package cli

import (
	"context"
	"fmt"
	"time"

	"nats-test/internal/fault"
	"nats-test/internal/monitor"
)

// soonWait is how long an interrupted look may take to come back by itself.
const soonWait = 250 * time.Millisecond

// soon runs look, and returns what it does. Once ctx is done it is not waited for
// any longer: answers of a hundred megabytes take seconds to read, and what it
// still finds is of no use. over is false then; it ends with the process.
func soon(ctx context.Context, look func() error) (over bool, err error) {
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

// read has a broker tell how it stands, in bounded time.
func (c *connection) read(ctx context.Context, from looker, subjects []string) (*monitor.Snapshot, error) {
	late, cancel := context.WithTimeout(ctx, 6*c.timeout())
	defer cancel()
	var found *monitor.Snapshot
	over, err := soon(ctx, func() (err error) {
		found, err = from.Read(late, subjects)
		return err
	})
	if !over {
		return nil, err
	}
	switch {
	case err != nil && ctx.Err() == nil && late.Err() != nil:
		err = fmt.Errorf("it takes longer than %v: %w", 6*c.timeout(), err)
		fallthrough
	case err != nil && ctx.Err() == nil:
		return nil, c.explainMonitor(err, from)
	}
	return found, err
}
