package conn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// The order of events in a stream whose leader changes again and again is kept,
// or it is said how many are behind later ones. No other test runs meanwhile:
// a starved cluster may say for longer than the time-out that an event it has
// lost is in process.
func TestChangesOfLeaderKeepTheOrderOrAreTold(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	js := c.Servers[0].JetStream()
	c.CreateStream(jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}, Replicas: 3})
	session := dial(t, link.Options{Servers: c.URLs(), Timeout: 30 * time.Second})
	p := conn.NewPublisher(session, nil)
	const changes = 6
	changed := make(chan struct{}, changes)
	go func() { // ends with the test
		defer close(changed)
		for range changes {
			if _, err := js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN.orders", nil, 2*time.Second); errors.Is(err, nats.ErrConnectionClosed) {
				return
			}
			changed <- struct{}{}
			c.StreamLeader("orders")
		}
	}()
	events := 0
	for under := true; under || events < 10_000; events++ {
		select {
		case _, under = <-changed:
		default:
		}
		if err := p.Publish(t.Context(), broker.Event{Subject: "orders", Data: fmt.Append(nil, events+1)}); err != nil {
			t.Fatal(err)
		}
	}
	err := p.Flush()
	kept := readKept(t, js, events)
	behind := behindLater(t, kept)
	t.Logf("%d events, %d behind a later one: %v", events, behind, err)
	slices.Sort(kept)
	switch _, acked, _ := p.Sent(); {
	case acked != events || len(kept) != events || len(slices.Compact(kept)) != events:
		t.Errorf("%d events, %d acked, %d stored", events, acked, len(kept))
	case errors.Is(err, broker.ErrOrder) != (behind > 0), behind > 0 && !strings.Contains(err.Error(), fmt.Sprintf(" %d of the events", behind)):
		t.Error(err)
	}
}

// readKept returns the data of all events of the stream, once n of them can be read.
func readKept(t *testing.T, js jetstream.JetStream, n int) (kept []int) {
	t.Helper()
	brokertest.Eventually(t, fmt.Sprintf("%d events can be read", n), func() bool {
		kept = nil
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		consumer, err := js.OrderedConsumer(ctx, "orders", jetstream.OrderedConsumerConfig{})
		if err != nil {
			return false
		}
		messages, err := consumer.Messages()
		if err != nil {
			return false
		}
		defer messages.Stop()
		for range n {
			m, err := messages.Next(jetstream.NextMaxWait(5 * time.Second))
			if err != nil {
				return false
			}
			number, err := strconv.Atoi(string(m.Data()))
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, number)
		}
		return true
	})
	return kept
}

// behindLater counts the events that are stored behind a later one.
func behindLater(t *testing.T, numbers []int) (behind int) {
	t.Helper()
	highest := 0
	for _, n := range numbers {
		if n < highest {
			behind++
		}
		highest = max(highest, n)
	}
	return behind
}
