package status

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"nats-test/internal/cli/console"
	"nats-test/internal/cli/stdio"
	"nats-test/internal/monitor"
)

// A report is a snapshot and its findings.
type report struct {
	*monitor.Snapshot
	Healthy  bool              `json:"healthy"`
	Findings []monitor.Finding `json:"judgements"`
}

// snapshot takes a snapshot and judges it.
func (o *statusOptions) snapshot(ctx context.Context, from reader, h *monitor.History) (*report, error) {
	snapshot, err := o.read(ctx, from, o.subjects)
	if err != nil {
		return nil, err
	}
	h.Add(snapshot)
	r := &report{Snapshot: snapshot, Healthy: true, Findings: snapshot.Judge(o.settle)}
	addHints(r.Findings)
	if r.Role != "" && r.Role != "Leader" {
		r.Notes = append(r.Notes, "name the leader's monitoring port with --monitor (NATS_MONITOR_URL)")
	}
	for _, j := range r.Findings {
		r.Healthy = r.Healthy && !j.Stuck
	}
	if r.Findings == nil {
		r.Findings = []monitor.Finding{}
	}
	return r, nil
}

// Interval of a watch, interval of repeats of a snapshot in doubt, and how long
// beyond --settle these go on.
const (
	watchEvery = time.Second
	doubtEvery = 250 * time.Millisecond
	doubtMost  = 4 * time.Second
)

func run(ctx context.Context, s *console.System, tell *console.Console, o *statusOptions) error {
	observer, from, err := o.observe(ctx)
	if err != nil && ctx.Err() != nil {
		return errCutShort
	}
	if err != nil {
		return err
	}
	defer observer.Close()
	h := &monitor.History{}
	var shown atomic.Bool // once something was shown, an interruption is a normal end
	look := func(ctx context.Context) (*report, error) {
		r, err := o.snapshot(ctx, from, h)
		if err == nil && ctx.Err() == nil {
			shown.Store(true)
		}
		return r, err
	}
	if o.watch && o.output == "text" {
		return watch(ctx, s, paintReport(tell), look)
	}
	over, err := console.Soon(ctx, func() error {
		if o.watch {
			return stream(ctx, s, tell, look)
		}
		return once(ctx, s, tell, o, look)
	})
	switch {
	case o.watch && (!over || err == nil) && shown.Load():
		return nil
	case !over, o.watch && err == nil:
		return errCutShort
	}
	return err
}

// once prints one report.
func once(ctx context.Context, s *console.System, tell *console.Console, o *statusOptions, look func(context.Context) (*report, error)) error {
	r, err := look(ctx)
	// A member that looks stuck may be handling an event: read again.
	for begin := time.Now(); err == nil && r.Doubtful(o.settle) && time.Since(begin) < o.settle+doubtMost; {
		if !console.Pause(ctx, doubtEvery) {
			return errCutShort
		}
		r, err = look(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return errCutShort
		}
		return err
	}
	if o.output == "json" {
		err = writeJSON(s, r)
	} else if _, err = fmt.Fprint(s.Stdout, paintReport(tell).text(r, s.Width, false)); err != nil {
		err = stdio.Unwritten(err)
	}
	if err == nil && !r.Healthy {
		err = console.Explained(errStuck, nil, "")
	}
	return err
}

// stream prints a report each second. Errors are printed, and the next snapshot
// follows.
func stream(parent context.Context, s *console.System, tell *console.Console, look func(context.Context) (*report, error)) error {
	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	defer stdio.WhenClosed(s.Stdout, func() { stop(stdio.ErrClosed) })()
	told := ""
	for {
		r, err := look(ctx)
		switch {
		case parent.Err() != nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && err.Error() != told:
			told = err.Error()
			tell.Fail(err)
		case err == nil:
			told = ""
			if err := writeJSON(s, r); err != nil {
				return err
			}
		}
		console.Pause(ctx, watchEvery)
	}
}

func writeJSON(s *console.System, r *report) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	line := string(text)
	if s.StdoutTTY {
		line = console.Printable(line)
	}
	if _, err := fmt.Fprintln(s.Stdout, line); err != nil {
		return stdio.Unwritten(err)
	}
	return nil
}
