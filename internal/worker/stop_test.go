//go:build unix

package worker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/worker"
)

// A worker that is stopped begins nothing more, and acks what ends within the grace.
func TestStopWaitsForHandlers(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", numbers(6)...)
		p := s.plan("orders", awaitGo)
		p.Workers, p.listener.Subscription.MaxInFlight = 2, 4 // two wait for their turn
		m := s.start(p)
		brokertest.Eventually(s, "two run", func() bool { return len(m.lines("runs")) == 2 })
		m.stop()
		brokertest.Eventually(s, "it waits", func() bool { return strings.Contains(m.warnings(), "2 handlers still run, for 20s at most") })
		if s.Naks { // what did not run went back at once
			l := s.plan("orders", "exit 0")
			l.listener.UntilEnd = false
			other := s.start(l)
			other.await(4)
			other.stop()
			if err := other.ended(conn.EndStopped); err != nil {
				s.Error(err)
			}
		}
		m.touch("go")
		if err := m.ended(conn.EndStopped); err != nil {
			s.Error(err)
		}
		if got := m.lines("runs"); len(got) != 2 || len(m.outcomes()) != 2 {
			s.Errorf("runs: %q, %q", got, m.outcomes())
		}
		left := s.left("orders")
		slices.Sort(left)
		if !s.Naks && !slices.Equal(left, []string{"3", "4", "5", "6"}) || s.Naks && len(left) != 0 {
			s.Errorf("left: %q", left)
		}
	})
}

// A handler that fails while the worker stops is retried by another.
func TestFailureAtTheStop(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", "1")
		m := s.start(s.plan("orders", awaitGo+"; exit 1"))
		brokertest.Eventually(s, "it runs", func() bool { return len(m.lines("runs")) == 1 })
		m.stop()
		brokertest.Eventually(s, "it waits", func() bool { return strings.Contains(m.warnings(), "stopping") })
		m.touch("go")
		if err := m.ended(conn.EndStopped); err != nil {
			s.Error(err)
		}
		if got := m.outcomes(); !slices.Equal(got, []string{"1/1 retry"}) {
			s.Errorf("runs: %q", got)
		}
		next := s.start(s.plan("orders", "exit 0"))
		next.finished()
		if got := next.outcomes(); !slices.Equal(got, []string{"1/2 acked"}) {
			s.Errorf("runs of the next: %q", got)
		}
	})
}

// Handlers that outlast the grace are killed, and their events go back.
func TestGrace(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", numbers(3)...)
		p := s.plan("orders", `test $SEQUENCE = 3 && `+awaitGo+` && exit 0; exec sleep 100`)
		p.Workers, p.Grace, p.listener.Subscription.MaxInFlight = 3, 500*time.Millisecond, 3
		m := s.start(p)
		brokertest.Eventually(s, "three run", func() bool { return len(m.lines("runs")) == 3 })
		m.stop()
		m.touch("go")
		err := m.ended(conn.EndStopped)
		if !errors.Is(err, worker.ErrKilled) || !strings.Contains(err.Error(), "2 handlers were killed after 500ms") {
			s.Errorf("ended with %v", err)
		}
		if got := m.outcomes(); !slices.Equal(got, []string{"3/1 acked"}) {
			s.Errorf("runs: %q", got)
		}
		got := s.left("orders")
		slices.Sort(got)
		if !slices.Equal(got, []string{"1", "2"}) {
			s.Errorf("left: %q", got)
		}
	})
}

// A stop does not wait for retries: they go back, with what is left of their wait.
func TestStopWhileRetriesWait(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		for _, key := range []string{"", "a"} {
			subject := "orders" + key
			s.publish(subject, "1")
			p := s.plan(subject, "exit 1")
			p.Key = func([]byte) string { return key }
			p.Backoff = worker.Backoff{Min: time.Hour, Max: time.Hour}
			m := s.start(p)
			m.await(1)
			m.stop()
			if err := m.ended(conn.EndStopped); err != nil {
				s.Error(err)
			}
			if !s.Naks {
				s.wantLeft(subject, "1")
				continue
			}
			l := s.listener(subject)
			l.UntilEnd, l.Idle = false, 300*time.Millisecond // it is not idle while the broker holds it back
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			r := &reader{}
			if end, err := l.Run(ctx, r); end != conn.EndIdle || err != nil || len(r.got) != 0 {
				s.Errorf("it came before its time: %v, %v, %v", r.got, end, err)
			}
		}
	})
}

// A worker that was never started gives back what came.
func TestFinishWithoutStart(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", "1")
		p := s.plan("orders", "")
		begun := make(chan struct{})
		p.Check = func(m *broker.Message) ([]byte, error) { close(begun); return m.Data, nil }
		p.Warn = func(format string, args ...any) { s.Logf(format, args...) }
		w := worker.New(p.Config)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			<-begun
			cancel()
		}()
		if end, err := p.listener.RunTasks(ctx, w); end != conn.EndStopped || err != nil {
			s.Error(end, err)
		}
		if err := w.Err(); err != nil {
			s.Error(err)
		}
		s.wantLeft("orders", "1")
	})
	w := worker.New(worker.Config{Workers: 1})
	w.Finish(context.Background()) // nothing was ever reached
	w.Start(nil)                   // too late
}

// The count is of events that are done with: acked, or dead. Retries are none.
func TestCount(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		for name, test := range map[string]struct {
			command string
			workers int
		}{
			"retries":      {`test $ATTEMPT = 2`, 1},
			"dead letters": {`test $SEQUENCE != 2 || exit 65`, 1},
			"all fail":     {`exit 1`, 1},
			"together":     {`test $ATTEMPT = 2`, 3},
		} {
			s.Run(name, func(t *testing.T) {
				t.Parallel()
				s := s.in(t)
				subject := strings.ReplaceAll(name, " ", "-")
				s.publish(subject, numbers(10)...)
				p := s.plan(subject, test.command)
				p.Count, p.Workers, p.listener.Subscription.MaxInFlight, p.listener.UntilEnd = 4, test.workers, test.workers, false
				m := s.start(p)
				if err := m.ended(conn.EndEnough); err != nil {
					t.Error(err)
				}
				if c := m.Counts(); c.Acked+c.Dead != 4 {
					t.Errorf("%+v: %q", c, m.outcomes())
				}
				if got := s.left(subject); len(got) != 6 {
					t.Errorf("left: %q", got)
				}
			})
		}
	})
}
