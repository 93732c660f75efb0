package conn_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
)

// pending asks how many acks the server waits for.
func pending(t *testing.T, consumer jetstream.Consumer) int {
	t.Helper()
	info, err := consumer.Info(t.Context())
	if err != nil {
		t.Error(err)
		return 0
	}
	return info.NumAckPending
}

// The server has no more events out than are allowed in flight: what is left
// unacked counts until its ack wait is over.
func TestMaxInFlightIsKept(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	const events = 15
	const ackWait = 1249 * time.Millisecond // over when the listener looks, every 250 ms, and only just
	tests := map[string]struct {
		noAck bool
		leave func(m *broker.Message) bool
		want  []string
	}{
		"acked":       {false, func(*broker.Message) bool { return false }, numbers(1, events)},
		"one left":    {false, func(m *broker.Message) bool { return m.Sequence == 3 && m.Deliveries < 4 }, numbers(1, events)},
		"never acked": {true, func(*broker.Message) bool { return false }, []string{"1", "1", "1", "1"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
			o := options(t, s)
			publish(t, o, "orders", 1, events)
			consumer, err := s.JetStream().CreateConsumer(t.Context(), "orders", jetstream.ConsumerConfig{
				Durable: "workers_orders", FilterSubject: "orders", AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: -1,
			})
			if err != nil {
				t.Fatal(err)
			}
			l, handler := member(o, "orders"), &recorder{}
			l.Subscription.MaxInFlight, l.Subscription.AckWait, l.NoAck = 1, ackWait, test.noAck
			handler.verdict = func(m *broker.Message) error {
				brokertest.Eventually(t, "the ack before has come", func() bool { return pending(t, consumer) == 1 })
				for range 20 {
					if n := pending(t, consumer); n != 1 {
						t.Errorf("%d are out while #%d is handled", n, m.Sequence)
					}
				}
				if test.leave(m) {
					return conn.ErrLeave
				}
				return nil
			}
			r := run(t, l, handler)
			for test.noAck && len(r.seen()) < len(test.want) { // also between two deliveries
				if n := pending(t, consumer); n > 1 {
					t.Fatalf("%d are out", n)
				}
			}
			r.await(len(test.want))
			r.stopCleanly()
			if got := r.seen()[:len(test.want)]; !slices.Equal(got, test.want) {
				t.Errorf("handled %v", got)
			}
		})
	}
}

// A member that is stuck holds what it has, and nothing else.
func TestStuckMemberDoesNotStallTheOthers(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	o := options(t, s)
	const inFlight = 4
	stuck, release := make(chan struct{}), make(chan struct{})
	handler := &recorder{}
	handler.verdict = func(*broker.Message) error {
		if len(handler.events) == 0 {
			close(stuck)
		}
		<-release
		return nil
	}
	first := member(o, "orders")
	first.Subscription.MaxInFlight = inFlight
	publish(t, o, "orders", 1, inFlight)
	one := run(t, first, handler)
	<-stuck
	other := run(t, member(o, "orders"), &recorder{})
	publish(t, o, "orders", inFlight+1, 500)
	other.await(500 - inFlight)
	brokertest.Eventually(t, "all but what is stuck was acked", func() bool {
		return consumerInfo(t, js, "workers_orders").NumAckPending == inFlight
	})
	close(release)
	one.await(inFlight)
	one.stopCleanly()
	other.stopCleanly()
	if got := other.seen(); !slices.Equal(sorted(got), sorted(numbers(inFlight+1, 500))) || one.again+other.again > 0 {
		t.Errorf("the other handled %d, %d came again", len(got), one.again+other.again)
	}
	if got := one.seen(); !slices.Equal(got, numbers(1, inFlight)) {
		t.Errorf("the stuck one handled %v", got)
	}
}

// The ack wait does not run out while an event is handled, nor while it waits
// behind such a one.
func TestSlowHandlerKeepsItsEvents(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	o := options(t, s)
	publish(t, o, "orders", 1, 4)
	var members []*running
	for range 2 {
		handler := &recorder{}
		handler.verdict = func(*broker.Message) error { <-time.After(3 * time.Second); return nil }
		l := member(o, "orders")
		l.Subscription.AckWait, l.Subscription.MaxInFlight = time.Second, 2
		members = append(members, run(t, l, handler))
	}
	all := func() []string { return append(members[0].seen(), members[1].seen()...) }
	brokertest.Eventually(t, "all were handled", func() bool { return len(all()) >= 4 })
	for _, m := range members {
		m.stopCleanly()
	}
	if got := all(); !slices.Equal(sorted(got), numbers(1, 4)) || members[0].again+members[1].again > 0 {
		t.Errorf("handled %v, %d of them again", got, members[0].again+members[1].again)
	}
	if info := consumerInfo(t, js, "workers_orders"); info.AckFloor.Stream != 4 || info.NumRedelivered != 0 {
		t.Errorf("acked up to #%d, %d are to come again", info.AckFloor.Stream, info.NumRedelivered)
	}
}

// What a listener leaves behind goes to the next at once and in order, and
// counts as delivered again.
func TestUnackedAreGivenBackOnClose(t *testing.T) {
	t.Parallel()
	wrong := errors.New("wrong")
	for name, prepare := range map[string]func(l *conn.Listener, r *recorder){
		"left":        func(_ *conn.Listener, r *recorder) { r.verdict = func(*broker.Message) error { return conn.ErrLeave } },
		"never acked": func(l *conn.Listener, _ *recorder) { l.NoAck = true },
		"failed": func(_ *conn.Listener, r *recorder) {
			r.verdict = func(m *broker.Message) error {
				if m.Sequence == 10 {
					return wrong
				}
				return conn.ErrLeave
			}
		},
		"in hand": func(_ *conn.Listener, r *recorder) {
			r.verdict = func(m *broker.Message) error { return enoughAt(m, 1) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, js := onJetStream(t, "")
			o := options(t, s)
			publish(t, o, "orders", 1, 10)
			handler := &recorder{}
			l := member(o, "orders") // whose ack wait is half a minute
			prepare(l, handler)
			verdict := handler.verdict
			var last atomic.Uint64
			handler.verdict = func(m *broker.Message) error {
				if m.Sequence == 1 { // until all have come
					brokertest.Eventually(t, "all are on their way", func() bool {
						return consumerInfo(t, js, "workers_orders").NumAckPending == 10
					})
				}
				defer last.Store(m.Sequence)
				if verdict == nil {
					return nil
				}
				return verdict(m)
			}
			r := run(t, l, handler)
			want := numbers(1, 10)
			switch name {
			case "in hand":
				if end, err := r.wait(); end != conn.EndEnough || err != nil {
					t.Fatal(end, err)
				}
				want = numbers(2, 10)
			case "failed":
				if _, err := r.wait(); !errors.Is(err, wrong) {
					t.Fatal(err)
				}
			default:
				brokertest.Eventually(t, "the last came", func() bool { return last.Load() == 10 })
				r.stopCleanly()
			}
			var deliveries []int
			next := &recorder{}
			next.verdict = func(m *broker.Message) error {
				deliveries = append(deliveries, m.Deliveries)
				return nil
			}
			begin := time.Now()
			x := run(t, member(o, "orders"), next)
			x.await(len(want))
			if took := time.Since(begin); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
			x.stopCleanly()
			if got := x.seen(); !slices.Equal(got, want) {
				t.Errorf("came again: %v", got)
			}
			if slices.Min(deliveries) != 2 || slices.Max(deliveries) != 2 {
				t.Errorf("deliveries %v", deliveries)
			}
		})
	}
}

// Listeners that stop at random moments, while others go on, leave nothing
// behind that was handled.
func TestStoppingUnderLoadRepeatsNothing(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	random := seeded(t)
	o := options(t, s)
	const events, stops = 4000, 30
	var mu sync.Mutex
	handled := make(map[uint64]int)
	handle := func(m *broker.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if handled[m.Sequence]++; handled[m.Sequence] > 1 {
			t.Errorf("#%d was handled before, and comes as delivery %d", m.Sequence, m.Deliveries)
		}
		return nil
	}
	steady := run(t, member(o, "orders"), &recorder{verdict: handle})
	published := make(chan struct{})
	go func() {
		defer close(published)
		publish(t, o, "orders", 1, events)
	}()
	for i := range stops {
		l := member(o, "orders")
		l.Subscription.MaxInFlight = 1 + random.IntN(64)
		after := random.IntN(40)
		slow := i%3 == 0
		come := make(chan struct{})
		n := 0
		r := run(t, l, &recorder{verdict: func(m *broker.Message) error {
			if n++; n == after+1 {
				close(come)
			}
			if slow {
				<-time.After(time.Millisecond)
			}
			return handle(m)
		}})
		if i%2 == 0 {
			select {
			case <-come:
			case <-time.After(50 * time.Millisecond): // the steady one takes it all
			}
		}
		r.stopCleanly()
	}
	<-published
	brokertest.Eventually(t, "all were handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(handled) == events
	})
	steady.stopCleanly()
	info := consumerInfo(t, js, "workers_orders")
	if info.AckFloor.Stream != events || info.NumAckPending != 0 || info.NumPending != 0 {
		t.Errorf("acked up to #%d, %s", info.AckFloor.Stream, fmt.Sprint(info.NumAckPending, " acks and ", info.NumPending, " events are pending"))
	}
}
