package conn_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// A missing permission is told at once: the time-out is long.
func TestListeningWithoutPermission(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, withUsers(
		"all", `publish: { deny: "$JS.API.>" }`,
		"streams", `publish: { deny: "$JS.API.STREAM.NAMES" }`,
		"consumers", `publish: { deny: "$JS.API.CONSUMER.INFO.>" }`,
		"creation", `publish: { deny: "$JS.API.CONSUMER.CREATE.>" }`,
		"events", `publish: { deny: "$JS.API.CONSUMER.MSG.NEXT.>" }`,
		"answers", `subscribe: { deny: "_INBOX.>" }`), admin)
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	for _, user := range []string{"all", "streams", "consumers", "creation", "events", "answers"} {
		for kind, l := range map[string]*conn.Listener{"alone": listener(options(t, s), "orders"), "member": member(options(t, s), "orders")} {
			if user == "consumers" && kind == "alone" {
				continue // it needs to find none
			}
			t.Run(user+", "+kind, func(t *testing.T) {
				l.Options.Backend, l.Options.Auth, l.Options.Timeout = broker.JetStream, as(user), long
				if _, err := l.Run(soon(t), &recorder{}); !errors.Is(err, broker.ErrAuth) {
					t.Error(err)
				}
				_ = js.DeleteConsumer(t.Context(), "orders", "workers_orders")
			})
		}
	}
}

// Acks that the server denies are no acks, however the listener ends.
func TestDeniedAcksAreTold(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, withUsers("unheard", `publish: { deny: "$JS.ACK.>" }`), admin)
	o := options(t, s)
	o.Auth = as("admin")
	publish(t, o, "orders", 1, 10)
	for name, prepare := range map[string]func(l *conn.Listener, r *recorder){
		"going on":      func(*conn.Listener, *recorder) {},
		"until the end": func(l *conn.Listener, _ *recorder) { l.UntilEnd = true },
		"one is enough": func(_ *conn.Listener, r *recorder) { r.verdict = func(*broker.Message) error { return conn.ErrEnough } },
		"one at a time": func(l *conn.Listener, _ *recorder) { l.Subscription.MaxInFlight = 1 },
		"all are enough": func(_ *conn.Listener, r *recorder) {
			r.verdict = func(m *broker.Message) error { return enoughAt(m, 10) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, handler := member(o, "orders"), &recorder{}
			l.Options.Auth, l.Options.Timeout = as("unheard"), long
			prepare(l, handler)
			if end, err := l.Run(soon(t), handler); !errors.Is(err, broker.ErrAuth) {
				t.Errorf("end %v, error %v", end, err)
			}
			info := consumerInfo(t, js, "workers_orders")
			if info.AckFloor.Stream != 0 || info.NumAckPending == 0 {
				t.Errorf("acked up to #%d, %d are pending", info.AckFloor.Stream, info.NumAckPending)
			}
			if err := js.DeleteConsumer(t.Context(), "orders", "workers_orders"); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("alone", func(t *testing.T) { // it acks nothing
		l, handler := listener(o, "orders"), &recorder{}
		l.Options.Auth, l.UntilEnd = as("unheard"), true
		if end, err := l.Run(soon(t), handler); end != conn.EndReached || err != nil || !slices.Equal(handler.seen(), numbers(1, 10)) {
			t.Error(end, err, handler.seen())
		}
	})
}

func enoughAt(m *broker.Message, sequence uint64) error {
	if m.Sequence == sequence {
		return conn.ErrEnough
	}
	return nil
}

// The permissions that publishing and listening need, and no more.
func TestLeastPermissions(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, withUsers(
		"publisher", `publish: "orders", subscribe: "_INBOX_ada.>"`,
		"listener", `subscribe: "_INBOX_ada.>", publish: ["$JS.API.STREAM.NAMES", "$JS.API.CONSUMER.*.orders.workers_orders",
			"$JS.API.CONSUMER.*.orders.workers_orders.orders", "$JS.API.CONSUMER.MSG.NEXT.orders.workers_orders", "$JS.ACK.orders.workers_orders.>"]`), admin)
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	o := options(t, s)
	o.Backend, o.InboxPrefix, o.Timeout, o.CreateStream = broker.JetStream, "_INBOX_ada", long, false
	o.Auth = as("publisher")
	publish(t, o, "orders", 1, 10)
	o.Auth = as("listener")
	r := run(t, member(o, "orders"), &recorder{})
	r.await(10)
	r.stopCleanly()
	if got := consumerInfo(t, js, "workers_orders"); got.AckFloor.Stream != 10 || got.NumAckPending != 0 {
		t.Errorf("acked up to #%d", got.AckFloor.Stream)
	}
}

func TestDomain(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{Plain: true, Extra: fmt.Sprintf("jetstream { store_dir: %q, domain: hub }", t.TempDir())})
	brokertest.NoLeaks(t)
	o := options(t, s)
	o.Domain = "other"
	if _, err := conn.Dial(t.Context(), o); !errors.Is(err, broker.ErrNoJetStream) {
		t.Errorf("another domain: %v", err)
	}
	o.Domain = "hub"
	publish(t, o, "orders", 1, 10)
	both(t, func(t *testing.T, kind func(link.Options, string) *conn.Listener) {
		l, handler := kind(o, "orders"), &recorder{}
		l.UntilEnd = true
		if end, err := l.Run(soon(t), handler); end != conn.EndReached || err != nil || !slices.Equal(handler.seen(), numbers(1, 10)) {
			t.Error(end, err, handler.seen())
		}
	})
}
