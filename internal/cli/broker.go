package cli

import (
	"cmp"
	"context"
	"net"
	"time"

	"nats-test/internal/conn"
)

// A broker is the one that flags, environment and NATS context name together.
type broker struct {
	options conn.Options
	monitor string // URL of the monitoring port, "" for the default

	clusterGiven  bool // --cluster
	clientIDGiven bool // --client-id
}

func (b *broker) monitorURL() string {
	if b.monitor != "" {
		return b.monitor
	}
	host := "127.0.0.1"
	if hosts := b.options.Hosts(); len(hosts) > 0 {
		host = hosts[0]
	}
	return "http://" + net.JoinHostPort(host, "8222")
}

// dial opens the connection, and explains it if that can't be done.
func (b *broker) dial(ctx context.Context, tell *teller) (conn.Session, error) {
	session, err := conn.Dial(ctx, b.options)
	if err != nil {
		return nil, b.explain(ctx, err)
	}
	b.tellBackend(tell, session.Backend())
	return session, nil
}

// tellBackend says which broker was reached, and what of the flags has no
// meaning there.
func (b *broker) tellBackend(tell *teller, kind conn.Backend) {
	switch kind {
	case conn.STAN:
		tell.say("NATS Streaming, cluster %s, at %s", cmp.Or(b.options.Cluster, conn.DefaultCluster), b.options.Where())
		if b.options.CreateStream {
			tell.say("--create-stream is ignored: NATS Streaming makes its channels by itself")
		}
	case conn.JetStream:
		tell.say("JetStream at %s", b.options.Where())
		if b.clusterGiven {
			tell.say("--cluster is ignored: JetStream has no cluster ID")
		}
	}
}

func (b *broker) timeout() time.Duration {
	if b.options.Timeout > 0 {
		return b.options.Timeout
	}
	return conn.DefaultTimeout
}
