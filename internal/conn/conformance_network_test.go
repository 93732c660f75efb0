package conn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/brokertest/netsim"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// badNetworks is what networks do while programs work.
var badNetworks = map[string]func(n *netsim.Network){
	"cut":                         (*netsim.Network).Cut,
	"the server is not heard":     func(n *netsim.Network) { n.HalfClose(netsim.Down) },
	"the server does not hear":    func(n *netsim.Network) { n.HalfClose(netsim.Up) },
	"messages of the server lost": func(n *netsim.Network) { n.Lose(netsim.Holds("MSG "), 5) },
	"slow":                        func(n *netsim.Network) { n.Delay(50 * time.Millisecond); n.Throttle(200_000, 200_000) },
	"nothing passes for a while": func(n *netsim.Network) {
		n.BlackHole(true)
		time.AfterFunc(time.Second, func() { n.BlackHole(false) })
	},
	"cut, and refused for a while": func(n *netsim.Network) {
		n.Refuse(true)
		n.Cut()
		time.AfterFunc(time.Second, func() { n.Refuse(false) })
	},
}

// onBadNetworks runs a test on every backend over every bad network, with a
// subject of its own, and options for a way over the network and for one past it.
func onBadNetworks(t *testing.T, test func(t *testing.T, subject string, over, past link.Options, strike func())) {
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		tested := 0
		for name, strike := range badNetworks {
			tested++
			subject := fmt.Sprintf("orders-%d", tested)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				network := s.Network()
				past := options(t, s)
				past.Notify = nil // timers may call it after the test
				over := past
				over.Servers, over.Timeout = network.URL, 3*time.Second
				test(t, subject, over, past, func() { strike(network) })
			})
		}
	})
}

// What was acked is stored, and without an error everything is: once, and in
// order, where the broker knows repeats.
func TestPublishingOverBadNetworks(t *testing.T) {
	t.Parallel()
	const events, moment = 3000, 500
	onBadNetworks(t, func(t *testing.T, subject string, over, past link.Options, strike func()) {
		var acked []string
		session := dial(t, over)
		p := conn.NewPublisher(session, func(event int, _ broker.Receipt, _ bool) {
			if acked = append(acked, fmt.Sprint(event)); len(acked) == moment {
				strike()
			}
		})
		var err error
		for event := 1; event <= events && err == nil; event++ {
			err = p.Publish(t.Context(), broker.Event{Subject: subject, Data: fmt.Append(nil, event)})
		}
		err = errors.Join(err, p.Flush())
		sent, good, inDoubt := p.Sent()
		t.Logf("%d sent, %d acked, %d in doubt: %v", sent, good, inDoubt, err)
		got := readAll(t, past, subject)
		stored := make(map[string]bool)
		for _, event := range got {
			stored[event] = true
		}
		for _, event := range acked {
			if !stored[event] {
				t.Fatalf("acked, and not stored: %s", event)
			}
		}
		switch {
		case err == nil && session.Backend() == broker.JetStream && !slices.Equal(got, numbers(1, events)):
			t.Errorf("no error, and stored are %d events, not each in its place", len(got))
		case err == nil && len(stored) != events:
			t.Errorf("no error, and stored are %d events", len(stored))
		case err != nil && (len(stored) < good || len(stored) > good+inDoubt):
			t.Errorf("%d are stored", len(stored))
		case err != nil && !errors.Is(err, broker.ErrNotAcked) && !errors.Is(err, broker.ErrLost):
			t.Error("another error")
		}
	})
}

// An end without an error is the end of everything that was there.
func TestReadingToTheEndOverBadNetworks(t *testing.T) {
	t.Parallel()
	const events, moment = 3000, 500
	for name, kind := range map[string]func(link.Options, string) *conn.Listener{"alone": listener, "member": member} {
		t.Run(name, func(t *testing.T) {
			onBadNetworks(t, func(t *testing.T, subject string, over, past link.Options, strike func()) {
				publish(t, past, subject, 1, events)
				l := kind(over, subject)
				l.UntilEnd, l.Subscription.AckWait = true, 2*time.Second
				r := &recorder{}
				r.verdict = func(*broker.Message) error {
					if len(r.events) == moment-1 {
						strike()
					}
					return nil
				}
				ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
				defer cancel()
				end, err := l.Run(ctx, r)
				got := sorted(r.seen())
				again := len(got)
				got = slices.Compact(got)
				t.Logf("%d events, %d again, end %v: %v", len(got), again-len(got), end, err)
				if ctx.Err() != nil {
					t.Fatal("there is no end")
				}
				if err == nil && (end != conn.EndReached || !slices.Equal(got, sorted(numbers(1, events)))) {
					t.Errorf("the end of %d events was reached after %d", events, len(got))
				}
			})
		})
	}
}

// readAll returns the data of all events of a subject, in their order.
func readAll(t *testing.T, o link.Options, subject string) []string {
	t.Helper()
	l := listener(o, subject)
	l.UntilEnd = true
	r := &recorder{}
	if end, err := l.Run(soon(t), r); end != conn.EndReached || err != nil {
		t.Fatal(end, err)
	}
	return r.seen()
}
