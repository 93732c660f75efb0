package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nats-test/internal/cli/connect"
	"nats-test/internal/cli/console"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/monitor"
	"nats-test/internal/monitor/streaming"
)

// NewEvict returns the command listen evict.
func NewEvict(s *console.System, flags *connect.Flags) *cobra.Command {
	force := false
	cmd := &cobra.Command{
		Use:   "evict CLIENT-ID",
		Short: "close a dead client of NATS Streaming, so that others get its events at once",
		Long: `evict closes the session of a dead client, as the server does when the client's
heartbeats have failed: its unacked events go to others at once, and durable
positions stay. It refuses a client that answers, or that may only hang, unless
--force is given: such a client is cut off, and its events in progress are handled
twice.

JetStream has no clients: there, the events of a dead member are redelivered after
the ack wait.`,
		Example: `  listen evict listen-3f1c9c9e-7c0e-4e0e-8d55-0d4e2b1d7c11`,
		Args:    console.Args(1, 1, "client ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := flags.Resolve(s, cmd)
			if err != nil {
				return err
			}
			if err := broker.CheckClientID(args[0]); err != nil {
				return err
			}
			return evict(cmd.Context(), s, view{b}, console.New(s, cmd), args[0], force)
		},
	}
	console.LocalFlags(cmd).BoolVar(&force, "force", false, "also close a client that is alive, or that can't be asked")
	return cmd
}

// evictPatience is how long evict waits for a client that looks dead: if its
// connection broke, it may be reconnecting (stan.go and node-nats-streaming
// reconnect after 2 s).
const evictPatience = 4 * time.Second

func evict(ctx context.Context, s *console.System, v view, tell *console.Console, id string, force bool) (err error) {
	asked := false // whether the server was asked to close it
	defer func() {
		if err = console.CutShort(ctx, err, "client %q was not closed", id); asked && errors.Is(err, console.ErrInterrupted) {
			err = console.Hinted(fmt.Errorf("%w: whether client %q was closed is not known", console.ErrInterrupted, id), "`listen status` shows whether it is there")
		}
	}()
	observer, err := conn.Observe(ctx, v.Options)
	if err != nil {
		return v.Explain(ctx, err)
	}
	defer observer.Close()
	if !observer.Traits().Clients {
		return console.Hinted(errors.New("JetStream has no clients to close"),
			"events of a dead member are redelivered after the ack wait")
	}
	temp, err := observer.TempClient(ctx)
	if err != nil {
		return err
	}
	defer temp.Leave()
	client := &streaming.Client{ID: id}
	if from := v.streaming(observer); !force {
		client, err = v.deadClient(ctx, from, temp, tell, id)
	} else if v.sameServer(ctx, from, temp) == nil { // else it does not know what the client holds
		if known, asking := from.Client(ctx, id); asking == nil {
			client = known
		}
	}
	if errors.Is(err, errClosedMeanwhile) {
		_, err = fmt.Fprintf(s.Stdout, "Client %s was closed by the server meanwhile\n", console.Printable(id))
		return err
	}
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	tell.Say("closing client %s of the cluster %s at %s", id, cmp.Or(v.Options.Cluster, link.DefaultCluster), v.Options.Where())
	closing := temp.EvictDead // by the server's own word
	if force {
		closing = temp.Evict
	}
	asked = true
	switch err := closing(ctx, id); {
	case errors.Is(err, broker.ErrNoClient):
		return console.Hinted(err, "`listen status` lists the clients")
	case errors.Is(err, broker.ErrClientIDTaken):
		return console.Hinted(fmt.Errorf("client %q is alive: it answered the server's heartbeat", id), stopOrForce)
	case err != nil:
		return err
	case !force:
		if err := v.isClosed(ctx, v.streaming(observer), id); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(s.Stdout, "Client %s closed%s\n", console.Printable(id), holdings(client))
	return err
}

// isClosed returns an error if a closed client is still known, or if that can't be
// determined.
func (v view) isClosed(ctx context.Context, from *streaming.Reader, id string) error {
	switch _, err := from.Client(ctx, id); {
	case errors.Is(err, streaming.ErrNoClient):
		return nil
	case err == nil:
		return console.Hinted(fmt.Errorf("client %q was not closed: the server still has one of that ID", id), "`listen status` lists the clients")
	default:
		return v.explainMonitor(fmt.Errorf("asking whether client %q is closed: %w", id, err), from)
	}
}

// errClosedMeanwhile is returned when the server closed the client itself.
var errClosedMeanwhile = errors.New("closed meanwhile")

// deadClient returns a client that is dead for sure, or an error.
func (v view) deadClient(ctx context.Context, from *streaming.Reader, temp *conn.TempClient, tell *console.Console, id string) (*streaming.Client, error) {
	if err := v.sameServer(ctx, from, temp); err != nil {
		return nil, err
	}
	for begin, seen := time.Now(), false; ; seen = true {
		client, err := from.Client(ctx, id)
		switch {
		case errors.Is(err, streaming.ErrNoClient) && seen:
			return nil, errClosedMeanwhile
		case errors.Is(err, streaming.ErrNoClient):
			return nil, console.Hinted(fmt.Errorf("client %q: %w", id, err), "`listen status` lists the clients")
		case err != nil:
			return nil, v.explainMonitor(fmt.Errorf("asking whether client %q is alive: %w", id, err), from)
		case client.State != monitor.Dead:
			return nil, stillThere(client)
		case time.Since(begin) >= evictPatience:
			return client, nil
		}
		if !seen {
			tell.Say("client %s does not answer; asking it for another %v, since it may be reconnecting", id, evictPatience)
		}
		if !console.Pause(ctx, 2*doubtEvery) {
			return nil, ctx.Err()
		}
	}
}

// sameServer refuses a monitoring port of another server than the one connected
// to, which may have a cluster of the same ID: the clients there are others.
func (v view) sameServer(ctx context.Context, from *streaming.Reader, temp *conn.TempClient) error {
	known, err := from.Knows(ctx, temp.ID, temp.Inbox)
	if err != nil {
		return v.explainMonitor(err, from)
	}
	if !known {
		return console.Explained(fmt.Errorf("the monitoring port at %s belongs to another server than %s", link.ShownURL(v.MonitorURL()), v.Options.Where()),
			console.ErrMonitor, "check --monitor (NATS_MONITOR_URL) and --server (NATS_URL)")
	}
	return nil
}

// stillThere returns the error for a client that is not certainly dead.
func stillThere(client *streaming.Client) error {
	text := map[monitor.State]string{
		monitor.Alive:   "is alive: it answered its heartbeat",
		monitor.Hung:    "hangs, or is cut off, but is still connected: it may come back",
		monitor.Unasked: "can't be asked whether it is alive",
	}[client.State]
	return console.Hinted(fmt.Errorf("client %q %s", client.ID, text), stopOrForce)
}

const stopOrForce = "stop it, or close it anyway with --force"

// holdings lists the events of a closed client that go to others.
func holdings(c *streaming.Client) string {
	var parts []string
	for _, h := range c.Holds {
		parts = append(parts, fmt.Sprintf("%d unacked %s of %s", h.Events, console.Plural(h.Events, "event"), console.Printable(h.Channel)))
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ") + " can go to others"
}
