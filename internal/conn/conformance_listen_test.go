package conn_test

import (
	"slices"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
)

func TestStartPositions(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 3)
		session := dial(t, o)
		middle, err := session.Find(t.Context(), "orders", 0)
		if err != nil {
			t.Fatal(err)
		}
		publish(t, o, "orders", 4, 6)
		tests := []struct {
			deliver string
			want    []string
		}{
			{"all", numbers(1, 6)},
			{"last", numbers(6, 6)},
			{"seq:4", numbers(4, 6)},
			{"since:1h", numbers(1, 6)},
			{"since:2562047h", numbers(1, 6)}, // as long as a duration may be
			{"time:0000-01-01T00:00:00Z", numbers(1, 6)},
			{"time:1600-01-01T00:00:00Z", numbers(1, 6)},
			{"time:1970-01-01T00:00:00Z", numbers(1, 6)},
			{"time:" + middle.Time.Add(time.Hour).Format(time.RFC3339), nil},
			{"new", nil},
		}
		for _, test := range tests {
			t.Run(test.deliver, func(t *testing.T) {
				l := listener(o, "orders")
				l.UntilEnd = true
				if l.Subscription.Start, err = broker.ParseStart(test.deliver, time.Now()); err != nil {
					t.Fatal(err)
				}
				r := run(t, l, &recorder{})
				if end, err := r.wait(); end != conn.EndReached || err != nil {
					t.Fatal(end, err)
				}
				if got := r.seen(); !slices.Equal(got, test.want) {
					t.Errorf("got %v, want %v", got, test.want)
				}
			})
		}
		l := listener(o, "orders")
		l.Subscription.Start = broker.Start{Kind: broker.StartTime, Time: middle.Time}
		l.UntilEnd = true
		r := run(t, l, &recorder{})
		if _, err := r.wait(); err != nil {
			t.Fatal(err)
		}
		if got := r.seen(); !slices.Equal(got, numbers(3, 6)) {
			t.Errorf("from the time of #3: %v", got)
		}
	})
}

func TestUntilEndIsExact(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 300)
		publish(t, o, "payments", 301, 310)
		l := listener(o, "orders")
		l.Subjects = []string{"orders", "payments", "nothing-here"}
		l.UntilEnd = true
		handler := &recorder{}
		handler.verdict = func(m *broker.Message) error {
			if m.Subject == "orders" && m.Sequence == 300 { // beyond the end: not wanted
				publish(t, o, "orders", 999, 999)
			}
			return nil
		}
		r := run(t, l, handler)
		if end, err := r.wait(); end != conn.EndReached || err != nil {
			t.Fatal(end, err)
		}
		// What came to a subject that was at its end before the others were
		// may be handled, too.
		got, want := sorted(r.seen()), numbers(1, 310)
		if !slices.Equal(got, sorted(want)) && !slices.Equal(got, sorted(append(want, "999"))) {
			t.Errorf("got %d events: %v", len(got), got)
		}
	})
}

func TestIdleEndsOnlyWhenTheBrokerAnswers(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		o.Timeout = 2 * time.Second
		l := listener(o, "orders")
		l.Idle = 50 * time.Millisecond
		publish(t, o, "orders", 1, 2)
		r := run(t, l, &recorder{})
		if end, err := r.wait(); end != conn.EndIdle || err != nil || len(r.seen()) != 2 {
			t.Fatal(end, err, r.seen())
		}
	})
}
