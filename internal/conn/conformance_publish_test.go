package conn_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
)

func TestPublisherAccountsForEveryAckInOrder(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		o.Window = 16
		session := dial(t, o)
		var acked []int
		ids := make(map[string]bool)
		lasts := 0
		p := conn.NewPublisher(session, func(event int, r broker.Receipt, last bool) {
			acked = append(acked, event)
			ids[r.ID] = true
			if last {
				lasts++
			}
		})
		for i := range 500 {
			if err := p.Publish(t.Context(), broker.Event{Subject: "orders", Data: fmt.Append(nil, i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		if sent, n, _ := p.Sent(); sent != 500 || n != 500 || len(ids) != 500 || lasts == 0 {
			t.Errorf("sent %d, acked %d, %d IDs, %d times the last in flight", sent, n, len(ids), lasts)
		}
		if !slices.IsSorted(acked) || len(acked) != 500 || acked[0] != 1 {
			t.Errorf("acked out of order: %v", acked)
		}
	})
}

func TestPublisherSendsNothingAfterAFailure(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		session := dial(t, options(t, s))
		p := conn.NewPublisher(session, nil)
		publishOne := func(data []byte) error { return p.Publish(t.Context(), broker.Event{Subject: "orders", Data: data}) }
		if err := publishOne([]byte("1")); err != nil {
			t.Fatal(err)
		}
		largest := maxPayload(t, session, "orders") - 200
		if err := publishOne(bytes.Repeat([]byte("x"), largest)); err != nil {
			t.Fatalf("%d bytes: %v", largest, err)
		}
		if err := publishOne(bytes.Repeat([]byte("x"), 2<<20)); !errors.Is(err, broker.ErrTooLarge) {
			t.Fatalf("2 MiB: %v", err)
		}
		if err := publishOne([]byte("4")); !errors.Is(err, broker.ErrTooLarge) {
			t.Fatalf("after a failure: %v", err)
		}
		if err := p.Flush(); !errors.Is(err, broker.ErrTooLarge) {
			t.Fatal(err)
		}
		if sent, acked, inDoubt := p.Sent(); inDoubt != 0 || sent != 2 || acked != 2 {
			t.Errorf("sent %d, acked %d", sent, acked)
		}
		brokertest.Eventually(t, "what is stored comes from a server that is busy", func() bool {
			newest, err := session.Find(t.Context(), "orders", 0)
			if newest.Sequence > 2 || err != nil {
				t.Fatalf("stored %d, %v", newest.Sequence, err)
			}
			return newest.Sequence == 2
		})
	})
}

func TestLargestEventPasses(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		o.ClientID = "c"
		session := dial(t, o)
		limit := maxPayload(t, session, "s")
		done := make(chan error, 1)
		err := session.Publish(t.Context(), broker.Event{Subject: "s", Data: make([]byte, limit)}, func(_ broker.Receipt, err error) { done <- err })
		if err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		err = session.Publish(t.Context(), broker.Event{Subject: "s", Data: make([]byte, limit+1)}, func(broker.Receipt, error) {})
		if !errors.Is(err, broker.ErrTooLarge) {
			t.Fatal(err)
		}
	})
}
