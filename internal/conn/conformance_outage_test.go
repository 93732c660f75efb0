package conn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
)

func TestDroppedConnectionIsMended(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		network := s.Network()
		o := options(t, s)
		through := o
		through.Servers = network.URL
		lines := make(chan string, 100)
		through.Notify = func(line string) { lines <- line }
		r := run(t, listener(through, "orders"), &recorder{})
		through.Timeout = time.Second
		session := dial(t, through)
		p := conn.NewPublisher(session, nil)
		acked := map[string]bool{"21": true}
		for i := 1; i <= 20; i++ {
			if i%5 == 0 {
				network.Cut()
			}
			if err := p.Publish(t.Context(), broker.Event{Subject: "orders", Data: fmt.Append(nil, i)}); err != nil {
				t.Fatal(err)
			}
			// The ack may be lost with the connection; then it is said so, and
			// nothing is sent behind it in this session.
			if err := p.Flush(); errors.Is(err, broker.ErrNotAcked) {
				session = dial(t, through)
				p = conn.NewPublisher(session, nil)
			} else if err != nil {
				t.Fatal(err)
			} else {
				acked[fmt.Sprint(i)] = true
			}
		}
		publish(t, o, "orders", 21, 21)
		brokertest.Eventually(t, "the last came", func() bool { return slices.Contains(r.seen(), "21") })
		got := r.seen()
		r.stopCleanly()
		for _, event := range got {
			delete(acked, event)
		}
		if len(acked) > 0 {
			t.Errorf("acked, and never seen: %v", acked)
		}
		if len(lines) == 0 {
			t.Error("nobody was told")
		}
	})
}

func TestNoReconnectEndsWithErrLost(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		network := s.Network()
		o := options(t, s)
		o.Servers, o.NoReconnect = network.URL, true
		r := run(t, listener(o, "orders"), &recorder{})
		network.Cut()
		if _, err := r.wait(); !errors.Is(err, broker.ErrLost) {
			t.Error(err)
		}
	})
}

func TestServerRestartIsSurvived(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]brokertest.Config{"file": {}, "memory": {Memory: true}} {
		t.Run(name, func(t *testing.T) {
			onEach(t, config, func(t *testing.T, s *brokertest.Server) {
				o := options(t, s)
				alone := run(t, listener(o, "orders"), &recorder{})
				grouped := run(t, member(o, "orders"), &recorder{})
				publish(t, o, "orders", 1, 10)
				alone.await(10)
				grouped.await(10)
				s.Restart()
				publish(t, o, "orders", 11, 15)
				alone.await(15)
				grouped.await(15)
				alone.stopCleanly()
				grouped.stopCleanly()
				for _, r := range []*running{alone, grouped} {
					if got := r.seen(); !slices.Equal(sorted(got), sorted(numbers(1, 15))) {
						t.Errorf("got %v", got)
					}
				}
			})
		})
	}
}

func TestFrozenServerIsNoticedAndMended(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		o.Timeout = 2 * time.Second
		lost := make(chan string, 100)
		o.Notify = func(line string) { lost <- line }
		publish(t, o, "orders", 1, 3)
		r := run(t, member(o, "orders"), &recorder{})
		r.await(3)
		session := dial(t, o)
		s.Freeze()
		p := conn.NewPublisher(session, nil)
		if err := p.Publish(t.Context(), broker.Event{Subject: "orders", Data: []byte("in doubt")}); err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(); !errors.Is(err, broker.ErrNotAcked) {
			t.Errorf("publishing to a frozen server: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := conn.Dial(ctx, o); !errors.Is(err, broker.ErrHung) {
			t.Errorf("connecting to a frozen server: %v", err)
		}
		begin := time.Now()
		select {
		case <-lost: // by the pings
		case <-time.After(40 * time.Second):
			t.Fatal("nobody noticed")
		}
		t.Logf("noticed after %v", time.Since(begin))
		s.Thaw()
		brokertest.Eventually(t, "a new session is there", func() bool {
			session, err := conn.Dial(t.Context(), o)
			if err == nil {
				err = session.Close()
			}
			return err == nil
		})
		publish(t, o, "orders", 5, 5)
		brokertest.Eventually(t, "the last came", func() bool { return slices.Contains(r.seen(), "5") })
		r.stopCleanly()
	})
}

func TestDialCanBeInterrupted(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		s.Freeze()
		defer s.Thaw()
		o := options(t, s)
		o.Timeout = time.Hour
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(50*time.Millisecond, func() { cancel(enough) })
		if _, err := conn.Dial(ctx, o); !errors.Is(err, enough) {
			t.Error(err)
		}
	})
}
