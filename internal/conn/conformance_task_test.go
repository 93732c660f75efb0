package conn_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// Tasks are acked in any order by any goroutine, no more are open than may be in
// flight, and the end is reached when all are finished.
func TestTasksAreFinishedInAnyOrder(t *testing.T) {
	t.Parallel()
	const events, inFlight = 300, 8
	onEachKind(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, kind func(link.Options, string) *conn.Listener) {
		o, subject := options(t, s), subjectOf(t)
		publish(t, o, subject, 1, events)
		l := untilEnd(kind(o, subject), s)
		l.Subscription.MaxInFlight = inFlight
		var mu sync.Mutex
		var tasks []*conn.Task // the latest is acked first
		begun, p := make(chan struct{}, events), &pool{}
		p.begin = func(t *conn.Task) error {
			mu.Lock()
			defer mu.Unlock()
			tasks = append(tasks, t)
			begun <- struct{}{}
			return nil
		}
		for range 3 {
			go func() {
				for range begun {
					mu.Lock()
					task := tasks[len(tasks)-1]
					tasks = tasks[:len(tasks)-1]
					mu.Unlock()
					p.ack(task)
				}
			}()
		}
		defer close(begun)
		w := work(t, l, p)
		w.ends(conn.EndReached)
		if got := sorted(p.acked); !slices.Equal(got, sorted(numbers(1, events))) {
			t.Errorf("%d events acked", len(got))
		}
		if p.most > inFlight {
			t.Errorf("%d tasks were open at a time", p.most)
		}
	})
}

// An open task is unacked at the broker, which delivers no more than may be so.
func TestOpenTasksAreUnacked(t *testing.T) {
	t.Parallel()
	onEachAs(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, o link.Options) {
		publish(t, o, "orders", 1, 10)
		l := member(o, "orders")
		l.Options.ClientID, l.Subscription.MaxInFlight = "me", 3
		w := work(t, l, &pool{})
		first := w.await(t, 3)
		if rest := restOf(t, l, s); rest.Unacked != 3 || rest.Waiting != 7 {
			t.Errorf("the broker says %+v", rest)
		}
		w.ack(first[2])
		w.await(t, 4)
		if rest := restOf(t, l, s); rest.Unacked != 3 || rest.Waiting != 6 {
			t.Errorf("once one is acked, the broker says %+v", rest)
		}
		first[0].Return()
		first[0].Ack() // too late
		w.ack(first[1])
		w.stop()
		w.ends(conn.EndStopped)
		if got, want := left(t, o, s), append(numbers(4, 10), "1"); !slices.Equal(sorted(got), sorted(want)) {
			t.Errorf("left: %v, want %v", got, want)
		}
	})
}

// A task that takes longer than the ack wait is not begun again, and its ack counts.
func TestLongTasksAreNotBegunAgain(t *testing.T) {
	t.Parallel()
	onEachAs(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, o link.Options) {
		publish(t, o, "orders", 1, 2)
		l := untilEnd(member(o, "orders"), s)
		l.Subscription.AckWait, l.Subscription.MaxInFlight = time.Second, 3
		w := work(t, l, &pool{})
		first := w.await(t, 2)
		<-time.After(2500 * time.Millisecond) // until copies have come, where there are any
		publish(t, o, "orders", 3, 3)
		third := w.await(t, 3)[2]
		if o.Backend == broker.JetStream {
			if info := consumerInfo(t, s.JetStream(), "workers_orders"); info.NumRedelivered != 0 {
				t.Errorf("%d were delivered again", info.NumRedelivered)
			}
		}
		w.ack(first[1])
		w.ack(third)
		w.ack(first[0])
		w.ends(conn.EndReached)
		if got := w.runs(); !slices.Equal(got, numbers(1, 3)) {
			t.Errorf("begun: %v", got)
		}
		if got := left(t, o, s); len(got) != 0 {
			t.Errorf("left: %v", got)
		}
	})
}

// Where there are naks, a retry leaves the listener and makes room at once;
// elsewhere its task stays open. Neither end comes before it.
func TestRetriedTasks(t *testing.T) {
	t.Parallel()
	const delay = 2500 * time.Millisecond
	for name, ends := range map[string]func(*conn.Listener) conn.End{
		"until the end": func(l *conn.Listener) conn.End { return conn.EndReached },
		"idle": func(l *conn.Listener) conn.End {
			l.UntilEnd, l.Idle = false, 100*time.Millisecond
			return conn.EndIdle
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEachAs(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, o link.Options) {
				publish(t, o, "orders", 1, 2)
				l := untilEnd(member(o, "orders"), s)
				l.Subscription.AckWait, l.Subscription.MaxInFlight = time.Second, 1
				want := ends(l)
				p := &pool{}
				w := work(t, l, p)
				first := w.await(t, 1)[0]
				begin := time.Now()
				held := first.Retry(delay)
				if held != (o.Backend == broker.STAN) {
					t.Fatalf("held: %v", held)
				}
				if !held {
					w.ack(w.await(t, 2)[1])
					again := w.await(t, 3)[2]
					if took := time.Since(begin); took < delay || string(again.Data) != "1" || again.Deliveries != 2 {
						t.Errorf("#%s came again after %v, delivery %d", again.Data, took, again.Deliveries)
					}
					first.Ack() // too late
					w.ack(again)
				} else {
					<-time.After(delay) // as its caller does
					w.ack(first)
					w.ack(w.await(t, 2)[1])
				}
				w.ends(want)
				if got := left(t, o, s); len(got) != 0 {
					t.Errorf("left: %v", got)
				}
			})
		})
	}
}

// The last task that is wanted is waited for, and others are left.
func TestEnoughTasks(t *testing.T) {
	t.Parallel()
	onEachAs(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, o link.Options) {
		publish(t, o, "orders", 1, 10)
		begun := make(chan struct{})
		p := &pool{}
		p.begin = func(t *conn.Task) error {
			if t.Sequence < 3 {
				return nil
			}
			close(begun)
			return conn.ErrEnough
		}
		p.finish = func(ctx context.Context) {
			if ctx.Err() != nil {
				t.Error(ctx.Err())
			}
			for _, task := range slices.Backward(p.came()) {
				p.ack(task)
			}
		}
		l := member(o, "orders")
		l.Subscription.AckWait = time.Hour
		w := work(t, l, p)
		<-begun
		w.ends(conn.EndEnough)
		if got := left(t, o, s); !slices.Equal(sorted(got), sorted(numbers(4, 10))) {
			t.Errorf("left: %v", got)
		}
	})
}

// A handler that refuses an event ends the listener, and the event goes back with
// what is open.
func TestTaskHandlerFails(t *testing.T) {
	t.Parallel()
	wrong := errors.New("wrong")
	onEachAs(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, o link.Options) {
		publish(t, o, "orders", 1, 5)
		l, p := member(o, "orders"), &pool{}
		p.begin = func(t *conn.Task) error {
			if t.Sequence == 3 {
				return wrong
			}
			return nil
		}
		p.finish = func(context.Context) { p.ack(p.came()[1]) }
		if _, err := l.RunTasks(t.Context(), p); !errors.Is(err, wrong) {
			t.Error(err)
		}
		p.came()[0].Ack() // too late
		if got := left(t, o, s); !slices.Equal(sorted(got), []string{"1", "3", "4", "5"}) {
			t.Errorf("left: %v", got)
		}
		l.NoAck = true
		if _, err := l.RunTasks(t.Context(), &pool{}); !errors.Is(err, broker.ErrConfig) {
			t.Errorf("without acks: %v", err)
		}
	})
}

// What is acked before the session is closed counts; what is open then, and what
// came and was not begun, goes back at once.
func TestStoppingWithOpenTasks(t *testing.T) {
	t.Parallel()
	const stops, events = 10, 400
	onEachAs(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, o link.Options) {
		publish(t, o, "orders", 1, events)
		var acked []string
		for range stops {
			l := member(o, "orders")
			l.Subscription.AckWait, l.Subscription.MaxInFlight = time.Hour, 16
			var acks sync.WaitGroup
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			p := &pool{}
			p.begin = func(task *conn.Task) error {
				if len(p.came()) == 20 { // at any moment from here on
					go stop()
				}
				if rand.IntN(20) == 0 {
					return nil
				}
				acks.Go(func() { p.ack(task) })
				return nil
			}
			p.finish = func(ctx context.Context) {
				if ctx.Err() == nil {
					t.Error("it was stopped, and Finish does not know")
				}
				acks.Wait()
			}
			if end, err := l.RunTasks(ctx, p); end != conn.EndStopped || err != nil || p.finishes != 1 || p.late != 0 {
				t.Fatalf("%v %v, Finish called %d times, Begin after it %d times", end, err, p.finishes, p.late)
			}
			acked = append(acked, p.acked...)
		}
		all := append(acked, left(t, o, s)...)
		if !slices.Equal(sorted(all), sorted(numbers(1, events))) {
			t.Errorf("%d events acked, %d with those that were left, of %d", len(acked), len(all), events)
		}
	})
}
