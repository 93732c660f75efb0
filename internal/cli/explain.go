package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"nats-test/internal/conn"
	"nats-test/internal/events"
	"nats-test/internal/monitor"
)

// hintFor returns what to type after err, or "".
func hintFor(err error) string {
	if e, ok := errors.AsType[*explained](err); ok && e.hint != "" {
		return e.hint
	}
	if e, ok := errors.AsType[*events.UnknownError](err); ok {
		hint := "`publish events` lists them; --raw allows any subject"
		if e.Nearest != "" {
			hint = fmt.Sprintf("did you mean %s? ", e.Nearest) + hint
		}
		return hint
	}
	if e, ok := errors.AsType[*events.InvalidError](err); ok {
		return fmt.Sprintf("`publish events %s` shows the contract and an example", shellescape.Quote(e.Subject))
	}
	for _, e := range ends {
		if errors.Is(err, e.err) {
			return e.hint
		}
	}
	if isCatalogueError(err) {
		return "`publish events check PATH` tells all that is wrong with a catalogue (--catalog, EVENTS_CATALOG); " +
			"`publish events export DIR --as proto` writes one to begin with"
	}
	return ""
}

// explain adds to the error of a connection what it could not tell by itself:
// what to type next, and at which step it failed.
func (c *connection) explain(ctx context.Context, err error) error {
	return c.check(ctx, c.askMonitor(ctx, err))
}

// askMonitor asks the monitoring port for what the connection could not tell.
func (c *connection) askMonitor(ctx context.Context, err error) error {
	if c.options.Backend == conn.JetStream && errors.Is(err, conn.ErrNoJetStream) {
		return hinted(err, "--backend stan, or auto, if this is NATS Streaming; "+
			"else enable JetStream (nats-server -js, and for the account), or connect to another server with --server")
	}
	if !errors.Is(err, conn.ErrNoCluster) {
		return err
	}
	base := c.monitorURL()
	found, asking := monitor.Clusters(ctx, base)
	base = conn.ShownURL(base)
	switch {
	case asking != nil:
		return hinted(err, "name the right cluster with --cluster (NATS_CLUSTER_ID), or --backend jetstream if that is meant; "+
			"the monitoring port could tell it, but does not answer at %s (--monitor URL)", base)
	case slices.Contains(found, firstOf(c.options.Cluster, conn.DefaultCluster)):
		return hinted(err, "the monitoring port at %s belongs to another server than %s: check --monitor and --server", base, c.options.Where())
	case len(found) == 0 && errors.Is(err, conn.ErrNoJetStream):
		return hinted(err, "this is a NATS server without NATS Streaming (so says %s) and without JetStream: "+
			"start it with -js, or connect to another with --server", base)
	case len(found) == 0:
		return hinted(err, "this is a NATS server without NATS Streaming (so says %s): --backend jetstream if it has JetStream; "+
			"else connect to another with --server", base)
	case len(found) == 1:
		return hinted(err, "the cluster there is %q: --cluster %s (NATS_CLUSTER_ID)", found[0], shellescape.Quote(found[0]))
	}
	return hinted(err, "the clusters there are %s: choose with --cluster (NATS_CLUSTER_ID)", strings.Join(found, ", "))
}
