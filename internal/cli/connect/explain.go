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

// Explain adds to the error of a failed connection a hint and the step that failed.
func (b *Broker) Explain(ctx context.Context, err error) error {
	found, line := b.diagnose(ctx, err)
	if f := found.Fault; f != nil && errors.Is(f.Err, broker.ErrNotNATS) && !reachedNATS(err) {
		err = f.Err // more precise: a caller that waits for a greeting does not see it
	}
	err = b.AskMonitor(ctx, err, found.Servers)
	if line == "" {
		return err
	}
	if f := found.Fault; !console.HasHint(err) && f != nil && f.Hint != "" && (!reachedNATS(err) || errors.Is(err, broker.ErrAuth) == errors.Is(f.Err, broker.ErrAuth)) {
		err = console.Hinted(err, "%s", f.Hint) // more specific
	}
	return console.Diagnosed(err, line)
}

// AskMonitor adds a hint to err, if the monitoring port can provide one. servers
// are the IDs of the servers reached, as far as known.
func (b *Broker) AskMonitor(ctx context.Context, err error, servers []string) error {
	if errors.Is(err, broker.ErrDenied) && b.Options.Backend == broker.Auto {
		return console.Hinted(err, "%s; a user who may only publish must give --backend", console.HintFor(err))
	}
	if errors.Is(err, broker.ErrClientIDTaken) && !b.ClientIDGiven { // the client ID follows from the durable
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
		return console.Hinted(err, "set the right cluster with --cluster (NATS_CLUSTER_ID), or use JetStream with --backend jetstream; "+
			"the monitoring port knows more, but does not answer at %s (--monitor URL)", p.base)
	}
	return console.Hinted(err, "%s", p.withoutCluster(cmp.Or(b.Options.Cluster, link.DefaultCluster), err))
}

// askHTTP finds out whether the HTTP server reached is the monitoring port of a
// NATS server.
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

// A place is a server without the JetStream or the cluster requested, with what its
// monitoring port says.
type place struct {
	base, server string // URLs, without secrets
	about        port.Server
	clusters     []string // NATS Streaming clusters that the monitoring port lists
	same         bool     // the monitoring port belongs to the server, as far as known
}

// withoutJetStream returns the hint for a server or an account without JetStream.
func (p place) withoutJetStream(err error, known bool) string {
	const other = "connect to another server with --server"
	switch {
	case errors.Is(err, broker.ErrNotForAccount):
		return console.ForAccount
	case !known || !p.same:
		return "if this is NATS Streaming, use --backend stan, or auto; otherwise enable JetStream on the server (nats-server -js, or a jetstream block in its configuration), " +
			"or " + other
	case len(p.clusters) > 0:
		return fmt.Sprintf("this is NATS Streaming with the cluster %q, according to %s: use --backend stan, or auto", p.clusters[0], p.base)
	}
	return "this server has neither JetStream nor NATS Streaming, according to " + p.base + ": " + p.startJetStream() + ", or " + other
}

// startJetStream says how to enable JetStream on this server.
func (p place) startJetStream() string {
	if p.about.Leaf {
		return "it is a leaf node: use the JetStream of the servers that it is connected to with --domain NAME, start its own with -js"
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
		return fmt.Sprintf("the cluster %q has a server there, but the monitoring port at %s does not belong to %s: "+check, cluster, p.base, p.server)
	case !p.same:
		return fmt.Sprintf("set the right cluster with --cluster (NATS_CLUSTER_ID), or use JetStream with --backend jetstream; "+
			"the clusters there are unknown, since the monitoring port at %s does not belong to %s: "+check, p.base, p.server)
	case mine && p.about.Streaming == "":
		return fmt.Sprintf("servers of the cluster %q are connected, according to %s, but none answers: they may be starting, or without a leader; try again, or check their logs",
			cluster, p.base)
	case mine && p.about.State == "CLUSTERED":
		return fmt.Sprintf("this server belongs to the cluster %q, as %s, according to %s, but no leader answers: a majority of the servers must run and reach each other",
			cluster, console.Clipped(cmp.Or(p.about.Role, "unknown")), p.base)
	case mine && p.about.State == "FT_STANDBY":
		return fmt.Sprintf("this server of the cluster %q is a standby, according to %s, and the active one does not answer: check the active one", cluster, p.base)
	case mine:
		return fmt.Sprintf("the server of the cluster %q is running, according to %s, but accepts no clients: it may still be starting; try again, or check its log", cluster, p.base)
	case len(found) == 0 && errors.Is(err, broker.ErrNotForAccount):
		return fmt.Sprintf("this is a NATS server without NATS Streaming, according to %s: %s", p.base, console.ForAccount)
	case len(found) == 0 && errors.Is(err, broker.ErrNoJetStream):
		return fmt.Sprintf("this is a NATS server without NATS Streaming and without JetStream, according to %s: %s, or connect to another with --server", p.base, p.startJetStream())
	case len(found) == 0:
		return fmt.Sprintf("this is a NATS server without NATS Streaming, according to %s: use --backend jetstream if it has JetStream; "+
			"otherwise connect to another with --server", p.base)
	case len(found) == 1:
		return fmt.Sprintf("the cluster there is %q: --cluster %s (NATS_CLUSTER_ID)", found[0], shellescape.Quote(found[0]))
	}
	return fmt.Sprintf("the clusters there are %s: choose with --cluster (NATS_CLUSTER_ID)", console.Clipped(fmt.Sprintf("%q", found)))
}
