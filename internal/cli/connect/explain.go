package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"nats-test/internal/cli/console"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/monitor/port"
	"nats-test/internal/monitor/streaming"
)

// Explain adds a hint to the error of a failed connection, and the step at which it
// failed.
func (b *Broker) Explain(ctx context.Context, err error) error {
	found, line := b.diagnose(ctx, err)
	if f := found.Fault; f != nil && errors.Is(f.Err, broker.ErrNotNATS) && !reachedNATS(err) {
		err = f.Err // what waits for a greeting does not see it
	}
	err = b.AskMonitor(ctx, err, found.Servers)
	if line == "" {
		return err
	}
	if f := found.Fault; !console.HasHint(err) && f != nil && f.Hint != "" && (!reachedNATS(err) || errors.Is(err, broker.ErrAuth) == errors.Is(f.Err, broker.ErrAuth)) {
		err = console.Hinted(err, "%s", f.Hint) // it knows more
	}
	return console.Diagnosed(err, line)
}

// AskMonitor adds a hint to err that the monitoring port has the facts for.
// servers are the IDs of the servers that were reached, as far as they are known.
func (b *Broker) AskMonitor(ctx context.Context, err error, servers []string) error {
	if errors.Is(err, broker.ErrDenied) && b.Options.Backend == broker.Auto {
		return console.Hinted(err, "%s; who may only publish names the --backend", console.HintFor(err))
	}
	if errors.Is(err, broker.ErrClientIDTaken) && !b.ClientIDGiven { // it follows from the durable
		return console.Hinted(err, "a durable without a group has one listener at a time: stop the other one, or share the events with --group NAME")
	}
	if errors.Is(err, broker.ErrHTTP) {
		return b.askHTTP(ctx, err)
	}
	if !errors.Is(err, broker.ErrNoCluster) && !errors.Is(err, broker.ErrNoJetStream) || errors.Is(err, broker.ErrNoDomain) {
		return err
	}
	base := b.MonitorURL()
	about, asking := port.About(ctx, base)
	var clusters []string
	if asking == nil {
		clusters, asking = streaming.Clusters(ctx, base)
	}
	p := place{link.ShownURL(base), b.Options.Where(), about, clusters, len(servers) == 0 || slices.Contains(servers, about.ID)}
	switch {
	case !errors.Is(err, broker.ErrNoCluster):
		return console.Hinted(err, "%s", p.withoutJetStream(err, asking == nil))
	case asking != nil:
		return console.Hinted(err, "name the right cluster with --cluster (NATS_CLUSTER_ID), or --backend jetstream if that is meant; "+
			"the monitoring port could tell more, but does not answer at %s (--monitor URL)", p.base)
	}
	return console.Hinted(err, "%s", p.withoutCluster(cmp.Or(b.Options.Cluster, link.DefaultCluster), err))
}

// askHTTP finds out whether an HTTP server in place of a NATS server is a monitoring
// port.
func (b *Broker) askHTTP(ctx context.Context, err error) error {
	for _, server := range strings.Split(b.Options.Where(), ",") {
		u, wrong := url.Parse(server)
		if wrong != nil {
			continue
		}
		if about, asking := port.About(ctx, "http://"+u.Host); asking == nil && about.Port > 0 {
			return console.Hinted(err, "%s is the monitoring port of a NATS server (--monitor): clients go to its port %d (--server, NATS_URL)", u.Host, about.Port)
		}
	}
	return err
}

// A place is a server that lacks what was asked for, with the facts from the
// monitoring port.
type place struct {
	base, server string // URLs, without secrets
	about        port.Server
	clusters     []string // of NATS Streaming, that the monitoring port knows
	same         bool     // the monitoring port is that of the server, as far as is known
}

// withoutJetStream returns the hint for an account or a server without JetStream.
func (p place) withoutJetStream(err error, known bool) string {
	const other = "connect to another server with --server"
	switch {
	case errors.Is(err, broker.ErrNotForAccount):
		return console.ForAccount
	case !known || !p.same:
		return "--backend stan, or auto, if this is NATS Streaming; else enable JetStream there (nats-server -js, or a jetstream block in its configuration), " +
			"or " + other
	case len(p.clusters) > 0:
		return fmt.Sprintf("this is NATS Streaming, with the cluster %q (so says %s): --backend stan, or auto", p.clusters[0], p.base)
	}
	return "this server has none, nor NATS Streaming (so says " + p.base + "): " + p.startJetStream() + ", or " + other
}

// startJetStream says how to enable JetStream on this server.
func (p place) startJetStream() string {
	if p.about.Leaf {
		return "it is a leaf node: reach the JetStream of the servers that it is connected to with --domain NAME, start its own with -js"
	}
	return "start it with -js"
}

// withoutCluster returns the hint for a cluster that does not answer.
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
			cluster, console.Clipped(cmp.Or(p.about.Role, "unknown")), p.base)
	case mine && p.about.State == "FT_STANDBY":
		return fmt.Sprintf("this server of the cluster %q stands by for another (so says %s), and no active one answers: look at that one", cluster, p.base)
	case mine:
		return fmt.Sprintf("the server of the cluster %q is there (so says %s), and takes no clients: it may still be starting; try again, or look at its log", cluster, p.base)
	case len(found) == 0 && errors.Is(err, broker.ErrNotForAccount):
		return fmt.Sprintf("this is a NATS server without NATS Streaming (so says %s): %s", p.base, console.ForAccount)
	case len(found) == 0 && errors.Is(err, broker.ErrNoJetStream):
		return fmt.Sprintf("this is a NATS server without NATS Streaming (so says %s) and without JetStream: %s, or connect to another with --server", p.base, p.startJetStream())
	case len(found) == 0:
		return fmt.Sprintf("this is a NATS server without NATS Streaming (so says %s): --backend jetstream if it has JetStream; "+
			"else connect to another with --server", p.base)
	case len(found) == 1:
		return fmt.Sprintf("the cluster there is %q: --cluster %s (NATS_CLUSTER_ID)", found[0], shellescape.Quote(found[0]))
	}
	return fmt.Sprintf("the clusters there are %s: choose with --cluster (NATS_CLUSTER_ID)", console.Clipped(fmt.Sprintf("%q", found)))
}
