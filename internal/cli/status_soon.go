package cli

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"nats-test/internal/monitor"
)

// soonWait is how long an interrupted look may take to come back by itself.
const soonWait = 250 * time.Millisecond

// soon runs look, and returns what it does. Once ctx is done it is not waited for
// any longer: answers of a hundred megabytes take seconds to read, and what it
// still finds is of no use. over is false then; it ends with the process.
func soon(ctx context.Context, look func() error) (over bool, err error) {
	type outcome struct {
		err   error
		fault string
	}
	came := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if r := recover(); r != nil {
				o.fault = fmt.Sprintf("%v\n%s", r, debug.Stack())
			}
			came <- o
		}()
		o.err = look()
	}()
	finished := func(o outcome) (bool, error) {
		if o.fault != "" {
			panic(o.fault)
		}
		return true, o.err
	}
	select {
	case o := <-came:
		return finished(o)
	case <-ctx.Done():
	}
	select {
	case o := <-came:
		return finished(o)
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
