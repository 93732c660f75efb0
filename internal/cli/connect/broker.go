package connect

import (
	"cmp"
	"context"
	"net"
	"time"

	"nats-test/internal/cli/console"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// A Broker is the broker selected by flags, environment and NATS context.
type Broker struct {
	Options       link.Options
	ClientIDGiven bool // --client-id

	monitor      string // URL of the monitoring port, "" for the default
	clusterGiven bool   // --cluster
}

// MonitorURL returns the URL of the monitoring port; the default is port 8222 of
// the first server's host.
func (b *Broker) MonitorURL() string {
	if b.monitor != "" {
		return b.monitor
	}
	host := "127.0.0.1"
	if hosts := b.Options.Hosts(); len(hosts) > 0 {
		host = hosts[0]
	}
	return "http://" + net.JoinHostPort(host, "8222")
}

// Dial connects, and explains the error if that fails.
func (b *Broker) Dial(ctx context.Context, tell *console.Console) (*conn.Conn, error) {
	session, err := conn.Dial(ctx, b.Options)
	if err != nil {
		return nil, b.Explain(ctx, err)
	}
	b.TellBackend(tell, session.Backend())
	return session, nil
}

// Title returns the name of a backend for people.
func Title(kind broker.Backend) string {
	if kind == broker.JetStream {
		return "JetStream"
	}
	return "NATS Streaming"
}

// TellBackend prints which broker was reached, and which flags are ignored there.
func (b *Broker) TellBackend(tell *console.Console, kind broker.Backend) {
	switch kind {
	case broker.STAN:
		tell.Say("%s, cluster %s, at %s", Title(kind), cmp.Or(b.Options.Cluster, link.DefaultCluster), b.Options.Where())
		if b.Options.CreateStream {
			tell.Say("--create-stream is ignored: NATS Streaming makes its channels by itself")
		}
	case broker.JetStream:
		tell.Say("%s at %s", Title(kind), b.Options.Where())
		if b.clusterGiven {
			tell.Say("--cluster is ignored: JetStream has no cluster ID")
		}
	}
}

// Timeout returns the time limit for a reply.
func (b *Broker) Timeout() time.Duration {
	if b.Options.Timeout > 0 {
		return b.Options.Timeout
	}
	return link.DefaultTimeout
}
