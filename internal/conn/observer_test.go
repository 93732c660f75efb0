package conn_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

func observe(t testing.TB, o link.Options) *conn.Observer {
	t.Helper()
	observer, err := conn.Observe(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(observer.Close)
	return observer
}

// An observer finds the backend, and is told what is not there.
func TestObserve(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		want := broker.STAN
		if strings.HasSuffix(t.Name(), "jetstream") {
			want = broker.JetStream
		}
		o := options(t, s)
		for _, backend := range []broker.Backend{broker.Auto, want} {
			o.Backend = backend
			observer := observe(t, o)
			if got := observer.Backend(); got != want {
				t.Errorf("%s: found %s, want %s", backend, got, want)
			}
			observer.Close()
			observer.Close() // again does no harm
		}
		o.Backend = map[broker.Backend]broker.Backend{broker.STAN: broker.JetStream, broker.JetStream: broker.STAN}[want]
		if _, err := conn.Observe(t.Context(), o); !errors.Is(err, broker.ErrNoCluster) && !errors.Is(err, broker.ErrNoJetStream) {
			t.Errorf("asked for what is not there: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := conn.Observe(ctx, options(t, s)); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
		s.Kill()
		if _, err := conn.Observe(t.Context(), options(t, s)); !errors.Is(err, broker.ErrNoServer) {
			t.Errorf("no server: %v", err)
		}
	})
}

// Members of a group answer each other; others, and other groups, do not.
func TestMembersAnswerEachOther(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		start := func(id, group string) (*conn.Listener, *running) {
			o := options(t, s)
			o.ClientID = id
			l := listener(o, "orders")
			l.Subscription.Group, l.Subscription.Durable = group, group
			return l, run(t, l, &recorder{})
		}
		a, running := start("a", "workers")
		start("b", "workers")
		start("c", "others")
		start("d", "")
		members := func() []string {
			ids, err := a.Members(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return ids
		}
		brokertest.Eventually(t, "a and b know each other", func() bool { return slices.Equal(members(), []string{"a", "b"}) })
		// A call that names no place for an answer changes nothing.
		nc, err := nats.Connect(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		calls, err := nc.SubscribeSync("_LISTEN.members.*")
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		members()
		call, err := calls.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Publish(call.Subject, nil); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if ids := members(); !slices.Equal(ids, []string{"a", "b"}) {
				t.Errorf("after it, %q", ids)
			}
		}
		running.stopCleanly()
		if _, err := a.Members(t.Context()); !errors.Is(err, broker.ErrLost) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// Whatever is answered to a roll call: what is no member is passed over.
func TestHostileRollCall(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		o.ClientID = "a"
		l := listener(o, "orders")
		l.Subscription.Group, l.Subscription.Durable = "workers", "workers"
		run(t, l, &recorder{})
		nc, err := nats.Connect(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		answers := []string{"", "x", "[]", `{"client":"\u001b[31m"}`, `{"client":""}`, `{"client":7}`, `{"client":"` + strings.Repeat("x", 2000) + `"}`,
			`{"client":"b","held":-5}`}
		if _, err := nc.Subscribe("_LISTEN.members.*", func(m *nats.Msg) {
			for _, answer := range answers {
				_ = m.Respond([]byte(answer))
			}
			for _, subject := range []string{".x", ".-1", ".99999999999999999999", ".7"} {
				_ = nc.Publish(m.Reply[:strings.LastIndexByte(m.Reply, '.')]+subject, []byte(`{"client":"c"}`))
			}
		}); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if ids, err := l.Members(t.Context()); err != nil || !slices.Equal(ids, []string{"a", "b"}) {
			t.Errorf("%q, %v", ids, err)
		}
	})
}

// Whatever a worker's answer claims: its numbers are bounded.
func TestHostileWork(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	nc, err := nats.Connect(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	retry := `{"sequence":18446744073709551615,"failed":-1,"wait_ms":9223372036854775807}`
	work := `{"retries":-1,"dead":9223372036854775807,"next":[` + strings.Repeat(retry+",", 8) + retry + `]}`
	if _, err := nc.Subscribe("_LISTEN.members.*", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"client":"forged","work":` + work + `}`))
		_ = m.Respond([]byte(`{"client":"no-work","work":7}`))
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	answers, err := observe(t, options(t, s)).Subscribers(t.Context(), [][3]string{{"workers", "workers", "orders"}})
	if err != nil || len(answers) != 1 || len(answers[0]) != 1 {
		t.Fatal(answers, err)
	}
	w := answers[0][0].Work
	if w.Retries != 0 || w.Dead != math.MaxInt32 || len(w.Next) != broker.MostRetries {
		t.Errorf("%+v", w)
	}
	for _, r := range w.Next {
		if wait := time.Duration(r.Wait) * time.Millisecond; r.Failed != 0 || wait < 0 {
			t.Errorf("%+v: %v", r, wait)
		}
	}
}

// An evicted client's events go to others at once, and its durable stays.
func TestEvict(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	o := options(t, s)
	o.ClientID = "held"
	hold := member(o, "orders")
	hold.NoAck, hold.Subscription.MaxInFlight, hold.Subscription.AckWait = true, 2, time.Hour
	hold.Options.NoReconnect = true
	held := run(t, hold, &recorder{})
	publish(t, options(t, s), "orders", 1, 2)
	held.await(2)
	other := member(options(t, s), "orders")
	other.Subscription.AckWait = time.Hour
	takes := run(t, other, &recorder{})
	temp, err := observe(t, options(t, s)).TempClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := temp.Evict(t.Context(), "nobody"); !errors.Is(err, broker.ErrNoClient) {
		t.Errorf("nobody: %v", err)
	}
	if err := temp.Evict(t.Context(), "held"); err != nil {
		t.Fatal(err)
	}
	takes.await(2)
	if err := temp.Evict(t.Context(), "held"); !errors.Is(err, broker.ErrNoClient) {
		t.Errorf("again: %v", err)
	}
	temp.Leave()
	if err := temp.Evict(t.Context(), temp.ID); !errors.Is(err, broker.ErrNoClient) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := held.wait(); !errors.Is(err, broker.ErrLost) { // it is told at its next ping
		t.Errorf("the evicted one ended with %v", err)
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 3)
		read := func() []string {
			t.Helper()
			l := untilEnd(member(o, "orders"), s)
			r := &recorder{}
			if _, err := l.Run(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			return r.seen()
		}
		for _, want := range []int{3, 0} {
			if n := len(read()); n != want {
				t.Errorf("%d events, want %d", n, want)
			}
		}
		sub := broker.Subscription{Subject: "orders", Group: "workers", Durable: "workers"}
		forget := func() error {
			observer := observe(t, o)
			if observer.Backend() == broker.JetStream {
				info := consumerInfo(t, s.JetStream(), conn.ConsumerName(sub))
				seen := broker.Seen{Stream: "orders", Consumer: info.Name, Created: info.Created, Delivered: info.Delivered.Stream}
				for _, other := range []broker.Seen{
					{Stream: seen.Stream, Consumer: seen.Consumer, Created: seen.Created, Delivered: 2},
					{Stream: seen.Stream, Consumer: seen.Consumer, Delivered: 3},
				} {
					if err := observer.Forget(t.Context(), other); !errors.Is(err, broker.ErrChanged) {
						t.Errorf("of another than was seen: %v", err)
					}
				}
				return observer.Forget(t.Context(), seen)
			}
			temp, err := observer.TempClient(t.Context())
			if err != nil {
				return err
			}
			defer temp.Leave()
			return temp.Forget(t.Context(), sub)
		}
		if err := forget(); err != nil {
			t.Fatal(err)
		}
		if n := len(read()); n != 3 {
			t.Errorf("after it was forgotten, %d events, want 3", n)
		}
		if strings.HasSuffix(t.Name(), "jetstream") {
			if err := observe(t, o).Forget(t.Context(), broker.Seen{Stream: "orders", Consumer: "nobody"}); !errors.Is(err, broker.ErrNoPosition) {
				t.Errorf("nobody: %v", err)
			}
		}
	})
}
