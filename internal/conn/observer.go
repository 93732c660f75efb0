package conn

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	jet "nats-test/internal/conn/jetstream"
	"nats-test/internal/conn/link"
	"nats-test/internal/conn/stan"
)

// An Observer is a connection that looks at a broker and takes no part: on
// NATS Streaming it is no client, on JetStream it has no consumer.
type Observer struct {
	link *link.Link
	kind *kindOfBroker
}

// Observe connects to the server that o describes, and finds out which broker
// it is. Its errors are those of [Dial].
func Observe(ctx context.Context, o link.Options) (*Observer, error) {
	o, err := prepared(o)
	if err != nil {
		return nil, err
	}
	var kind *kindOfBroker
	l, err := link.New(ctx, o)
	if err == nil {
		if kind, err = find(ctx, l, true); err != nil {
			l.Abandon()
		}
	}
	if ctx.Err() != nil {
		if err == nil {
			l.Abandon()
		}
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", attempted(o), err)
	}
	return &Observer{l, kind}, nil
}

// Backend tells which broker was found.
func (o *Observer) Backend() broker.Backend { return o.kind.name }

// Traits returns what is special about this kind of broker.
func (o *Observer) Traits() broker.Traits { return o.kind.traits }

// NATS returns the connection. It ends with o.
func (o *Observer) NATS() *nats.Conn { return o.link.NC }

// JetStream returns what to ask JetStream by, within [Observer.Ask].
func (o *Observer) JetStream() (jetstream.JetStream, error) { return jet.Client(o.link) }

// Ask makes a request to JetStream, within the time-out. The error wraps [broker.ErrAuth], [broker.ErrHung], [broker.ErrLost],
// [broker.ErrNoJetStream], [broker.ErrNoStream] or [broker.ErrRefused].
func (o *Observer) Ask(ctx context.Context, request func(context.Context) error) error {
	return jet.Explain(o.link.AskOnce(ctx, request))
}

// Consumers asks who shares each of several consumers of JetStream, as
// [stream, name]. It takes a quarter of a second.
func (o *Observer) Consumers(ctx context.Context, names [][2]string) ([][]link.Member, error) {
	subjects := make([]string, len(names))
	for i, n := range names {
		subjects[i] = link.Roll("jetstream", n[0], n[1])
	}
	return o.link.CallRoll(ctx, subjects, "")
}

// Visit registers as a client of NATS Streaming. [stan.Visit.Leave] must be
// called. The error wraps [broker.ErrNoCluster], [broker.ErrHung],
// [broker.ErrAuth] or [broker.ErrRefused].
func (o *Observer) Visit(ctx context.Context) (*stan.Visit, error) {
	return stan.NewVisit(ctx, o.link, broker.NewClientID("visit"))
}

// VisitAs registers under a client ID: one that the server finds dead is
// replaced, and its session closed. Errors are those of [Observer.Visit], and
// [broker.ErrClientIDTaken].
func (o *Observer) VisitAs(ctx context.Context, id string) (*stan.Visit, error) {
	return stan.NewVisit(ctx, o.link, id)
}

// Forget deletes a consumer of JetStream, and so the position of a durable: the
// very one that was looked at. The error wraps [broker.ErrNoPosition] if it is
// gone, and [broker.ErrChanged] if it is another now, or has moved.
func (o *Observer) Forget(ctx context.Context, seen broker.Seen) error {
	return jet.Forget(ctx, o.link, seen)
}

// StreamOf returns the stream in which a listener of subject has its position:
// the one that the options name, else the one that stores subject. The error
// wraps [broker.ErrNoStream], or is that of [Observer.Ask].
func (o *Observer) StreamOf(ctx context.Context, subject string) (name string, err error) {
	if o.link.Options.Stream != "" {
		return o.link.Options.Stream, nil
	}
	js, err := o.JetStream()
	if err != nil {
		return "", err
	}
	err = o.Ask(ctx, func(ctx context.Context) (err error) {
		name, err = js.StreamNameBySubject(ctx, subject)
		return err
	})
	return name, err
}

// Close ends the connection.
func (o *Observer) Close() { o.link.Abandon() }

// A Visit is a short stay with NATS Streaming, as a client.
type Visit = stan.Visit

// NewStream is the stream of JetStream that is made for a subject which no stream
// covers.
func NewStream(subject string, replicas int) jetstream.StreamConfig {
	return jet.NewStream(subject, replicas)
}

// ConsumerName is what JetStream's consumer of a group or durable is called.
func ConsumerName(sub broker.Subscription) string { return jet.ConsumerName(sub) }

// GroupOf returns the group or durable that [ConsumerName] made a consumer's
// name of, for a subject.
func GroupOf(consumer, subject string) (group string, ok bool) { return jet.GroupOf(consumer, subject) }
