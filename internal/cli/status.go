package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/monitor"
	"nats-test/internal/monitor/jetstream"
	"nats-test/internal/monitor/streaming"
)

// statusOptions are the flags of listen status.
type statusOptions struct {
	*connection
	subjects []string
	watch    bool
	settle   time.Duration
	output   string
}

// How a status ends that is not healthy for sure.
var (
	errStuck    = errors.New("something is stuck")
	errCutShort = fmt.Errorf("%w before the look was over", errInterrupted)
)

// newStatus returns the command listen status.
func newStatus(s *System, c *connection) *cobra.Command {
	o := &statusOptions{connection: c}
	cmd := &cobra.Command{
		Use:   "status [SUBJECT...]",
		Short: "tell who listens, who is stuck, what waits",
		Long: `status shows the channels of NATS Streaming or the streams of JetStream, who takes
events from them, and how far each has come; and says in plain sentences what is
wrong, the worst first. With subjects it looks at these alone; * stands for any
text. NATS Streaming tells all this on its monitoring port (--monitor), and who
is dead or hangs is found out by asking every client.

It exits with 0 if nothing is stuck, and with 1 if something is; a watch with 0.
What does not move for --settle is stuck: say how long your slowest service may
work on an event. A channel called as a command is listened to with:
listen --raw -- status`,
		Example: `  listen status
  listen status ticket:created 'order:*'
  listen status --watch
  listen status -o json | jq -r '.judgements[].text'`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.subjects = args
			if err := o.check(s, cmd); err != nil {
				return err
			}
			return statusRun(cmd.Context(), s, newTeller(s, cmd), o)
		},
	}
	f := localFlags(cmd)
	f.BoolVarP(&o.watch, "watch", "w", false, "look again every second: on a terminal in place (q quits, arrows scroll), with -o json a line each")
	f.DurationVar(&o.settle, "settle", 2*time.Second, "what holds events and does not move for so long is stuck; a single look watches it for so long")
	f.StringVarP(&o.output, "output", "o", "text", "text, or json (a line for each look)")
	complete(cmd, "output", "text", "json")
	return cmd
}

func (o *statusOptions) check(s *System, cmd *cobra.Command) error {
	if err := o.resolve(s, cmd); err != nil {
		return err
	}
	for _, subject := range o.subjects {
		if strings.Contains(subject, "*") && !strings.ContainsAny(subject, `>?[\`) {
			continue
		}
		if err := broker.CheckSubject(subject); err != nil {
			return err
		}
	}
	switch {
	case o.settle < 0 || o.settle > time.Hour:
		return usage(cmd, "--settle %v: must be from 0 to 1h", o.settle)
	case o.output != "text" && o.output != "json":
		return usage(cmd, "--output %q: must be text or json", o.output)
	case o.watch && o.output == "text" && !s.StdoutTTY:
		return usage(cmd, "--watch draws on a terminal, and stdout is none: add -o json for a stream of lines")
	}
	return nil
}

// A looker tells how a broker stands. What it asks ends with its context alone.
type looker interface {
	Read(ctx context.Context, subjects []string) (*monitor.Snapshot, error)

	// Replayed returns how many events of subject, in c, position s has got:
	// so many come again if it is forgotten.
	Replayed(ctx context.Context, c *monitor.Channel, s *monitor.Subscription, subject string) (uint64, error)
}

// observe connects, and returns what to ask there.
func (c *connection) observe(ctx context.Context) (*conn.Observer, looker, error) {
	observer, err := conn.Observe(ctx, c.options)
	if err != nil {
		return nil, nil, c.explain(ctx, err)
	}
	if observer.Backend() == broker.STAN {
		return observer, c.streaming(observer), nil
	}
	js, err := observer.JetStream()
	if err != nil {
		observer.Close()
		return nil, nil, err
	}
	return observer, &jetstream.Reader{JS: js, Ask: observer.Ask, Members: members(observer), GroupOf: conn.GroupOf}, nil
}

// streaming returns what to ask a NATS Streaming server by.
func (c *connection) streaming(observer *conn.Observer) *streaming.Reader {
	return &streaming.Reader{
		Base: c.monitorURL(), Cluster: firstOf(c.options.Cluster, link.DefaultCluster), Timeout: c.timeout(),
		Ask: &streaming.Heartbeats{NC: observer.NATS(), Prefix: c.options.InboxPrefix},
	}
}

func (c *connection) timeout() time.Duration {
	if c.options.Timeout > 0 {
		return c.options.Timeout
	}
	return link.DefaultTimeout
}

// members returns how to ask who shares consumers.
func members(observer *conn.Observer) func(context.Context, [][2]string) ([][]monitor.Member, error) {
	return func(ctx context.Context, consumers [][2]string) ([][]monitor.Member, error) {
		answers, err := observer.Consumers(ctx, consumers)
		all := make([][]monitor.Member, len(answers))
		for i, list := range answers {
			for _, m := range list {
				all[i] = append(all[i], monitor.Member{
					Client: m.Client, State: monitor.Alive, Unacked: m.Held, MaxInFlight: m.Limit,
					Stalled: m.Limit > 0 && m.Held >= m.Limit, Quiet: time.Duration(m.Quiet) * time.Millisecond, Blocked: time.Duration(m.Blocked) * time.Millisecond,
				})
			}
		}
		return all, err
	}
}

// A report is a look with what is to be said of it.
type report struct {
	*monitor.Snapshot
	Healthy    bool                `json:"healthy"`
	Judgements []monitor.Judgement `json:"judgements"`
}

// look asks once, and judges.
func (o *statusOptions) look(ctx context.Context, from looker, h *monitor.History) (*report, error) {
	snapshot, err := o.read(ctx, from, o.subjects)
	if err != nil {
		return nil, err
	}
	h.Add(snapshot)
	r := &report{Snapshot: snapshot, Healthy: true, Judgements: snapshot.Judge(o.settle)}
	for _, j := range r.Judgements {
		r.Healthy = r.Healthy && !j.Stuck
	}
	if r.Judgements == nil {
		r.Judgements = []monitor.Judgement{}
	}
	return r, nil
}

// explainMonitor says what to type when a broker does not tell how it stands.
func (c *connection) explainMonitor(err error, from looker) error {
	if errors.Is(err, broker.ErrAuth) {
		return hinted(err, "the user needs the permission to publish to $JS.API.STREAM.NAMES, $JS.API.STREAM.LIST, $JS.API.STREAM.INFO.* and $JS.API.CONSUMER.LIST.*")
	}
	if errors.Is(err, streaming.ErrClients) {
		return &explained{fmt.Errorf("looking at %s: %w", c.options.Where(), err), broker.ErrLost, "`listen doctor` tells how far the connection comes"}
	}
	for _, e := range ends {
		if errors.Is(err, e.err) {
			return err
		}
	}
	if _, ok := from.(*streaming.Reader); !ok {
		return &explained{fmt.Errorf("looking at %s: %w", c.options.Where(), err), errMonitor, "`listen doctor` tells more"}
	}
	return &explained{fmt.Errorf("looking at %s: %w", c.options.Where(), err), errMonitor,
		fmt.Sprintf("NATS Streaming tells how it stands on its monitoring port, asked at %s: start the server with -m 8222, "+
			"forward the port (make pf MONITOR=1), or say where it is with --monitor (NATS_MONITOR_URL)", link.ShownURL(c.monitorURL()))}
}

// How often a watch looks, and how soon a look that leaves a doubt is repeated:
// at most for so long beyond --settle.
const (
	watchEvery = time.Second
	doubtEvery = 250 * time.Millisecond
	doubtMost  = 4 * time.Second
)

func statusRun(ctx context.Context, s *System, tell *teller, o *statusOptions) error {
	observer, from, err := o.observe(ctx)
	if err != nil && ctx.Err() != nil {
		return errCutShort
	}
	if err != nil {
		return err
	}
	defer observer.Close()
	h := &monitor.History{}
	var shown atomic.Bool // a watch that showed something has done what it is for
	look := func(ctx context.Context) (*report, error) {
		r, err := o.look(ctx, from, h)
		if err == nil && ctx.Err() == nil {
			shown.Store(true)
		}
		return r, err
	}
	if o.watch && o.output == "text" {
		return watch(ctx, s, paintReport(s, o.color), look)
	}
	over, err := soon(ctx, func() error {
		if o.watch {
			return stream(ctx, s, tell, look)
		}
		return once(ctx, s, o, look)
	})
	switch {
	case o.watch && (!over || err == nil) && shown.Load():
		return nil
	case !over, o.watch && err == nil:
		return errCutShort
	}
	return err
}

// once shows one look.
func once(ctx context.Context, s *System, o *statusOptions, look func(context.Context) (*report, error)) error {
	r, err := look(ctx)
	// What looks stuck may just be at work: a moment tells.
	for begin := time.Now(); err == nil && r.Doubtful(o.settle) && time.Since(begin) < o.settle+doubtMost; {
		if !pause(ctx, doubtEvery) {
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
	} else if _, err = fmt.Fprint(s.Stdout, paintReport(s, o.color).text(r, s.Width, false)); err != nil {
		err = unwritten(err)
	}
	if err == nil && !r.Healthy {
		err = &explained{errStuck, nil, ""}
	}
	return err
}

// stream writes a look each second. One that fails is told, and made again.
func stream(parent context.Context, s *System, tell *teller, look func(context.Context) (*report, error)) error {
	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	defer whenClosed(s.Stdout, func() { stop(errClosed) })()
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
			tell.fail(err)
		case err == nil:
			told = ""
			if err := writeJSON(s, r); err != nil {
				return err
			}
		}
		pause(ctx, watchEvery)
	}
}

func writeJSON(s *System, r *report) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	line := string(text)
	if s.StdoutTTY {
		line = printable(line)
	}
	if _, err := fmt.Fprintln(s.Stdout, line); err != nil {
		return unwritten(err)
	}
	return nil
}

// pause waits, and reports whether ctx is not done yet.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
