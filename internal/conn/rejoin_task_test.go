package conn_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// Tasks outlive their session: whenever they are acked, the broker comes to know,
// and no event is begun twice.
func TestTasksOutliveTheirSession(t *testing.T) {
	t.Parallel()
	const events, inFlight = 12, 6
	onEachAs(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, o link.Options) {
		publish(t, o, "orders", 1, events)
		network, said := s.Network(), &told{}
		l := untilEnd(member(o, "orders"), s)
		l.Options.Servers, l.Options.ClientID, l.Options.Notify = network.URL, "me", said.notify
		l.Subscription.AckWait, l.Subscription.MaxInFlight = 2*time.Second, inFlight // what was on its way comes after that
		rejoined := make(chan struct{}, 8)
		l.Joined = func(_ []broker.Place, again bool) {
			if again {
				rejoined <- struct{}{}
			}
		}
		w := work(t, l, &pool{})
		first := w.await(t, inFlight)
		w.ack(first[1]) // may be lost
		network.Refuse(true)
		network.Cut()
		brokertest.Eventually(t, "the loss is noticed", func() bool { return strings.Contains(said.all(), "joining again") })
		w.ack(first[3])
		if held := first[4].Retry(time.Millisecond); held != (o.Backend == broker.STAN) {
			t.Errorf("held: %v", held)
		} else if held {
			w.ack(first[4])
		}
		network.Refuse(false)
		<-rejoined
		w.ack(first[2])
		network.Cut() // once more
		<-rejoined
		w.ack(first[0])
		w.ack(first[5])
		want := numbers(1, events)
		if o.Backend == broker.JetStream {
			want = append(want, "5")
		}
		for i := inFlight; i < len(want); i++ {
			w.ack(w.await(t, i+1)[i])
		}
		w.ends(conn.EndReached)
		if got := w.runs(); !slices.Equal(sorted(got), sorted(want)) {
			t.Errorf("begun: %v", got)
		}
		if got := left(t, o, s); len(got) != 0 {
			t.Errorf("left: %v", got)
		}
		if strings.Contains(said.all(), "could not be sent") {
			t.Errorf("said: %s", said.all())
		}
	})
}

// Over a network that breaks again and again, each event is begun once.
func TestTasksOverABreakingNetwork(t *testing.T) {
	t.Parallel()
	const events, inFlight = 1000, 16
	for name, breaks := range map[string]struct {
		times  int
		strike func(s *brokertest.Server, cut func())
	}{
		"cut":     {10, func(_ *brokertest.Server, cut func()) { cut() }},
		"restart": {3, func(s *brokertest.Server, _ func()) { s.Restart() }},
	} {
		t.Run(name, func(t *testing.T) {
			onEachAs(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, o link.Options) {
				publish(t, o, "orders", 1, events)
				network := s.Network()
				l := untilEnd(member(o, "orders"), s)
				l.Options.Servers, l.Options.Notify = network.URL, nil
				l.Subscription.AckWait, l.Subscription.MaxInFlight = 2*time.Second, inFlight
				p := &pool{}
				tasks, strikes := make(chan *conn.Task, events), make(chan struct{}, breaks.times)
				p.begin = func(t *conn.Task) error {
					if t.Sequence < events && t.Sequence%(events/uint64(breaks.times+1)) == 0 { // not at the end: the server may lose the last acks
						select {
						case strikes <- struct{}{}:
						default:
						}
					}
					tasks <- t
					return nil
				}
				var helpers sync.WaitGroup
				defer helpers.Wait()
				defer close(tasks)
				defer close(strikes)
				helpers.Go(func() {
					for range strikes {
						breaks.strike(s, network.Cut)
					}
				})
				for range inFlight / 2 {
					helpers.Go(func() {
						for task := range tasks {
							if rand.IntN(50) == 0 { // across the next cut, perhaps
								<-time.After(time.Duration(rand.IntN(300)) * time.Millisecond)
							}
							p.ack(task)
						}
					})
				}
				w := work(t, l, p)
				w.ends(conn.EndReached)
				if got := w.runs(); !slices.Equal(sorted(got), sorted(numbers(1, events))) {
					t.Errorf("%d tasks of %d events", len(got), events)
				}
				if got := left(t, o, s); len(got) != 0 {
					t.Errorf("left: %v", got)
				}
			})
		})
	}
}

// Of a stream that began anew, the broker knows nothing of what is in hand.
func TestTasksThatTheBrokerForgot(t *testing.T) {
	t.Parallel()
	onEachAs(t, brokertest.Config{Memory: true}, func(t *testing.T, s *brokertest.Server, o link.Options) {
		publish(t, o, "orders", 1, 4)
		said := &told{}
		l := member(o, "orders")
		l.Options.Notify, l.Subscription.AckWait, l.Subscription.MaxInFlight = said.notify, time.Hour, 3
		w := work(t, l, &pool{})
		first := w.await(t, 3)
		w.ack(first[0])
		w.await(t, 4)
		s.Restart()
		publish(t, o, "orders", 11, 12)
		brokertest.Eventually(t, "the loss is said", func() bool { return strings.Contains(said.all(), "in hand") })
		w.ack(first[2])
		fresh := w.await(t, 5)[4] // there is room for it alone
		if !first[1].Retry(0) {
			t.Error("what the broker has forgotten does not come again")
		}
		w.ack(first[1])
		w.ack(w.await(t, 6)[5])
		w.ack(fresh)
		w.ack(w.came()[3])
		brokertest.Eventually(t, "a later one comes", func() bool {
			publish(t, o, "orders", 13, 13)
			return len(w.came()) > 6
		})
		for _, task := range w.came()[6:] {
			w.ack(task)
		}
		w.stop()
		w.ends(conn.EndStopped)
		if got, want := w.runs()[:6], append(numbers(1, 4), "11", "12"); !slices.Equal(got, want) {
			t.Errorf("begun: %v", got)
		}
		if n := strings.Count(said.all(), "3 events in hand can't be acked any more"); n != 1 {
			t.Errorf("said %d times: %s", n, said.all())
		}
	})
}

// A consumer that was deleted is made again, and delivers everything again: what is
// in hand is not begun twice, and is acked there.
func TestTasksOfADeletedConsumer(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	o := options(t, s)
	o.Backend = broker.JetStream
	publish(t, o, "orders", 1, 6)
	l := untilEnd(member(o, "orders"), s)
	l.Subscription.AckWait, l.Subscription.MaxInFlight = time.Hour, 3
	w := work(t, l, &pool{})
	first := w.await(t, 3)
	w.ack(first[1])
	w.await(t, 4)
	stream, err := js.Stream(t.Context(), "orders")
	if err == nil {
		err = stream.DeleteConsumer(t.Context(), "workers_orders")
	}
	if err != nil {
		t.Fatal(err)
	}
	w.ack(first[2])
	for i := 3; i < 6; i++ {
		w.ack(w.await(t, i+1)[i])
	}
	w.ack(first[0])
	w.ends(conn.EndReached)
	if got := w.runs(); !slices.Equal(got, numbers(1, 6)) {
		t.Errorf("begun: %v", got)
	}
	if got := left(t, o, s); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// A session that is lost for good has its tasks finished, and says what could not
// be acked.
func TestTasksWithoutAnotherSession(t *testing.T) {
	t.Parallel()
	onEachAs(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, o link.Options) {
		publish(t, o, "orders", 1, 3)
		network, said := s.Network(), &told{}
		l := member(o, "orders")
		l.Options.Servers, l.Options.Notify, l.Options.NoReconnect = network.URL, said.notify, true
		l.Subscription.AckWait = 2 * time.Second
		w := work(t, l, &pool{})
		tasks := w.await(t, 3)
		w.mu.Lock()
		w.finish = func(ctx context.Context) { w.ack(tasks[0]); w.ack(tasks[1]) }
		w.mu.Unlock()
		network.Cut()
		<-w.done
		if w.err == nil || w.finishes != 1 || !strings.Contains(said.all(), "2 events handled, and the acks could not be sent") {
			t.Errorf("%v, Finish called %d times, said: %s", w.err, w.finishes, said.all())
		}
		if got := left(t, o, s); !slices.Equal(sorted(got), numbers(1, 3)) {
			t.Errorf("left: %v", got)
		}
	})
}

// A task knows what its broker tells of an event.
func TestTaskDetails(t *testing.T) {
	t.Parallel()
	onEachAs(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, o link.Options) {
		p := conn.NewPublisher(dial(t, o), nil)
		event := broker.Event{Subject: "orders", Data: []byte("1")}
		want := "  map[]"
		if o.Backend == broker.JetStream {
			event.ID, event.Header = "an-id", map[string][]string{"Trace": {"a", "b"}}
			want = "orders workers_orders an-id [a b]"
		}
		if err := p.Publish(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		w := work(t, member(o, "orders"), &pool{})
		task := w.await(t, 1)[0]
		got := fmt.Sprint(task.Stream, " ", task.Consumer, " ", task.ID, task.Header)
		if o.Backend == broker.JetStream {
			got = fmt.Sprint(task.Stream, " ", task.Consumer, " ", task.ID, " ", task.Header["Trace"])
		}
		if got != want || task.Subject != "orders" || task.Sequence != 1 || task.Deliveries != 1 || task.Time.IsZero() || task.Acker != nil {
			t.Errorf("%q, %+v", got, task.Message)
		}
		w.ack(task)
		w.stop()
		w.ends(conn.EndStopped)
	})
}
