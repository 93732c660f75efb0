package conn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// Dial opens a session with the broker that o describes. It gives up when
// o.Timeout is over or ctx is done. Errors wrap [ErrNoServer], [ErrNoCluster],
// [ErrNoJetStream], [ErrHung], [ErrAuth], [ErrTLS], [ErrClientIDTaken],
// [ErrName] or [ErrConfig]. If neither backend is there, both [ErrNoCluster]
// and [ErrNoJetStream] are wrapped.
func Dial(ctx context.Context, o Options) (Session, error) {
	o = o.Or(defaults)
	o.ClientID = or(o.ClientID, NewClientID("client"))
	if err := o.check(); err != nil {
		return nil, err
	}
	session, err := dial(ctx, o)
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

// check refuses options that can't be used.
func (o Options) check() error {
	return cmp.Or(CheckClientID(o.ClientID), CheckCluster(o.Cluster), o.checkServers())
}

// attempted names what o leads to, for an error.
func (o Options) attempted() string {
	switch o.Backend {
	case STAN:
		return fmt.Sprintf("cluster %q at %s", o.Cluster, o.Where())
	case JetStream:
		return "JetStream at " + o.Where()
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
	case backend == STAN:
		session, err = newStan(ctx, l)
	default:
		session, err = newJetStream(ctx, l)
	}
	if err != nil {
		l.abandon()
		return nil, err
	}
	return session, nil
}

// detect finds out which broker the server is: NATS Streaming if the cluster
// answers, else JetStream if the account has it. It asks once for each, and
// does not take silence for an absence.
func (l *link) detect(ctx context.Context) (Backend, error) {
	err := l.hasCluster(ctx)
	absent := errors.Is(err, ErrNoCluster)
	switch {
	case err == nil:
		return STAN, nil
	case !absent && !errors.Is(err, ErrAuth): // without the permission to ask there is none to use it, either
		return "", fmt.Errorf("asking for the NATS Streaming cluster %q: %w", l.opts.Cluster, err)
	}
	js, missing := l.jetStream()
	if missing == nil {
		missing = l.hasJetStream(ctx, js)
	}
	switch {
	case missing == nil, errors.Is(missing, ErrAuth) && absent:
		return JetStream, nil // only asking is forbidden, perhaps
	case errors.Is(missing, ErrNoJetStream) && absent:
		return "", because(ErrNoCluster, missing)
	case errors.Is(missing, ErrNoJetStream):
		return "", err
	}
	return "", fmt.Errorf("asking for JetStream: %w", missing)
}
