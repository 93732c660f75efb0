package conn_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
)

// behindLater counts the events that are stored behind a later one.
func behindLater(t *testing.T, all []string) int {
	t.Helper()
	count, least := 0, len(all)+1
	for i := len(all) - 1; i >= 0; i-- {
		n, err := strconv.Atoi(all[i])
		if err != nil {
			t.Fatal(err)
		}
		if n > least {
			least = min(least, n)
		}
		least = min(least, n)
	}
	// An event is behind a later one if one with a higher number stands before it.
	highest := 0
	for _, data := range all {
		n, _ := strconv.Atoi(data)
		if n < highest {
			count++
		}
		highest = max(highest, n)
	}
	return count
}

func TestOrderIsKeptOrTold(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	noLeaks(t)
	js := c.Servers[0].JetStream()
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}, Replicas: 3})
	session := dial(t, conn.Options{Servers: c.URLs(), Timeout: 30 * time.Second, Notify: func(l string) { t.Log(l) }})
	p := conn.NewPublisher(session, nil)
	down := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(down)
		for {
			select {
			case <-stop:
				return
			case <-time.After(700 * time.Millisecond):
			}
			m, err := js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN.orders", nil, 2*time.Second)
			if err == nil {
				t.Logf("%s", m.Data)
			}
		}
	}()
	events := 0
	for begin := time.Now(); time.Since(begin) < 10*time.Second; {
		events++
		if err := p.Publish(t.Context(), conn.Event{Subject: "orders", Data: fmt.Append(nil, events)}); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-down
	err := p.Flush()
	all := stored(t, js, "orders")
	t.Logf("%d events, %d stored, %d behind a later one; %v", events, len(all), behindLater(t, all), err)
	if err != nil && !errors.Is(err, conn.ErrOrder) {
		t.Fatal(err)
	}
}
