package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"nats-test/internal/cli/connect"
	"nats-test/internal/cli/console"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/monitor"
	"nats-test/internal/monitor/jetstream"
	"nats-test/internal/monitor/streaming"
)

// A reader reads the state of a broker. Only its context limits the time of a
// request.
type reader interface {
	Read(ctx context.Context, subjects []string) (*monitor.Snapshot, error)

	// Replayed returns the number of events of subject in c already delivered to
	// position s: they would be delivered again if it were forgotten.
	Replayed(ctx context.Context, c *monitor.Channel, s *monitor.Subscription, subject string) (uint64, error)
}

// A view reads the state of a broker, from its connection and its monitoring port.
type view struct{ *connect.Broker }

// observe connects, and returns a reader of the broker.
func (v view) observe(ctx context.Context) (*conn.Observer, reader, error) {
	observer, err := conn.Observe(ctx, v.Options)
	if err != nil {
		return nil, nil, v.Explain(ctx, err)
	}
	if observer.Backend() == broker.STAN {
		return observer, v.streaming(observer), nil
	}
	js, err := observer.JetStream()
	if err != nil {
		observer.Close()
		return nil, nil, err
	}
	return observer, &jetstream.Reader{JS: js, Ask: observer.Ask, Members: answering(observer.Consumers), GroupOf: conn.GroupOf}, nil
}

// streaming returns a reader of a NATS Streaming server.
func (v view) streaming(observer *conn.Observer) *streaming.Reader {
	return &streaming.Reader{
		Base: v.MonitorURL(), Cluster: cmp.Or(v.Options.Cluster, link.DefaultCluster), Timeout: v.Timeout(),
		Ask:     &streaming.Heartbeats{NC: observer.NATS(), Prefix: v.Options.InboxPrefix},
		Workers: answering(observer.Subscribers),
	}
}

// answering returns a function that calls the roll by ask.
func answering[T any](ask func(context.Context, []T) ([][]link.Member, error)) func(context.Context, []T) ([][]monitor.Member, error) {
	return func(ctx context.Context, asked []T) ([][]monitor.Member, error) {
		answers, err := ask(ctx, asked)
		all := make([][]monitor.Member, len(answers))
		for i, list := range answers {
			for _, m := range list {
				all[i] = append(all[i], monitor.Member{
					Client: m.Client, State: monitor.Alive, Unacked: m.Held, MaxInFlight: m.Limit,
					Stalled: m.Limit > 0 && m.Held >= m.Limit, Quiet: milliseconds(m.Quiet), Blocked: milliseconds(m.Blocked), Work: workOf(m.Work),
				})
			}
		}
		return all, err
	}
}

func workOf(told *broker.Work) *monitor.Work {
	if told == nil {
		return nil
	}
	work := &monitor.Work{Retries: told.Retries, Passed: told.Passed, DeadLetters: told.Dead, Letters: told.Letters}
	for _, r := range told.Next {
		work.Next = append(work.Next, monitor.Retry{Sequence: r.Sequence, Failed: r.Failed, Wait: milliseconds(r.Wait)})
	}
	return work
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// explainMonitor adds a hint to the error of a reader.
func (v view) explainMonitor(err error, from reader) error {
	if errors.Is(err, broker.ErrAuth) {
		return console.Hinted(err, "the user needs the permission to publish to $JS.API.STREAM.NAMES, $JS.API.STREAM.LIST, $JS.API.STREAM.INFO.* and $JS.API.CONSUMER.LIST.*")
	}
	if errors.Is(err, streaming.ErrClients) {
		return console.Explained(fmt.Errorf("looking at %s: %w", v.Options.Where(), err), broker.ErrLost, "`listen doctor` checks the connection step by step")
	}
	if console.IsKnown(err) {
		return err
	}
	if _, ok := from.(*streaming.Reader); !ok {
		return console.Explained(fmt.Errorf("looking at %s: %w", v.Options.Where(), err), console.ErrMonitor, "`listen doctor` shows more")
	}
	return console.Explained(fmt.Errorf("looking at %s: %w", v.Options.Where(), err), console.ErrMonitor,
		fmt.Sprintf("NATS Streaming shows its state on the monitoring port only, tried at %s: start the server with -m 8222, "+
			"forward the port (make pf MONITOR=1), or set --monitor (NATS_MONITOR_URL)", link.ShownURL(v.MonitorURL())))
}

// read reads the state of a broker, with a time limit.
func (v view) read(ctx context.Context, from reader, subjects []string) (*monitor.Snapshot, error) {
	late, cancel := context.WithTimeout(ctx, 6*v.Timeout())
	defer cancel()
	var found *monitor.Snapshot
	over, err := console.Soon(ctx, func() (err error) {
		found, err = from.Read(late, subjects)
		return err
	})
	if !over {
		return nil, err
	}
	switch {
	case err != nil && ctx.Err() == nil && late.Err() != nil:
		err = fmt.Errorf("it takes longer than %v: %w", 6*v.Timeout(), err)
		fallthrough
	case err != nil && ctx.Err() == nil:
		return nil, v.explainMonitor(err, from)
	}
	return found, err
}
