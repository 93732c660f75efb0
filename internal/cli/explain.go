package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/events"
	"nats-test/internal/monitor/port"
	"nats-test/internal/monitor/streaming"
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
	found, line := c.check(ctx, err)
	if f := found.Fault; f != nil && errors.Is(f.Err, broker.ErrNotNATS) && !reachedNATS(err) {
		err = f.Err // what waits for a greeting does not see it
	}
	err = c.askMonitor(ctx, err, found.Servers)
	if line == "" {
		return err
	}
	_, has := errors.AsType[*explained](err)
	if f := found.Fault; !has && f != nil && f.Hint != "" && (!reachedNATS(err) || errors.Is(err, broker.ErrAuth) == errors.Is(f.Err, broker.ErrAuth)) {
		err = hinted(err, "%s", f.Hint) // it knows more
	}
	return &checked{err, line}
}

// askMonitor asks the monitoring port for what the connection could not tell.
// servers are the IDs of those that were reached, as far as they are known.
func (c *connection) askMonitor(ctx context.Context, err error, servers []string) error {
	if errors.Is(err, broker.ErrDenied) && c.options.Backend == broker.Auto {
		return hinted(err, "%s; who may only publish names the --backend", hintFor(err))
	}
	if errors.Is(err, broker.ErrClientIDTaken) && c.flags.ClientID == "" { // it follows from the durable
		return hinted(err, "a durable without a group has one listener at a time: stop the other one, or share the events with --group NAME")
	}
	if errors.Is(err, broker.ErrHTTP) {
		return c.askHTTP(ctx, err)
	}
	if !errors.Is(err, broker.ErrNoCluster) && !errors.Is(err, broker.ErrNoJetStream) || errors.Is(err, broker.ErrNoDomain) {
		return err
	}
	base := c.monitorURL()
	about, asking := port.About(ctx, base)
	var clusters []string
	if asking == nil {
		clusters, asking = streaming.Clusters(ctx, base)
	}
	p := place{link.ShownURL(base), c.options.Where(), about, clusters, len(servers) == 0 || slices.Contains(servers, about.ID)}
	switch {
	case !errors.Is(err, broker.ErrNoCluster):
		return hinted(err, "%s", p.withoutJetStream(err, asking == nil))
	case asking != nil:
		return hinted(err, "name the right cluster with --cluster (NATS_CLUSTER_ID), or --backend jetstream if that is meant; "+
			"the monitoring port could tell more, but does not answer at %s (--monitor URL)", p.base)
	}
	return hinted(err, "%s", p.withoutCluster(firstOf(c.options.Cluster, link.DefaultCluster), err))
}

// askHTTP finds out whether what speaks HTTP, where a server should be, is a
// monitoring port.
func (c *connection) askHTTP(ctx context.Context, err error) error {
	for _, server := range strings.Split(c.options.Where(), ",") {
		u, wrong := url.Parse(server)
		if wrong != nil {
			continue
		}
		if about, asking := port.About(ctx, "http://"+u.Host); asking == nil && about.Port > 0 {
			return hinted(err, "%s is the monitoring port of a NATS server (--monitor): clients go to its port %d (--server, NATS_URL)", u.Host, about.Port)
		}
	}
	return err
}

// A place is a server that has not what was asked for, and what the monitoring
// port says.
type place struct {
	base, server string // URLs, without secrets
	about        port.Server
	clusters     []string // of NATS Streaming, that the monitoring port knows
	same         bool     // the monitoring port is that of the server, as far as is known
}

// withoutJetStream is what to type where the account or the server has none.
func (p place) withoutJetStream(err error, known bool) string {
	const other = "connect to another server with --server"
	switch {
	case errors.Is(err, broker.ErrNotForAccount):
		return forAccount
	case !known || !p.same:
		return "--backend stan, or auto, if this is NATS Streaming; else enable JetStream there (nats-server -js, or a jetstream block in its configuration), " +
			"or " + other
	case len(p.clusters) > 0:
		return fmt.Sprintf("this is NATS Streaming, with the cluster %q (so says %s): --backend stan, or auto", p.clusters[0], p.base)
	}
	return "this server has none, nor NATS Streaming (so says " + p.base + "): " + p.startJetStream() + ", or " + other
}

const forAccount = "enable JetStream for the account of these credentials, use others (--user, --creds), or connect to another server with --server"

// startJetStream is how this server comes to have JetStream.
func (p place) startJetStream() string {
	if p.about.Leaf {
		return "it is a leaf node: reach the JetStream of the servers that it is connected to with --domain NAME, start its own with -js"
	}
	return "start it with -js"
}

// withoutCluster is what to type where the cluster does not answer.
func (p place) withoutCluster(cluster string, err error) string {
	const check = "check --monitor (NATS_MONITOR_URL) and --server"
	found := p.clusters
	mine := slices.Contains(found, cluster)
	switch {
	case !p.same && mine:
		return fmt.Sprintf("a server of the cluster %q is there, but the monitoring port at %s is that of another NATS server than %s: "+check, cluster, p.base, p.server)
	case !p.same:
		return fmt.Sprintf("name the right cluster with --cluster (NATS_CLUSTER_ID), or --backend jetstream if that is meant; "+
			"which ones there are is not known, since the monitoring port at %s is that of another server than %s: "+check, p.base, p.server)
	case mine && p.about.Streaming == "":
		return fmt.Sprintf("servers of the cluster %q are connected (so says %s), but none answers: they may be starting, or without a leader; try again, or look at their logs",
			cluster, p.base)
	case mine && p.about.State == "CLUSTERED":
		return fmt.Sprintf("this server belongs to the cluster %q, as %s (so says %s), and no leader of it answers: most of its servers must run, and reach each other",
			cluster, clipped(firstOf(p.about.Role, "unknown")), p.base)
	case mine && p.about.State == "FT_STANDBY":
		return fmt.Sprintf("this server of the cluster %q stands by for another (so says %s), and no active one answers: look at that one", cluster, p.base)
	case mine:
		return fmt.Sprintf("the server of the cluster %q is there (so says %s), and takes no clients: it may still be starting; try again, or look at its log", cluster, p.base)
	case len(found) == 0 && errors.Is(err, broker.ErrNotForAccount):
		return fmt.Sprintf("this is a NATS server without NATS Streaming (so says %s): %s", p.base, forAccount)
	case len(found) == 0 && errors.Is(err, broker.ErrNoJetStream):
		return fmt.Sprintf("this is a NATS server without NATS Streaming (so says %s) and without JetStream: %s, or connect to another with --server", p.base, p.startJetStream())
	case len(found) == 0:
		return fmt.Sprintf("this is a NATS server without NATS Streaming (so says %s): --backend jetstream if it has JetStream; "+
			"else connect to another with --server", p.base)
	case len(found) == 1:
		return fmt.Sprintf("the cluster there is %q: --cluster %s (NATS_CLUSTER_ID)", found[0], shellescape.Quote(found[0]))
	}
	return fmt.Sprintf("the clusters there are %s: choose with --cluster (NATS_CLUSTER_ID)", clipped(fmt.Sprintf("%q", found)))
}
