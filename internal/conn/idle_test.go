package conn_test

import (
	"context"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/brokertest/netsim"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
)

// What comes while the broker is asked, or is on its way here by its word, keeps
// a listener from being idle.
func TestIdleIsJudgedAfterTheAnswer(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	o := options(t, s)
	tests := map[string]func(subject string, r *recorder) broker.Rest{ // the first answer
		"an event comes meanwhile": func(subject string, r *recorder) broker.Rest {
			publish(t, o, subject, 1, 1)
			brokertest.Eventually(t, "it was handled", func() bool { return len(r.seen()) == 1 })
			return broker.Rest{}
		},
		"an event is on its way": func(string, *recorder) broker.Rest { return broker.Rest{Unacked: 1, Here: 1} },
		"an event waits":         func(string, *recorder) broker.Rest { return broker.Rest{Waiting: 1, Next: 1} },
	}
	for name, first := range tests {
		t.Run(name, func(t *testing.T) {
			subject, handler, asked := subjectOf(t), &recorder{}, 0
			l := member(o, subject)
			l.Idle = 2 * time.Second
			l.Rest = func(context.Context, broker.Subscription, string) (broker.Rest, error) {
				if asked++; asked == 1 {
					return first(subject, handler), nil
				}
				return broker.Rest{}, nil
			}
			if end, err := run(t, l, handler).wait(); end != conn.EndIdle || err != nil {
				t.Error(end, err)
			}
			if asked < 2 {
				t.Error("idle by the first answer")
			}
		})
	}
	t.Run("others hold events", func(t *testing.T) { // which is not its business
		asked := 0
		l := member(o, subjectOf(t))
		l.Idle = 50 * time.Millisecond
		l.Rest = func(context.Context, broker.Subscription, string) (broker.Rest, error) {
			asked++
			return broker.Rest{Unacked: 1}, nil
		}
		if end, err := run(t, l, &recorder{}).wait(); end != conn.EndIdle || err != nil || asked != 1 {
			t.Error(end, err, asked)
		}
	})
}

// An event that a busy broker is late with is missed by a look that waits for it
// alone; it is stored all the same.
func TestIdleKnowsOfAnEventThatIsLate(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	o := options(t, s)
	publish(t, o, "orders", 1001, 1002)
	network := s.Network()
	o.Servers = network.URL
	l := listener(o, "orders")
	l.Idle, l.Subscription.AckWait = 200*time.Millisecond, 5*time.Second
	r := run(t, l, &recorder{})
	r.await(2)
	network.Lose(netsim.Holds("1003"), 2) // as it is sent, and as the listener looks for it
	publish(t, options(t, s), "orders", 1003, 1003)
	if end, err := r.wait(); end != conn.EndIdle || err != nil {
		t.Error(end, err)
	}
	if got := r.seen(); len(got) != 3 {
		t.Errorf("idle after %v", got)
	}
}
