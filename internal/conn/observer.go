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

// An Observer is a connection that only looks: it is no client of NATS Streaming, and has
// no JetStream consumer.
type Observer struct {
	link *link.Link
	kind *kindOfBroker
}

// Observe connects to the server in o and finds out which broker it has. Its errors are
// those of [Dial].
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

// Backend returns the broker that was found.
func (o *Observer) Backend() broker.Backend { return o.kind.name }

// Traits returns the traits of the broker that was found.
func (o *Observer) Traits() broker.Traits { return o.kind.traits }

// NATS returns the NATS connection, which o.Close closes.
func (o *Observer) NATS() *nats.Conn { return o.link.NC }

// JetStream returns the JetStream client, to be used within [Observer.Ask].
func (o *Observer) JetStream() (jetstream.JetStream, error) { return jet.Client(o.link) }

// Ask makes a request to JetStream within the time-out. The error wraps [broker.ErrAuth],
// [broker.ErrHung], [broker.ErrLost], [broker.ErrNoJetStream], [broker.ErrNoStream] or
// [broker.ErrRefused].
func (o *Observer) Ask(ctx context.Context, request func(context.Context) error) error {
	return jet.Explain(o.link.AskOnce(ctx, request))
}

// Consumers returns the members of each of several JetStream consumers, given as
// [stream, name]. It takes a quarter of a second.
func (o *Observer) Consumers(ctx context.Context, names [][2]string) ([][]link.Member, error) {
	subjects := make([]string, len(names))
	for i, n := range names {
		subjects[i] = link.Roll("jetstream", n[0], n[1])
	}
	return o.link.CallRoll(ctx, subjects, "")
}

// Subscribers returns the members of each of several subscriptions of NATS Streaming,
// given as [durable, group, channel]. Only listeners answer. It takes a quarter of a
// second.
func (o *Observer) Subscribers(ctx context.Context, subscriptions [][3]string) ([][]link.Member, error) {
	subjects := make([]string, len(subscriptions))
	for i, s := range subscriptions {
		subjects[i] = link.Roll("stan", o.link.Options.Cluster, s[0], s[1], s[2])
	}
	return o.link.CallRoll(ctx, subjects, "")
}

// TempClient registers as a client of NATS Streaming. [stan.TempClient.Leave] must be
// called. The error wraps [broker.ErrNoCluster], [broker.ErrHung], [broker.ErrAuth] or
// [broker.ErrRefused].
func (o *Observer) TempClient(ctx context.Context) (*stan.TempClient, error) {
	return stan.NewTempClient(ctx, o.link, broker.NewClientID("temp"))
}

// TempClientAs registers under the given client ID. If the server finds the client with
// that ID dead, it closes its session. Errors are those of [Observer.TempClient], and
// [broker.ErrClientIDTaken] if it is alive.
func (o *Observer) TempClientAs(ctx context.Context, id string) (*stan.TempClient, error) {
	return stan.NewTempClient(ctx, o.link, id)
}

// Forget deletes a JetStream consumer, and so the position of a durable, if it is still
// as seen. The error wraps [broker.ErrNoPosition] if it is gone, and [broker.ErrChanged]
// if it was created anew or has moved.
func (o *Observer) Forget(ctx context.Context, seen broker.Seen) error {
	return jet.Forget(ctx, o.link, seen)
}

// StreamOf returns the stream that a listener of subject uses: the one that the options
// name, else the one that stores subject. The error wraps [broker.ErrNoStream], or is that
// of [Observer.Ask].
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

// Close closes the connection.
func (o *Observer) Close() { o.link.Abandon() }

// A TempClient is a client of NATS Streaming for one command.
type TempClient = stan.TempClient

// NewStream returns the configuration of the JetStream stream that is created for a
// subject that no stream covers.
func NewStream(subject string, replicas int) jetstream.StreamConfig {
	return jet.NewStream(subject, replicas)
}

// ConsumerName returns the name of the JetStream consumer of a group or durable.
func ConsumerName(sub broker.Subscription) string { return jet.ConsumerName(sub) }

// GroupOf returns the group or durable in a consumer's name made by [ConsumerName].
func GroupOf(consumer, subject string) (group string, ok bool) { return jet.GroupOf(consumer, subject) }
