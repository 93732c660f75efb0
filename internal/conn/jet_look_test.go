package conn_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/brokertest/netsim"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// An ID is known for the whole stream, whatever its subject and data.
func TestWhatIsStoredUnderAnIDIsLookedAt(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, withUsers("blind", `publish: { deny: "$JS.API.STREAM.MSG.GET.>" }`), admin)
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders", "payments"}})
	large := strings.Repeat("x", 900_000)
	for id, data := range map[string]string{"usual": "1", "empty": "", "gone": "1", "large": large} {
		o := link.Options{Servers: s.URL, Auth: as("admin"), Timeout: long}
		r, err := publishOne(t, dial(t, o), broker.Event{Subject: "orders", ID: id, Data: []byte(data)})
		if err != nil {
			t.Fatal(err)
		}
		if id == "gone" {
			stream, err := js.Stream(t.Context(), "orders")
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.DeleteMsg(t.Context(), r.Sequence); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		user, subject, id, data string
		want                    error
	}{
		"the same":               {"admin", "orders", "usual", "1", nil},
		"the same without data":  {"admin", "orders", "empty", "", nil},
		"the same, large":        {"admin", "orders", "large", large, nil},
		"other subject":          {"admin", "payments", "usual", "1", broker.ErrOtherEvent},
		"other data":             {"admin", "orders", "usual", "2", broker.ErrOtherEvent},
		"other data, large":      {"admin", "orders", "large", large[1:] + "y", broker.ErrOtherEvent},
		"it is gone":             {"admin", "orders", "gone", "1", broker.ErrUncertain},
		"looking is not allowed": {"blind", "orders", "usual", "1", broker.ErrUncertain},
	} {
		t.Run(name, func(t *testing.T) {
			session := dial(t, link.Options{Servers: s.URL, Backend: broker.JetStream, Auth: as(test.user), Timeout: long})
			duplicates := 0
			p := conn.NewPublisher(session, func(_ int, r broker.Receipt, _ bool) {
				if r.Duplicate {
					duplicates++
				}
			})
			for range 2 {
				_ = p.Publish(t.Context(), broker.Event{Subject: test.subject, ID: test.id, Data: []byte(test.data)})
			}
			err := p.Flush()
			sent, acked, inDoubt := p.Sent()
			if !errors.Is(err, test.want) {
				t.Error(err)
			}
			switch {
			case test.want == nil:
				if acked != 2 || duplicates != 2 {
					t.Errorf("%d acked, %d duplicates", acked, duplicates)
				}
			case errors.Is(test.want, broker.ErrOtherEvent):
				if acked != 0 || inDoubt != 0 || !strings.Contains(err.Error(), "event 1 ") || !strings.Contains(err.Error(), ", on orders") {
					t.Errorf("%d acked, %d in doubt: %v", acked, inDoubt, err)
				}
			default:
				if sent != 2 || acked != 0 || inDoubt != 2 || !strings.Contains(err.Error(), "so for 2 events") {
					t.Errorf("others don't go on: %d sent, %d acked, %d in doubt: %v", sent, acked, inDoubt, err)
				}
			}
		})
	}
}

// A pipe of many events that runs again waits for no look.
func TestManyAreLookedAtTogether(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	network := s.Network()
	session := dial(t, link.Options{Servers: network.URL, Timeout: long})
	network.Delay(10 * time.Millisecond)
	const events = 4000
	for run := range 2 {
		duplicates, begin := 0, time.Now()
		p := conn.NewPublisher(session, func(_ int, r broker.Receipt, _ bool) {
			if r.Duplicate {
				duplicates++
			}
		})
		for i := range events {
			if err := p.Publish(t.Context(), broker.Event{Subject: "orders", ID: fmt.Sprint(i), Data: fmt.Append(nil, i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(); err != nil || duplicates != run*events {
			t.Errorf("%d duplicates: %v", duplicates, err)
		}
		if took := time.Since(begin); took > 10*time.Second { // one after the other takes 80 s
			t.Errorf("took %v", took)
		}
	}
}

// Answers of looks are lost as others are.
func TestLookIsRepeated(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	network := s.Network()
	session := dial(t, link.Options{Servers: network.URL, Timeout: 4 * time.Second})
	for range 2 {
		if _, err := publishOne(t, session, broker.Event{Subject: "orders", ID: "1"}); err != nil {
			t.Fatal(err)
		}
	}
	network.Lose(netsim.Holds("stream_msg_get_response"), 1)
	if _, err := publishOne(t, session, broker.Event{Subject: "orders", ID: "1"}); err != nil || network.Lost() != 1 {
		t.Errorf("%d lost: %v", network.Lost(), err)
	}
	network.Lose(netsim.Holds("stream_msg_get_response"), 100)
	if _, err := publishOne(t, session, broker.Event{Subject: "orders", ID: "1"}); !errors.Is(err, broker.ErrUncertain) {
		t.Errorf("%d lost: %v", network.Lost(), err)
	}
}

// A counter stores the sum, not what was sent.
func TestRepeatedIncrementIsNoOtherEvent(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "counts", Subjects: []string{"counts"}, AllowMsgCounter: true, AllowDirect: true})
	session := dial(t, link.Options{Servers: s.URL, Timeout: long})
	e := broker.Event{Subject: "counts", ID: "1", Header: map[string][]string{"Nats-Incr": {"+2"}}}
	for i := range 2 {
		if r, err := publishOne(t, session, e); err != nil || r.Duplicate != (i > 0) {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// A session that is lost while stored events are looked at leaves none without
// an outcome.
func TestLossEndsALook(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	network := s.Network()
	session := dial(t, link.Options{Servers: network.URL, Timeout: long, NoReconnect: true})
	for range 2 { // the second look is made among the acks
		if _, err := publishOne(t, session, broker.Event{Subject: "orders", ID: "1"}); err != nil {
			t.Fatal(err)
		}
	}
	network.Lose(netsim.Holds("stream_msg_get_response"), 100)
	p := conn.NewPublisher(session, nil)
	if err := p.Publish(t.Context(), broker.Event{Subject: "orders", ID: "1"}); err != nil {
		t.Fatal(err)
	}
	brokertest.Eventually(t, "the event is looked at", func() bool { return network.Lost() > 0 })
	network.Cut()
	flushed := make(chan error, 1)
	go func() { flushed <- p.Flush() }()
	select {
	case err := <-flushed:
		if !errors.Is(err, broker.ErrUncertain) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the event has no outcome")
	}
}
