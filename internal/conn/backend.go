package conn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// Dial opens a session with the broker that o describes. It gives up when ctx is
// done, or when o.Timeout is over for each server and question. Errors wrap
// [ErrNoServer], [ErrNoCluster], [ErrNoJetStream], [ErrHung], [ErrAuth],
// [ErrTLS], [ErrClientIDTaken], [ErrName], [ErrOnlyJetStream] or [ErrConfig]. If
// neither backend is there, both [ErrNoCluster] and [ErrNoJetStream] are wrapped.
func Dial(ctx context.Context, o Options) (Session, error) {
	o = o.Or(defaults)
	o.ClientID = or(o.ClientID, NewClientID("client"))
	o, err := o.normal()
	if err != nil {
		return nil, err
	}
	session, err := dial(ctx, o)
	for i := 0; lacksBroker(err) && i < len(o.given()) && ctx.Err() == nil; i++ {
		if s, failed := dial(ctx, o.startingAt(i)); failed == nil {
			session, err = s, nil
		}
	}
	if ctx.Err() != nil {
		if session != nil {
			_ = session.Close()
		}
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", o.attempted(), err)
	}
	return session, nil
}

// lacksBroker reports that a server is there, and has not what was asked for:
// another of those given may have it.
func lacksBroker(err error) bool {
	return errors.Is(err, ErrNoCluster) || errors.Is(err, ErrNoJetStream)
}

// given are the servers of o, if there are several.
func (o Options) given() []string {
	if servers := strings.Split(o.Servers, ","); len(servers) > 1 {
		return servers
	}
	return nil
}

// startingAt returns o with the i-th server alone; the others stand in for it.
func (o Options) startingAt(i int) Options {
	servers := o.given()
	o.Servers = servers[i]
	o.Learned = append(slices.Delete(slices.Clone(servers), i, i+1), o.Learned...)
	return o
}

// normal returns o with its servers as [Options.urls] has them. It refuses names
// and URLs that are none.
func (o Options) normal() (Options, error) {
	for _, err := range []error{CheckClientID(o.ClientID), CheckCluster(o.Cluster), o.checkJetStream()} {
		if err != nil {
			return o, err
		}
	}
	urls, err := o.urls()
	if err != nil {
		return o, err
	}
	var servers []string
	for _, u := range urls {
		servers = append(servers, textOf(u))
	}
	o.Servers = strings.Join(servers, ",")
	o.named = or(o.named, o.Servers)
	return o, nil
}

// attempted names what o leads to, for an error.
func (o Options) attempted() string {
	switch o.Backend {
	case STAN:
		return fmt.Sprintf("cluster %q at %s", o.Cluster, o.Where())
	case JetStream:
		return "JetStream at " + o.Where()
	}
	if o.Domain != "" {
		return fmt.Sprintf("JetStream of domain %q, or cluster %q, at %s", o.Domain, o.Cluster, o.Where())
	}
	return fmt.Sprintf("cluster %q or JetStream at %s", o.Cluster, o.Where())
}

func dial(ctx context.Context, o Options) (Session, error) {
	l, err := newLink(ctx, o)
	if err != nil {
		return nil, err
	}
	var session Session
	backend := o.Backend
	if backend == Auto {
		backend, err = l.detect(ctx)
	}
	switch {
	case err != nil:
	case backend == STAN && o.Stream != "":
		err = because(ErrOnlyJetStream, fmt.Errorf("the stream %q", o.Stream))
	case backend == STAN:
		session, err = newStan(ctx, l)
	default:
		session, err = newJetStream(ctx, l, o.Backend == Auto)
	}
	if err != nil {
		if lost := l.Err(); errors.Is(lost, ErrGarbled) {
			err = lost
		}
		l.abandon()
		return nil, err
	}
	return session, nil
}

// detect finds out which broker the server is: NATS Streaming if the cluster
// answers, else JetStream if the account has it. It asks once for each, and
// does not take silence for an absence.
func (l *link) detect(ctx context.Context) (Backend, error) {
	streaming := l.discover(ctx)
	if streaming == nil || !errors.Is(streaming, nats.ErrNoResponders) && !errors.Is(streaming, ErrAuth) {
		return choose(l.opts.Cluster, streaming, nil)
	}
	js, missing := l.jetStream()
	if missing == nil {
		missing = l.hasJetStream(ctx, js)
	}
	return choose(l.opts.Cluster, streaming, missing)
}

// discover asks for the NATS Streaming cluster. Its error is
// nats.ErrNoResponders where there is none.
func (l *link) discover(ctx context.Context) error {
	_, err := inquire(ctx, l, func(ctx context.Context) (*nats.Msg, error) {
		return l.nc.RequestWithContext(ctx, discovery(l.opts.Cluster), ping(l.opts.ClientID))
	})
	return err
}

// choose is the judgement on what asking for the cluster and for JetStream
// brought.
func choose(cluster string, streaming, jetStream error) (Backend, error) {
	absent := errors.Is(streaming, nats.ErrNoResponders)
	switch {
	case streaming == nil:
		return STAN, nil
	case !absent && !errors.Is(streaming, ErrAuth): // without the permission to ask there is none to use it, either
		if errors.Is(streaming, ErrHung) {
			streaming = because(ErrSilentCluster, streaming)
		}
		return "", fmt.Errorf("asking for the NATS Streaming cluster %q: %w", cluster, streaming)
	case jetStream == nil, errors.Is(jetStream, ErrAuth) && absent:
		return JetStream, nil // only asking is forbidden, perhaps
	case errors.Is(jetStream, ErrNoDomain) && absent: // what was asked for by name
		return "", jetStream
	case errors.Is(jetStream, ErrNoJetStream) && absent:
		return "", because(ErrNoCluster, jetStream)
	case errors.Is(jetStream, ErrNoJetStream):
		return "", streaming
	}
	return "", fmt.Errorf("asking for JetStream: %w", jetStream)
}
