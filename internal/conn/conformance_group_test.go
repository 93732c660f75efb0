package conn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

func TestGroupSharesEvents(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		var members []*running
		for range 3 {
			members = append(members, run(t, member(o, "orders"), &recorder{}))
		}
		other := run(t, listener(o, "orders"), &recorder{})
		publish(t, o, "orders", 1, 300)
		other.await(300)
		all := func() (all []string) {
			for _, m := range members {
				all = append(all, m.seen()...)
			}
			return all
		}
		brokertest.Eventually(t, "the group got all", func() bool { return len(all()) >= 300 })
		for i, m := range members {
			m.stopCleanly()
			if len(m.seen()) == 0 {
				t.Errorf("member %d got nothing", i)
			}
		}
		got := all()
		slices.Sort(got)
		if len(slices.Compact(slices.Clone(got))) != 300 || len(got) != 300 {
			t.Errorf("the group handled %d events", len(got))
		}
		if !slices.Equal(other.seen(), numbers(1, 300)) {
			t.Errorf("who is alone must see all in order: %v", other.seen())
		}
	})
}

func TestDurableResumesAfterTheLastAcked(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 5)
		first := run(t, member(o, "orders"), &recorder{})
		first.await(5)
		first.stopCleanly()
		publish(t, o, "orders", 6, 8)
		l := member(o, "orders")
		l.Subscription.Start = broker.Start{Kind: broker.StartSequence, Sequence: 2} // ignored
		second := run(t, l, &recorder{})
		second.await(3)
		second.stopCleanly()
		if got := second.seen(); !slices.Equal(got, numbers(6, 8)) || second.again != 0 {
			t.Errorf("resumed with %v, %d of them again", got, second.again)
		}
	})
}

func TestUnackedComeAgain(t *testing.T) {
	t.Parallel()
	wrong := errors.New("wrong")
	tests := map[string]func(*conn.Listener, *recorder) (wantErr error){
		"left": func(_ *conn.Listener, r *recorder) error {
			r.verdict = func(m *broker.Message) error {
				if m.Sequence == 2 {
					return fmt.Errorf("broken: %w", conn.ErrLeave)
				}
				return nil
			}
			return nil
		},
		"never acked": func(l *conn.Listener, _ *recorder) error { l.NoAck = true; return nil },
		"handler failed": func(_ *conn.Listener, r *recorder) error {
			r.verdict = func(*broker.Message) error { return wrong }
			return wrong
		},
		"flush failed": func(_ *conn.Listener, r *recorder) error { r.flush = wrong; return wrong },
	}
	wantAgain := map[string][]string{
		"left": {"2"}, "never acked": numbers(1, 3), "handler failed": numbers(1, 3), "flush failed": numbers(1, 3),
	}
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		for name, prepare := range tests {
			t.Run(name, func(t *testing.T) {
				subject := fmt.Sprint("orders-", len(name))
				publish(t, o, subject, 1, 3)
				l, handler := member(o, subject), &recorder{}
				want := prepare(l, handler)
				r := run(t, l, handler)
				if want != nil {
					if _, err := r.wait(); !errors.Is(err, want) {
						t.Fatal(err)
					}
				} else {
					brokertest.Eventually(t, "the last came", func() bool { return slices.Contains(r.seen(), "3") })
					r.stopCleanly()
				}
				next := run(t, member(o, subject), &recorder{})
				next.await(len(wantAgain[name]))
				next.stopCleanly()
				// In any order: what is on its way when a session is closed may
				// stand before what is given back.
				if got := next.seen(); !slices.Equal(sorted(got), wantAgain[name]) {
					t.Errorf("came again: %v, want %v", got, wantAgain[name])
				}
			})
		}
	})
}

func TestRedeliveryIsCounted(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 1)
		l := member(o, "orders")
		l.Subscription.AckWait = time.Second
		var deliveries []int
		handler := &recorder{}
		handler.verdict = func(m *broker.Message) error {
			deliveries = append(deliveries, m.Deliveries)
			if m.Deliveries < 3 {
				return conn.ErrLeave
			}
			return nil
		}
		r := run(t, l, handler)
		r.await(1)
		r.stopCleanly()
		if !slices.Equal(deliveries, []int{1, 2, 3}) {
			t.Errorf("deliveries %v", deliveries)
		}
	})
}

func TestSlowHandlerIsNotGivenCopies(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 2)
		l := member(o, "orders")
		l.Subscription.AckWait = time.Second
		handler := &recorder{}
		handler.verdict = func(m *broker.Message) error {
			if m.Sequence == 1 { // until copies of both have come
				<-time.After(2500 * time.Millisecond)
			}
			return nil
		}
		r := run(t, l, handler)
		r.await(2)
		publish(t, o, "orders", 3, 3) // behind the copies
		brokertest.Eventually(t, "the third came", func() bool { return slices.Contains(r.seen(), "3") })
		r.stopCleanly()
		if got := r.seen(); !slices.Equal(got, numbers(1, 3)) {
			t.Errorf("handled %v", got)
		}
	})
}

func TestStoppingLosesNothingAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		const events, stops = 3000, 20
		published := make(chan struct{})
		go func() {
			defer close(published)
			publish(t, o, "orders", 1, events)
		}()
		var handled []string
		for i := range stops {
			ctx, stop := context.WithCancel(t.Context())
			handler := &recorder{}
			handler.verdict = func(*broker.Message) error {
				if len(handler.events) == i*7 {
					go stop() // at any moment from here on, as a signal does
				}
				return nil
			}
			if end, err := member(o, "orders").Run(ctx, handler); end != conn.EndStopped || err != nil {
				t.Fatal(end, err)
			}
			handled = append(handled, handler.seen()...)
		}
		<-published
		r := run(t, untilEnd(member(o, "orders"), s), &recorder{})
		if _, err := r.wait(); err != nil {
			t.Fatal(err)
		}
		handled = append(handled, r.seen()...)
		once := slices.Clone(handled)
		slices.Sort(once)
		if once = slices.Compact(once); len(once) != events || len(handled) != events {
			t.Errorf("%d events handled, %d of %d different", len(handled), len(once), events)
		}
	})
}

// However long the event in hand takes: those behind it, of any subject, are
// left to others.
func TestNoEventIsBegunAfterASignal(t *testing.T) {
	t.Parallel()
	const events = 5 // of each subject
	onEachKind(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, kind func(link.Options, string) *conn.Listener) {
		o, subjects := options(t, s), []string{subjectOf(t), subjectOf(t) + "-2"}
		said := &told{}
		quiet := o
		o.Notify = said.notify
		joined := func() *conn.Listener {
			l := kind(o, subjects[0])
			l.Subjects, l.Subscription.AckWait = subjects, time.Minute
			return l
		}
		begun, release := make(chan struct{}), make(chan struct{})
		r := run(t, joined(), at(1, func() {
			close(begun)
			<-release
		}))
		beside := listener(quiet, subjects[0])
		beside.Subjects = subjects
		other := run(t, beside, &recorder{})
		publish(t, quiet, subjects[0], 1, events)
		publish(t, quiet, subjects[1], events+1, 2*events)
		<-begun
		other.await(2 * events) // by then they have come to both
		r.stop()
		brokertest.Eventually(t, "it waits for the event in hand", func() bool { return strings.Contains(said.all(), "stopping when the event in hand is done") })
		close(release)
		r.stopCleanly()
		got := r.seen()
		if len(got) != 1 {
			t.Errorf("handled %v", got)
		}
		if strings.Contains(t.Name(), "alone") { // nobody else gets its events
			return
		}
		next := run(t, joined(), &recorder{})
		next.await(2*events - len(got)) // well before the ack wait is over
		next.stopCleanly()
		if got = append(got, next.seen()...); !slices.Equal(sorted(got), sorted(numbers(1, 2*events))) {
			t.Errorf("both handled %v", got)
		}
	})
}
