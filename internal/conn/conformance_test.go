package conn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
)

func TestPublisherAccountsForEveryAckInOrder(t *testing.T) {
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		o.Window = 16
		session := dial(t, o)
		var acked []int
		ids := make(map[string]bool)
		lasts := 0
		p := conn.NewPublisher(session, func(event int, r conn.Receipt, last bool) {
			acked = append(acked, event)
			ids[r.ID] = true
			if last {
				lasts++
			}
		})
		for i := range 500 {
			if err := p.Publish(t.Context(), "orders", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		if sent, n := p.Sent(); sent != 500 || n != 500 || len(ids) != 500 || lasts == 0 {
			t.Errorf("sent %d, acked %d, %d IDs, %d times the last in flight", sent, n, len(ids), lasts)
		}
		if !slices.IsSorted(acked) || len(acked) != 500 || acked[0] != 1 {
			t.Errorf("acked out of order: %v", acked)
		}
	})
}

func TestPublisherSendsNothingAfterAFailure(t *testing.T) {
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		session := dial(t, options(t, s))
		p := conn.NewPublisher(session, nil)
		publishOne := func(data []byte) error { return p.Publish(t.Context(), "orders", data) }
		if err := publishOne([]byte("1")); err != nil {
			t.Fatal(err)
		}
		largest := session.MaxPayload() - 200
		if err := publishOne(bytes.Repeat([]byte("x"), largest)); err != nil {
			t.Fatalf("%d bytes: %v", largest, err)
		}
		if err := publishOne(bytes.Repeat([]byte("x"), 2<<20)); !errors.Is(err, conn.ErrTooLarge) {
			t.Fatalf("2 MiB: %v", err)
		}
		if err := publishOne([]byte("4")); !errors.Is(err, conn.ErrTooLarge) {
			t.Fatalf("after a failure: %v", err)
		}
		if err := p.Flush(); !errors.Is(err, conn.ErrTooLarge) {
			t.Fatal(err)
		}
		if sent, acked := p.Sent(); sent != 2 || acked != 2 {
			t.Errorf("sent %d, acked %d", sent, acked)
		}
		if sequence, _, err := session.Last(t.Context(), "orders"); sequence != 2 || err != nil {
			t.Errorf("stored %d, %v", sequence, err)
		}
	})
}

func TestLargestEventPasses(t *testing.T) {
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		o.ClientID = "c"
		session := dial(t, o)
		limit := session.MaxPayload() - len("c") - len("s")
		done := make(chan error, 1)
		err := session.Publish(t.Context(), "s", make([]byte, limit), func(_ conn.Receipt, err error) { done <- err })
		if err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		err = session.Publish(t.Context(), "s", make([]byte, limit+1), func(conn.Receipt, error) {})
		if !errors.Is(err, conn.ErrTooLarge) {
			t.Fatal(err)
		}
	})
}

func TestStartPositions(t *testing.T) {
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 3)
		session := dial(t, o)
		_, middle, err := session.Last(t.Context(), "orders")
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
			{"time:" + middle.Add(time.Hour).Format(time.RFC3339), nil},
			{"new", nil},
		}
		for _, test := range tests {
			t.Run(test.deliver, func(t *testing.T) {
				l := listener(o, "orders")
				l.UntilEnd = true
				if l.Subscription.Start, err = conn.ParseStart(test.deliver, time.Now()); err != nil {
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
		l.Subscription.Start = conn.Start{Kind: conn.StartTime, Time: middle}
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
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 300)
		publish(t, o, "payments", 301, 310)
		l := listener(o, "orders")
		l.Subjects = []string{"orders", "payments", "nothing-here"}
		l.UntilEnd = true
		handler := &recorder{}
		handler.verdict = func(m *conn.Message) error {
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
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		o.Timeout = 200 * time.Millisecond
		l := listener(o, "orders")
		l.Idle = 50 * time.Millisecond
		publish(t, o, "orders", 1, 2)
		r := run(t, l, &recorder{})
		if end, err := r.wait(); end != conn.EndIdle || err != nil || len(r.seen()) != 2 {
			t.Fatal(end, err, r.seen())
		}
	})
}

func TestGroupSharesEvents(t *testing.T) {
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		var members []*running
		for range 3 {
			members = append(members, run(t, member(o, "orders"), &recorder{}))
		}
		other := run(t, listener(o, "orders"), &recorder{})
		publish(t, o, "orders", 1, 300)
		other.await(300)
		all := func() (all []string) {
			for _, m := range members {
				all = append(all, m.seen()...)
			}
			return all
		}
		brokertest.Eventually(t, "the group got all", func() bool { return len(all()) >= 300 })
		for i, m := range members {
			m.stopCleanly()
			if len(m.seen()) == 0 {
				t.Errorf("member %d got nothing", i)
			}
		}
		got := all()
		slices.Sort(got)
		if len(slices.Compact(slices.Clone(got))) != 300 || len(got) != 300 {
			t.Errorf("the group handled %d events", len(got))
		}
		if !slices.Equal(other.seen(), numbers(1, 300)) {
			t.Errorf("who is alone must see all in order: %v", other.seen())
		}
	})
}

func TestDurableResumesAfterTheLastAcked(t *testing.T) {
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 5)
		first := run(t, member(o, "orders"), &recorder{})
		first.await(5)
		first.stopCleanly()
		publish(t, o, "orders", 6, 8)
		l := member(o, "orders")
		l.Subscription.Start = conn.Start{Kind: conn.StartSequence, Sequence: 2} // ignored
		second := run(t, l, &recorder{})
		second.await(3)
		second.stopCleanly()
		if got := second.seen(); !slices.Equal(got, numbers(6, 8)) || second.again != 0 {
			t.Errorf("resumed with %v, %d of them again", got, second.again)
		}
	})
}

func TestUnackedComeAgain(t *testing.T) {
	wrong := errors.New("wrong")
	tests := map[string]func(*conn.Listener, *recorder) (wantErr error){
		"left": func(_ *conn.Listener, r *recorder) error {
			r.verdict = func(m *conn.Message) error {
				if m.Sequence == 2 {
					return fmt.Errorf("broken: %w", conn.ErrLeave)
				}
				return nil
			}
			return nil
		},
		"never acked": func(l *conn.Listener, _ *recorder) error { l.NoAck = true; return nil },
		"handler failed": func(_ *conn.Listener, r *recorder) error {
			r.verdict = func(*conn.Message) error { return wrong }
			return wrong
		},
		"flush failed": func(_ *conn.Listener, r *recorder) error { r.flush = wrong; return wrong },
	}
	wantAgain := map[string][]string{
		"left": {"2"}, "never acked": numbers(1, 3), "handler failed": numbers(1, 3), "flush failed": numbers(1, 3),
	}
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		for name, prepare := range tests {
			t.Run(name, func(t *testing.T) {
				subject := fmt.Sprint("orders-", len(name))
				publish(t, o, subject, 1, 3)
				l, handler := member(o, subject), &recorder{}
				want := prepare(l, handler)
				r := run(t, l, handler)
				if want != nil {
					if _, err := r.wait(); !errors.Is(err, want) {
						t.Fatal(err)
					}
				} else {
					brokertest.Eventually(t, "the last came", func() bool { return slices.Contains(r.seen(), "3") })
					r.stopCleanly()
				}
				next := run(t, member(o, subject), &recorder{})
				next.await(len(wantAgain[name]))
				next.stopCleanly()
				if got := next.seen(); !slices.Equal(got, wantAgain[name]) {
					t.Errorf("came again: %v, want %v", got, wantAgain[name])
				}
			})
		}
	})
}

func TestRedeliveryIsCounted(t *testing.T) {
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 1)
		l := member(o, "orders")
		l.Subscription.AckWait = time.Second
		var deliveries []int
		handler := &recorder{}
		handler.verdict = func(m *conn.Message) error {
			deliveries = append(deliveries, m.Deliveries)
			if m.Deliveries < 3 {
				return conn.ErrLeave
			}
			return nil
		}
		r := run(t, l, handler)
		r.await(1)
		r.stopCleanly()
		if !slices.Equal(deliveries, []int{1, 2, 3}) {
			t.Errorf("deliveries %v", deliveries)
		}
	})
}

func TestSlowHandlerIsNotGivenCopies(t *testing.T) {
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 2)
		l := member(o, "orders")
		l.Subscription.AckWait = time.Second
		handler := &recorder{}
		handler.verdict = func(m *conn.Message) error {
			if m.Sequence == 1 { // until copies of both have come
				<-time.After(2500 * time.Millisecond)
			}
			return nil
		}
		r := run(t, l, handler)
		r.await(2)
		publish(t, o, "orders", 3, 3) // behind the copies
		brokertest.Eventually(t, "the third came", func() bool { return slices.Contains(r.seen(), "3") })
		r.stopCleanly()
		if got := r.seen(); !slices.Equal(got, numbers(1, 3)) {
			t.Errorf("handled %v", got)
		}
	})
}

func TestStoppingLosesNothingAndRepeatsNothing(t *testing.T) {
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		const events, stops = 3000, 20
		published := make(chan struct{})
		go func() {
			defer close(published)
			publish(t, o, "orders", 1, events)
		}()
		var handled []string
		for i := range stops {
			ctx, stop := context.WithCancel(t.Context())
			handler := &recorder{}
			handler.verdict = func(*conn.Message) error {
				if len(handler.events) == i*7 {
					go stop() // at any moment from here on, as a signal does
				}
				return nil
			}
			if end, err := member(o, "orders").Run(ctx, handler); end != conn.EndStopped || err != nil {
				t.Fatal(end, err)
			}
			handled = append(handled, handler.seen()...)
		}
		<-published
		last := member(o, "orders")
		last.UntilEnd = true
		r := run(t, last, &recorder{})
		if _, err := r.wait(); err != nil {
			t.Fatal(err)
		}
		handled = append(handled, r.seen()...)
		once := slices.Clone(handled)
		slices.Sort(once)
		if once = slices.Compact(once); len(once) != events || len(handled) != events {
			t.Errorf("%d events handled, %d of %d different", len(handled), len(once), events)
		}
	})
}

func TestDroppedConnectionIsMended(t *testing.T) {
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		url, drop := s.Proxy()
		o := options(t, s)
		through := o
		through.Servers = url
		lines := make(chan string, 100)
		through.Notify = func(line string) { lines <- line }
		r := run(t, listener(through, "orders"), &recorder{})
		through.Timeout = time.Second
		session := dial(t, through)
		p := conn.NewPublisher(session, nil)
		acked := map[string]bool{"21": true}
		for i := 1; i <= 20; i++ {
			if i%5 == 0 {
				drop()
			}
			if err := p.Publish(t.Context(), "orders", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
			// The ack may be lost with the connection; then it is said so.
			if err := p.Flush(); errors.Is(err, conn.ErrNotAcked) {
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
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		url, drop := s.Proxy()
		o := options(t, s)
		o.Servers, o.NoReconnect = url, true
		r := run(t, listener(o, "orders"), &recorder{})
		drop()
		if _, err := r.wait(); !errors.Is(err, conn.ErrLost) {
			t.Error(err)
		}
	})
}

func TestServerRestartIsSurvived(t *testing.T) {
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
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		o.Timeout = 500 * time.Millisecond
		lost := make(chan string, 100)
		o.Notify = func(line string) { lost <- line }
		publish(t, o, "orders", 1, 3)
		r := run(t, member(o, "orders"), &recorder{})
		r.await(3)
		session := dial(t, o)
		s.Freeze()
		p := conn.NewPublisher(session, nil)
		if err := p.Publish(t.Context(), "orders", []byte("in doubt")); err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(); !errors.Is(err, conn.ErrNotAcked) {
			t.Errorf("publishing to a frozen server: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := conn.Dial(ctx, o); !errors.Is(err, conn.ErrHung) {
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

func sorted(events []string) []string {
	s := slices.Clone(events)
	slices.Sort(s)
	return s
}
