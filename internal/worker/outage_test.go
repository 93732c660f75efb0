//go:build unix

package worker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/worker"
)

// A lost connection while handlers run costs nothing: they run once, and are acked in
// the next session.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", numbers(8)...)
		network := s.server.Network()
		p := s.plan("orders", awaitGo)
		p.Workers, p.listener.Subscription.MaxInFlight, p.listener.Options.Servers = 4, 4, network.URL
		m := s.start(p)
		brokertest.Eventually(s, "four run", func() bool { return len(m.lines("runs")) == 4 })
		network.Refuse(true)
		network.Cut()
		m.touch("go")
		m.await(4)
		network.Refuse(false)
		m.finished()
		if got := m.lines("runs"); len(got) != 8 {
			s.Errorf("runs: %q", got)
		}
		s.wantLeft("orders")
	})
}

// The server is killed while handlers run, and while retries wait.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", numbers(6)...)
		p := s.plan("orders", awaitGo+`; test $SEQUENCE != 1 || test -e "$DIR/later"`)
		p.Workers, p.listener.Subscription.MaxInFlight, p.Retries = 2, 2, 1<<20
		p.listener.UntilEnd = false
		m := s.start(p)
		brokertest.Eventually(s, "two run", func() bool { return len(m.lines("runs")) == 2 })
		m.touch("go")
		m.await(3)
		s.server.Kill()
		s.server.Restart()
		m.touch("later")
		brokertest.Eventually(s, "all are acked", func() bool { return m.Counts().Acked >= 6 })
		m.stop()
		if err := m.ended(conn.EndStopped); err != nil {
			s.Error(err)
		}
		if c := m.Counts(); c.Dead != 0 {
			s.Errorf("%+v", c)
		}
		s.wantLeft("orders")
	})
}

// A retry that waits for longer than the ack wait is not run beside its copies, which
// count as no runs of it.
func TestRetriesOutlastTheAckWait(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", "1", "2")
		p := s.plan("orders", `test $SEQUENCE = 2 || exit 1`)
		p.Backoff = worker.Backoff{Min: 2500 * time.Millisecond, Max: 2500 * time.Millisecond}
		p.listener.Subscription.AckWait, p.listener.Subscription.MaxInFlight = time.Second, 4
		m := s.start(p)
		m.finished()
		got := m.outcomes()
		slices.Sort(got)
		if want := []string{"1/1 retry", "1/2 retry", "1/3 dead", "2/1 acked"}; !slices.Equal(got, want) {
			s.Errorf("runs: %q", got)
		}
		if got := m.lines("runs"); len(got) != 4 {
			s.Errorf("runs: %q", got)
		}
	})
}

// When events in a row use up their retries, the worker pauses, tries one at a time,
// and goes on when that succeeds. The others keep their retries.
func TestBreaker(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "a"} {
		t.Run("key="+key, func(t *testing.T) {
			onEach(t, func(s *site) {
				s.publish("orders", numbers(12)...)
				p := s.plan("orders", `mkdir "$DIR/run" || echo "$SEQUENCE" >>"$DIR/beside"; rmdir "$DIR/run"; test -e "$DIR/up"`)
				p.Workers, p.Breaker, p.listener.Subscription.MaxInFlight = 1, 3, 4
				if key != "" {
					p.Key = func(data []byte) string { return fmt.Sprint(len(data)) }
				}
				m := s.start(p)
				brokertest.Eventually(s, "it pauses", func() bool { return strings.Contains(m.warnings(), "3 events in a row") })
				before := len(m.lines("runs"))
				brokertest.Eventually(s, "it has tried again", func() bool { return len(m.lines("runs")) >= before+3 })
				if c := m.Counts(); c.Dead != 3 {
					s.Errorf("while it pauses: %+v", c)
				}
				m.touch("up")
				m.finished()
				if c := m.Counts(); c.Dead != 3 || c.Acked != 9 {
					s.Errorf("%+v", c)
				}
				if !strings.Contains(m.warnings(), "the handler succeeds again") {
					s.Error("it did not say that it goes on")
				}
			})
		})
	}
}

// A paused worker has one handler run at a time.
func TestProbes(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", numbers(12)...)
		p := s.plan("orders", `test -e "$DIR/paused" || exit 1; mkdir "$DIR/run" || echo "$SEQUENCE" >>"$DIR/beside"; sleep 0.05; rmdir "$DIR/run"; exit 1`)
		p.Workers, p.Breaker, p.listener.Subscription.MaxInFlight, p.listener.UntilEnd = 4, 2, 8, false
		m := s.start(p)
		brokertest.Eventually(s, "it pauses", func() bool { return strings.Contains(m.warnings(), "2 events in a row") })
		runs := len(m.lines("runs"))
		brokertest.Eventually(s, "what ran beside has ended", func() bool { runs = len(m.outcomes()); return runs >= len(m.lines("runs")) })
		m.touch("paused")
		m.await(runs + 3)
		m.stop()
		if err := m.ended(conn.EndStopped); err != nil {
			s.Error(err)
		}
		if got := m.lines("beside"); len(got) != 0 {
			s.Errorf("run beside another: %q", got)
		}
	})
}

// An outage does not begin before its limit of different events: a success between
// begins the count anew.
func TestBreakerCountsInARow(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", numbers(9)...)
		p := s.plan("orders", `test $(($SEQUENCE % 3)) = 0`)
		p.Retries, p.Breaker = 0, 3
		m := s.start(p)
		m.finished()
		if c := m.Counts(); c.Dead != 6 || c.Acked != 3 || strings.Contains(m.warnings(), "in a row") {
			s.Errorf("%+v", c)
		}
	})
}
