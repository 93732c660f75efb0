package conn_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// workers makes the consumer that the group "workers" shares.
func workers(t *testing.T, js jetstream.JetStream, c jetstream.ConsumerConfig) jetstream.Consumer {
	t.Helper()
	c.Durable, c.FilterSubject, c.AckPolicy = "workers_orders", "orders", jetstream.AckExplicitPolicy
	consumer, err := js.CreateConsumer(t.Context(), "orders", c)
	if err != nil {
		t.Fatal(err)
	}
	return consumer
}

// A consumer that is paused delivers nothing: that is no end, and no idleness.
func TestNoEndOfAPausedConsumer(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	o := options(t, s)
	publish(t, o, "orders", 1, 5)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	workers(t, js, jetstream.ConsumerConfig{PauseUntil: &until})
	for _, idle := range []time.Duration{0, 300 * time.Millisecond} {
		l := untilEnd(member(o, "orders"), s)
		l.UntilEnd, l.Idle = idle == 0, idle
		_, err := run(t, l, &recorder{}).wait()
		if !errors.Is(err, broker.ErrUnfinished) || !strings.Contains(err.Error(), "5 events of orders not delivered: the consumer is paused until "+until.Format(time.RFC3339)) {
			t.Errorf("idle %v: %v", idle, err)
		}
	}
}

// Others that fill the consumer's limit, and go on working, keep a group from
// its end.
func TestNoEndBehindOthersThatFillTheLimit(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	o := options(t, s)
	publish(t, o, "orders", 1, 5)
	consumer := workers(t, js, jetstream.ConsumerConfig{AckWait: time.Second, MaxAckPending: 1})
	held, err := consumer.Next(jetstream.FetchMaxWait(10 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	working := make(chan struct{})
	go func() {
		defer close(working)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = held.InProgress()
			}
		}
	}()
	l := untilEnd(member(o, "orders"), s)
	l.Subscription.AckWait = time.Second
	_, err = run(t, l, &recorder{}).wait()
	if !errors.Is(err, broker.ErrUnfinished) || !strings.Contains(err.Error(), "4 events of orders not delivered: members hold 1 unacked") {
		t.Error(err)
	}
	stop()
	<-working
}

// A group comes to the end of what was there, although there is always more.
func TestUntilEndThatIsNeverIdle(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 20)
		p := conn.NewPublisher(dial(t, o), nil)
		r := &recorder{verdict: func(*broker.Message) error { // each brings forth another
			if err := p.Publish(t.Context(), broker.Event{Subject: "orders", Data: []byte("more")}); err != nil {
				return err
			}
			return p.Flush()
		}}
		l := untilEnd(member(o, "orders"), s)
		l.Subscription.MaxInFlight = 1
		if end, err := run(t, l, r).wait(); end != conn.EndReached || err != nil || len(r.seen()) < 20 {
			t.Error(end, err, len(r.seen()))
		}
	})
}

// Events that are left unacked on purpose are no reason to wait; unless they
// fill what may be held.
func TestUntilEndWithoutAcks(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 5)
		l := untilEnd(member(o, "orders"), s)
		l.NoAck = true
		if end, err := run(t, l, &recorder{}).wait(); end != conn.EndReached || err != nil {
			t.Error(end, err)
		}
		full := untilEnd(member(o, "orders"), s)
		full.Subscription.Group, full.Subscription.Durable = "others", "others"
		full.NoAck, full.Subscription.MaxInFlight = true, 2
		if _, err := run(t, full, &recorder{}).wait(); !errors.Is(err, broker.ErrStalled) {
			t.Error(err)
		}
	})
}

// Where asking is not permitted, the end can't be known.
func TestUntilEndWithoutPermissionToAsk(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, withUsers("reader", `publish: { deny: ["$JS.API.STREAM.INFO.>", "$JS.API.CONSUMER.INFO.>"] }`), admin)
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	o := options(t, s)
	o.Auth, o.Backend = as("reader"), broker.JetStream
	publish(t, link.Options{Servers: s.URL, Auth: as("admin"), Backend: broker.JetStream}, "orders", 1, 3)
	if _, err := run(t, untilEnd(listener(o, "orders"), s), &recorder{}).wait(); !errors.Is(err, broker.ErrUntold) ||
		!strings.Contains(err.Error(), "not known whether everything") {
		t.Error(err)
	}
}

// A member that holds one event from before the end for ever keeps the group
// from it, also while others go on.
func TestUntilEndBesideOneThatIsHeldForEver(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 5)
		release := make(chan struct{})
		holder := member(o, "orders")
		holder.Subscription.AckWait, holder.Subscription.MaxInFlight = time.Second, 1
		holding := run(t, holder, at(1, func() { <-release }))
		p := conn.NewPublisher(dial(t, o), nil)
		r := &recorder{verdict: func(*broker.Message) error {
			if err := p.Publish(t.Context(), broker.Event{Subject: "orders", Data: []byte("more")}); err != nil {
				return err
			}
			return p.Flush()
		}}
		l := untilEnd(member(o, "orders"), s)
		l.Subscription.AckWait, l.Subscription.MaxInFlight = time.Second, 2
		end, err := run(t, l, r).wait()
		close(release)
		holding.stopCleanly()
		// NATS Streaming gives the event to the other after the ack wait.
		if !errors.Is(err, broker.ErrUnfinished) && (err != nil || end != conn.EndReached || !strings.HasSuffix(t.Name(), "stan")) {
			t.Error(end, err)
		}
	})
}

// What the broker gives up on the way to the end was not handled by anybody.
func TestUntilEndWithEventsThatTheBrokerGaveUp(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	o, said := options(t, s), &told{}
	o.Notify = said.notify
	publish(t, o, "orders", 1, 5)
	consumer, err := js.CreateConsumer(t.Context(), "orders", jetstream.ConsumerConfig{
		Durable: "workers_orders", FilterSubject: "orders", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Second, MaxDeliver: 2,
		MaxAckPending: 1, // so that the next is the same
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // another program takes the first, and fails
		if _, err := consumer.Next(jetstream.FetchMaxWait(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	r := run(t, untilEnd(member(o, "orders"), s), &recorder{})
	if _, err := r.wait(); !errors.Is(err, broker.ErrUnfinished) || !strings.Contains(err.Error(), "the broker gave up 1 event of orders") {
		t.Error(err, r.seen())
	}
	if !strings.Contains(said.all(), "gave up #1 of orders: it was delivered 2 times") {
		t.Errorf("said: %s", said.all())
	}
}
