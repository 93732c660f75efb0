package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nats-test/internal/conn"
	"nats-test/internal/events"
	"nats-test/internal/monitor"
)

// hints tell what to type after an error; the first that matches counts.
var hints = []struct {
	err  error
	hint string
}{
	{conn.ErrNoServer, "start one with `make server`, or say where yours is with --server (NATS_URL); " +
		"for one in Kubernetes, forward its port first: kubectl port-forward deployment/nats-depl 4222:4222"},
	{conn.ErrNoCluster, "name the right cluster with --cluster (NATS_CLUSTER_ID)"},
	{conn.ErrHung, "the server may be stopped or overloaded: look at it, or wait longer with --timeout"},
	{conn.ErrAuth, "give credentials that may do this: --user and --password, --token, --creds or --nkey " +
		"(NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_CREDS, NATS_NKEY), or a NATS context with --context"},
	{conn.ErrTLS, "check the tls:// URL, the server's authority (--tlsca), your certificate and its dates (--tlscert, --tlskey)"},
	{conn.ErrClientIDTaken, "leave --client-id out for a random one, or stop the other client"},
	{conn.ErrNotAcked, "the broker may have stored it all the same, and NATS Streaming does not recognise a repeat: " +
		"look first (listen --deliver since:1m --until-end SUBJECT) before you publish it again"},
	{conn.ErrTooLarge, "raise max_payload in the server's configuration, or send a reference to the data"},
	{conn.ErrLost, "when the server is back, start again; `listen` without --no-reconnect waits for it"},
}

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
		return fmt.Sprintf("`publish events %s` shows the contract and an example", e.Subject)
	}
	for _, h := range hints {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	return ""
}

// explain asks the monitoring port for what the connection could not tell.
func (c *connection) explain(ctx context.Context, err error) error {
	if !errors.Is(err, conn.ErrNoCluster) {
		return err
	}
	base := c.monitorURL()
	found, asking := monitor.Clusters(ctx, base)
	switch {
	case asking != nil:
		return hinted(err, "name the right cluster with --cluster (NATS_CLUSTER_ID); "+
			"the monitoring port could tell it, but does not answer at %s (--monitor URL)", base)
	case len(found) == 0:
		return hinted(err, "this is a NATS server without NATS Streaming (so says %s): connect to another with --server", base)
	case len(found) == 1:
		return hinted(err, "the cluster there is %q: --cluster %s (NATS_CLUSTER_ID)", found[0], found[0])
	}
	return hinted(err, "the clusters there are %s: choose with --cluster (NATS_CLUSTER_ID)", strings.Join(found, ", "))
}
