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

// A reader reads the state of a broker. Its requests end only with their context.
type reader interface {
	Read(ctx context.Context, subjects []string) (*monitor.Snapshot, error)

	// Replayed returns how many events of subject, in c, were delivered to position
	// s, and would be delivered again if it were forgotten.
	Replayed(ctx context.Context, c *monitor.Channel, s *monitor.Subscription, subject string) (uint64, error)
}

// A view reads a broker's state, over a connection and from its monitoring port.
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
	return observer, &jetstream.Reader{JS: js, Ask: observer.Ask, Members: members(observer), GroupOf: conn.GroupOf}, nil
}

// streaming returns a reader of a NATS Streaming server.
func (v view) streaming(observer *conn.Observer) *streaming.Reader {
	return &streaming.Reader{
		Base: v.MonitorURL(), Cluster: cmp.Or(v.Options.Cluster, link.DefaultCluster), Timeout: v.Timeout(),
		Ask: &streaming.Heartbeats{NC: observer.NATS(), Prefix: v.Options.InboxPrefix},
	}
}

// members returns a function that asks for the members of consumers.
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

// explainMonitor adds a hint to the error of a reader.
func (v view) explainMonitor(err error, from reader) error {
	if errors.Is(err, broker.ErrAuth) {
		return console.Hinted(err, "the user needs the permission to publish to $JS.API.STREAM.NAMES, $JS.API.STREAM.LIST, $JS.API.STREAM.INFO.* and $JS.API.CONSUMER.LIST.*")
	}
	if errors.Is(err, streaming.ErrClients) {
		return console.Explained(fmt.Errorf("looking at %s: %w", v.Options.Where(), err), broker.ErrLost, "`listen doctor` tells how far the connection comes")
	}
	if console.IsKnown(err) {
		return err
	}
	if _, ok := from.(*streaming.Reader); !ok {
		return console.Explained(fmt.Errorf("looking at %s: %w", v.Options.Where(), err), console.ErrMonitor, "`listen doctor` tells more")
	}
	return console.Explained(fmt.Errorf("looking at %s: %w", v.Options.Where(), err), console.ErrMonitor,
		fmt.Sprintf("NATS Streaming tells how it stands on its monitoring port, asked at %s: start the server with -m 8222, "+
			"forward the port (make pf MONITOR=1), or say where it is with --monitor (NATS_MONITOR_URL)", link.ShownURL(v.MonitorURL())))
}

// read reads the state of a broker in bounded time.
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
