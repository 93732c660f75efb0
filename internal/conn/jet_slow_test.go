package conn_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest/netsim"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// publishSlowly stores events over a network that is made worse after the
// session is there, and checks that each is sent about once.
func publishSlowly(t *testing.T, o link.Options, events, size int, worse func(n *netsim.Network)) {
	t.Helper()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	network := s.Network()
	o.Servers = network.URL
	session := dial(t, o)
	worse(network)
	p := conn.NewPublisher(session, nil)
	for i := range events {
		if err := p.Publish(t.Context(), broker.Event{Subject: "orders", Data: fmt.Appendf(nil, "%0*d", size, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(); err != nil {
		t.Error(err)
	}
	sent := float64(network.Passed(netsim.Up)) / float64(events*size)
	if _, acked, _ := p.Sent(); acked != events || sent > 1.5 {
		t.Errorf("%d of %d acked, sent %.2f times", acked, events, sent)
	}
}

// Everything takes longer than the time-out, and answers come all the time.
func TestSlowUplinkIsNoTimeout(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ events, size int }{"many": {500, 2000}, "large": {3, 900_000}} {
		t.Run(name, func(t *testing.T) {
			publishSlowly(t, link.Options{Timeout: 3 * time.Second}, test.events, test.size, func(n *netsim.Network) { n.Throttle(250_000, 0) })
		})
	}
}

// Answers take longer than the least patience with them.
func TestSlowAnswersAreWaitedFor(t *testing.T) {
	t.Parallel()
	publishSlowly(t, link.Options{Timeout: time.Minute}, 300, 1000, func(n *netsim.Network) { n.Delay(1200 * time.Millisecond) })
}

// What is sent again and again is no progress, however long it takes to leave.
func TestRepeatsAreNoProgress(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	network := s.Network()
	session := dial(t, link.Options{Servers: network.URL, Timeout: time.Second})
	if _, err := publishOne(t, session, broker.Event{Subject: "orders"}); err != nil {
		t.Fatal(err)
	}
	network.Throttle(2<<20, 0)
	network.Lose(netsim.Holds(`"stream":"orders"`), 1_000_000)
	p := conn.NewPublisher(session, nil)
	if err := p.Publish(t.Context(), broker.Event{Subject: "orders", Data: make([]byte, 900_000)}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Failed():
	case <-time.After(20 * time.Second):
		t.Fatalf("no outcome, after %d answers were lost", network.Lost())
	}
	if err := p.Flush(); !errors.Is(err, broker.ErrNotAcked) {
		t.Error(err)
	}
}
