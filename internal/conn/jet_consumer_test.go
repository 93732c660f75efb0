package conn_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
)

// An existing consumer is joined as it is, and what differs is told.
func TestExistingConsumerIsJoinedUnchanged(t *testing.T) {
	t.Parallel()
	explicit := jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxAckPending: -1}
	with := func(change func(c *jetstream.ConsumerConfig)) jetstream.ConsumerConfig {
		c := explicit
		change(&c)
		return c
	}
	tests := map[string]struct {
		config jetstream.ConsumerConfig
		told   []string
	}{
		"as it would be made": {explicit, nil},
		"ack wait":            {with(func(c *jetstream.ConsumerConfig) { c.AckWait = 7 * time.Second }), []string{"ack wait is 7s, not 30s"}},
		"max ack pending":     {with(func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 3 }), []string{"acks pending, for the whole group, is 3, not none"}},
		"max deliver":         {with(func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 4 }), []string{"limit of deliveries is 4, not none"}},
		"both": {with(func(c *jetstream.ConsumerConfig) { c.AckWait, c.MaxAckPending = time.Minute, 3 }),
			[]string{"ack wait is 1m0s, not 30s", "for the whole group, is 3, not none"}},
		"backoff": {with(func(c *jetstream.ConsumerConfig) {
			c.MaxDeliver, c.BackOff = 4, []time.Duration{30 * time.Second, time.Minute}
		}), []string{"limit of deliveries is 4", "backoff is [30s 1m0s]"}},
		"small requests":                        {with(func(c *jetstream.ConsumerConfig) { c.MaxRequestBatch, c.MaxRequestExpires = 2, 2*time.Second }), nil},
		"no filter, and it stores nothing else": {with(func(c *jetstream.ConsumerConfig) { c.FilterSubject = "" }), nil},
		"a list of one filter":                  {with(func(c *jetstream.ConsumerConfig) { c.FilterSubject, c.FilterSubjects = "", []string{"orders"} }), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, js := onJetStream(t, "")
			createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
			publish(t, options(t, s), "orders", 1, 10)
			test.config.Durable = "workers_orders"
			consumer, err := js.CreateConsumer(t.Context(), "orders", test.config)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // its position counts
				m, err := consumer.Next(jetstream.FetchMaxWait(time.Second))
				if err != nil {
					t.Fatal(err)
				}
				if err := m.DoubleAck(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			before := consumerInfo(t, js, "workers_orders").Config
			var heard told
			o := options(t, s)
			o.Notify = heard.notify
			l := member(o, "orders")
			l.Subscription.Start = broker.Start{Kind: broker.StartNew} // ignored
			var places []broker.Place
			l.Joined = func(p []broker.Place, _ bool) { places = p }
			r := run(t, l, &recorder{})
			r.await(8)
			r.stopCleanly()
			if got := r.seen(); !slices.Equal(got, numbers(3, 10)) || r.again != 0 {
				t.Errorf("got %v, %d of them again", got, r.again)
			}
			want := broker.Place{Subject: "orders", Origin: places[0].Origin, Consumer: "workers_orders", Resumed: true, Position: 2, AckWait: before.AckWait,
				MaxInFlight: l.Subscription.MaxInFlight}
			if !reflect.DeepEqual(places, []broker.Place{want}) {
				t.Errorf("joined %+v", places)
			}
			if after := consumerInfo(t, js, "workers_orders"); !reflect.DeepEqual(after.Config, before) || after.NumAckPending != 0 {
				t.Errorf("it was changed: %+v\nto %+v", before, after)
			}
			for _, line := range test.told {
				if !strings.Contains(heard.all(), "workers_orders exists: its ") || !strings.Contains(heard.all(), line) {
					t.Errorf("no word of %q in %s", line, heard.all())
				}
			}
			if n := len(heard.lines); n != len(test.told) {
				t.Errorf("told %s", heard.all())
			}
		})
	}
}

func TestConsumerThatIsNoGroupIsRefused(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders.*"}})
	good := jetstream.ConsumerConfig{FilterSubject: "orders.a", AckPolicy: jetstream.AckExplicitPolicy}
	with := func(change func(c *jetstream.ConsumerConfig)) jetstream.ConsumerConfig {
		c := good
		change(&c)
		return c
	}
	tests := map[string]struct {
		config jetstream.ConsumerConfig
		words  string
	}{
		"other filter": {with(func(c *jetstream.ConsumerConfig) { c.FilterSubject = "orders.b" }), `the filter "orders.b"`},
		"wider filter": {with(func(c *jetstream.ConsumerConfig) { c.FilterSubject = "orders.*" }), `the filter "orders.*"`},
		"no filter":    {with(func(c *jetstream.ConsumerConfig) { c.FilterSubject = "" }), `the filter ""`},
		"several": {with(func(c *jetstream.ConsumerConfig) {
			c.FilterSubject, c.FilterSubjects = "", []string{"orders.a", "orders.b"}
		}), "the filter"},
		"ack none":      {with(func(c *jetstream.ConsumerConfig) { c.AckPolicy = jetstream.AckNonePolicy }), "AckNone"},
		"ack all":       {with(func(c *jetstream.ConsumerConfig) { c.AckPolicy = jetstream.AckAllPolicy }), "AckAll"},
		"push":          {with(func(c *jetstream.ConsumerConfig) { c.DeliverSubject = "there" }), "push consumer"},
		"headers alone": {with(func(c *jetstream.ConsumerConfig) { c.HeadersOnly = true }), "headers"},
		"priority group": {with(func(c *jetstream.ConsumerConfig) {
			c.PriorityPolicy, c.PriorityGroups = jetstream.PriorityPolicyPinned, []string{"g"}
		}), "priority"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := options(t, s)
			test.config.Durable = "workers_orders_a"

			if test.config.DeliverSubject != "" {
				if _, err := js.CreatePushConsumer(t.Context(), "orders", test.config); err != nil {
					t.Fatal(err)
				}
			} else if _, err := js.CreateConsumer(t.Context(), "orders", test.config); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = js.DeleteConsumer(t.Context(), "orders", test.config.Durable) }()
			publish(t, o, "orders.a", 1, 1)
			r := run(t, member(o, "orders.a"), &recorder{})
			_, err := r.wait()
			if !errors.Is(err, broker.ErrConsumer) || !strings.Contains(err.Error(), test.words) ||
				!strings.Contains(err.Error(), `"workers_orders_a"`) {
				t.Error(err)
			}
			if got := r.seen(); len(got) > 0 {
				t.Errorf("handled %v", got)
			}
		})
	}
}

func TestNamesThatJetStreamForbids(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	for _, name := range []string{"a.b", "a/b", `a\b`} {
		for kind, sub := range map[string]broker.Subscription{
			"durable": {Durable: name}, "group": {Group: name}, "durable of a group": {Durable: name, Group: "g"},
		} {
			l := listener(options(t, s), "orders")
			l.Subscription.Durable, l.Subscription.Group = sub.Durable, sub.Group
			_, err := l.Run(soon(t), &recorder{})
			if !errors.Is(err, broker.ErrName) || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
				t.Errorf("%s %s: %v", kind, name, err)
			}
		}
	}
	for _, name := range []string{"a-b_c", "a:b", "bücher", "a=b"} { // and the group of a durable may have any
		l := listener(options(t, s), "orders")
		l.Subscription.Durable, l.Subscription.Group, l.Idle = name, "a.b", time.Millisecond
		if end, err := l.Run(soon(t), &recorder{}); end != conn.EndIdle || err != nil {
			t.Errorf("%s: %v %v", name, end, err)
		}
	}
	if got := streamInfo(t, js, "orders").State.Consumers; got != 4 {
		t.Errorf("%d consumers are left", got)
	}
}

func TestConsumerOfAGroupWithoutDurable(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	o := options(t, s)
	publish(t, o, "orders", 1, 100)
	var members []*running
	for range 2 {
		l := listener(o, "orders")
		l.Subscription.Group, l.Subscription.MaxInFlight = "workers", 1
		members = append(members, run(t, l, &recorder{}))
	}
	publish(t, o, "orders", 101, 200)
	all := func() []string { return append(members[0].seen(), members[1].seen()...) }
	brokertest.Eventually(t, "all came", func() bool { return len(all()) >= 200 })
	config := consumerInfo(t, js, "workers_orders_transient").Config
	for _, m := range members {
		m.stopCleanly()
	}
	if got := all(); !slices.Equal(sorted(got), sorted(numbers(1, 200))) {
		t.Errorf("%d were handled", len(got))
	}
	if config.Durable != "" || config.InactiveThreshold != 30*time.Second {
		t.Errorf("it is kept: %+v", config)
	}
}

func TestDurableWithoutGroup(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	o := options(t, s)
	durable := func() *conn.Listener {
		l := listener(o, "orders")
		l.Subscription.Durable = "mine"
		return l
	}
	var got []string
	for i := range 3 {
		publish(t, o, "orders", 10*i+1, 10*i+10)
		r := run(t, durable(), &recorder{})
		r.await(10)
		r.stopCleanly()
		got = append(got, r.seen()...)
	}
	if !slices.Equal(got, numbers(1, 30)) {
		t.Errorf("got %v", got)
	}
	if config := consumerInfo(t, js, "mine_orders").Config; config.Durable == "" || config.InactiveThreshold != 0 {
		t.Errorf("it is not kept: %+v", config)
	}
}
