package conn_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// The broker that was joined first is kept: its absence is an outage, also where
// another could stand in for it.
func TestBrokerIsKept(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{JetStream: true})
	brokertest.NoLeaks(t)
	o, said := options(t, s), &told{}
	publish(t, o, "orders", 1, 3)
	o.Notify = said.notify
	r := run(t, member(o, "orders"), &recorder{})
	r.await(3)
	s.RestartStreaming(false)
	brokertest.Eventually(t, "NATS Streaming is missed", func() bool { return strings.Contains(said.all(), broker.ErrNoCluster.Error()) })
	other := options(t, s) // who comes new takes what is there
	publish(t, other, "orders", 100, 100)
	s.RestartStreaming(true)
	publish(t, options(t, s), "orders", 4, 5)
	r.await(5)
	r.stopCleanly()
	if got := r.seen(); !slices.Equal(sorted(got), numbers(1, 5)) {
		t.Errorf("handled %v", got)
	}
}

// What had come when the connection broke is given back at once when the
// listener joins again, and what was handled is acked again.
func TestBrokenConnectionIsTakenOver(t *testing.T) {
	t.Parallel()
	const events = 50
	s, _ := onJetStream(t, "")
	o := options(t, s)
	publish(t, o, "orders", 1, events)
	network := s.Network()
	o.Servers = network.URL
	l := untilEnd(member(o, "orders"), s)
	l.Subscription.AckWait, l.Subscription.MaxInFlight = time.Hour, events
	js := s.JetStream()
	var rejoined atomic.Bool
	l.Joined = func(_ []broker.Place, again bool) { rejoined.Store(again) }
	came := 0
	cut := &recorder{verdict: func(*broker.Message) error {
		switch came++; {
		case came == 20:
			brokertest.Eventually(t, "all are on their way", func() bool { return consumerInfo(t, js, "workers_orders").NumPending == 0 })
			if _, err := l.Members(t.Context()); err != nil { // what was on its way before has come, too
				t.Error(err)
			}
			network.Cut()
		case came > 20 && !rejoined.Load(): // what the listener has no time for
			return conn.ErrLeave
		}
		return nil
	}}
	end, err := run(t, l, cut).wait()
	if got := cut.seen(); end != conn.EndReached || err != nil || !slices.Equal(sorted(got), sorted(numbers(1, events))) {
		t.Errorf("%v %v after %d of %d events", end, err, len(got), events)
	}
}

// A server that hangs says nothing of the members of a group.
func TestMembersOfAFrozenServerAreUnknown(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		o.Timeout = time.Second
		l := member(o, "orders")
		run(t, l, &recorder{})
		s.Freeze()
		if ids, err := l.Members(t.Context()); !errors.Is(err, broker.ErrHung) && !errors.Is(err, broker.ErrLost) {
			t.Errorf("%v, %v", ids, err)
		}
		s.Thaw()
	})
}

// Events that are on a long way are not at their end.
func TestUntilEndOverALongLink(t *testing.T) {
	t.Parallel()
	onEachKind(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, kind func(link.Options, string) *conn.Listener) {
		o, subject := options(t, s), subjectOf(t)
		publish(t, o, subject, 1, 100)
		network := s.Network()
		network.Delay(150 * time.Millisecond)
		o.Servers = network.URL
		l := untilEnd(kind(o, subject), s)
		l.Subscription.MaxInFlight = 20
		r := run(t, l, &recorder{})
		if end, err := r.wait(); end != conn.EndReached || err != nil || len(r.seen()) != 100 {
			t.Errorf("%v %v after %d of 100 events", end, err, len(r.seen()))
		}
	})
}

// Events that are larger than what is asked for at a time come one by one.
func TestLargeEventsCome(t *testing.T) {
	t.Parallel()
	onEachKind(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, kind func(link.Options, string) *conn.Listener) {
		const events, size = 5, 900 << 10
		o, subject := options(t, s), subjectOf(t)
		p := conn.NewPublisher(dial(t, o), nil)
		for range events {
			if err := p.Publish(t.Context(), broker.Event{Subject: subject, Data: make([]byte, size)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		r := run(t, untilEnd(kind(o, subject), s), &recorder{})
		if end, err := r.wait(); end != conn.EndReached || err != nil || len(r.seen()) != events {
			t.Errorf("%v %v after %d of %d events", end, err, len(r.seen()), events)
		}
	})
}
