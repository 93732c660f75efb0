// Package conn is one connection to a broker: how it is reached, what it is
// called there, how events are put on it and taken from it, and what happens
// when it is lost or closed.
//
// The package's rule: it moves (subject, bytes) and never looks into the
// bytes. What was acked is stored, what was handled is acked, and a durable
// position is closed, never unsubscribed.
package conn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// A Conn is a session with a broker, and the connection under it.
type Conn struct {
	broker.Session
	link *link.Link
	kind *kindOfBroker
}

// Backend returns which kind of broker this is.
func (c *Conn) Backend() broker.Backend { return c.kind.name }

// Traits returns what is special about this kind of broker.
func (c *Conn) Traits() broker.Traits { return c.kind.traits }

// Lost is closed when the session has ended other than by Close: a
// reconnect can't bring it back. Err then tells why.
func (c *Conn) Lost() <-chan struct{} { return c.link.Lost() }

// Err returns why the session is lost, nil if it is not.
func (c *Conn) Err() error { return c.link.Err() }

// Members returns the sorted client IDs of the group's members that answer the roll
// call, as listeners of this package do; this session is among them.
func (c *Conn) Members(ctx context.Context) ([]string, error) { return c.link.Members(ctx) }

// Others returns the URLs of further servers of the cluster, which those
// given told of, separated by commas. They may hold secrets.
func (c *Conn) Others() string { return c.link.Others() }

// Dial opens a session with the broker that o describes. It gives up when ctx is
// done, or when o.Timeout is over for each server and question. Errors wrap
// [broker.ErrNoServer], [broker.ErrNoCluster], [broker.ErrNoJetStream], [broker.ErrHung], [broker.ErrAuth],
// [broker.ErrTLS], [broker.ErrClientIDTaken], [broker.ErrName], [broker.ErrOnlyJetStream] or [broker.ErrConfig]. If
// neither backend is there, both [broker.ErrNoCluster] and [broker.ErrNoJetStream] are wrapped.
func Dial(ctx context.Context, o link.Options) (*Conn, error) {
	o, err := prepared(o)
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, o)
	for i := 0; errors.Is(err, broker.ErrAbsent) && i < len(o.Given()) && ctx.Err() == nil; i++ { // another server may have it
		if other, failed := dial(ctx, o.StartingAt(i)); failed == nil {
			c, err = other, nil
		}
	}
	if ctx.Err() != nil {
		if c != nil {
			_ = c.Close()
		}
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", attempted(o), err)
	}
	return c, nil
}

// prepared returns o with defaults, a client ID and the servers as they are dialled.
func prepared(o link.Options) (link.Options, error) {
	o = o.Or(link.Defaults)
	o.ClientID = cmp.Or(o.ClientID, broker.NewClientID("client"))
	return o.Normal()
}

func dial(ctx context.Context, o link.Options) (*Conn, error) {
	l, err := link.New(ctx, o)
	if err != nil {
		return nil, err
	}
	c := &Conn{link: l}
	c.kind, err = find(ctx, l, false)
	switch {
	case err != nil:
	case o.Stream != "" && !c.kind.traits.Streams:
		err = broker.Because(broker.ErrOnlyJetStream, fmt.Errorf("the stream %q", o.Stream))
	default:
		c.Session, err = c.kind.open(ctx, l, o.Backend == broker.Auto)
	}
	if err != nil {
		if lost := l.Err(); errors.Is(lost, broker.ErrGarbled) {
			err = lost
		}
		l.Abandon()
		return nil, err
	}
	return c, nil
}

// attempted names what o leads to, for an error.
func attempted(o link.Options) string {
	var names []string
	for _, k := range kinds {
		if o.Backend == broker.Auto || o.Backend == k.name {
			names = append(names, k.called(o))
		}
	}
	if o.Domain == "" || len(names) == 1 {
		return strings.Join(names, " or ") + " at " + o.Where()
	}
	slices.Reverse(names) // first what was asked for by name
	return strings.Join(names, ", or ") + ", at " + o.Where()
}
