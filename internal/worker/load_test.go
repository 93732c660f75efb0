//go:build unix

package worker_test

import (
	"slices"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn/broker"
	"nats-test/internal/worker"
)

// A worker tells which events wait for a retry, wherever they wait, and of dead letters:
// each for its subject.
func TestWork(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", numbers(6)...)
		p := s.plan("orders", `test $SEQUENCE != 1 || exit 65; test $SEQUENCE -lt 6 || `+awaitGo+`; exit 1`)
		p.Workers, p.listener.Subscription.MaxInFlight = 1, 6
		p.Backoff = worker.Backoff{Min: time.Minute, Max: time.Hour}
		m := s.start(p)
		m.await(5)
		brokertest.Eventually(s, "the last one runs", func() bool { return m.Load() == worker.Load{Running: 1, Waiting: 4} })
		work := m.Work("orders")
		var next []uint64
		for i, r := range work.Next {
			next = append(next, r.Sequence)
			wait := time.Duration(r.Wait) * time.Millisecond
			if r.Failed != 1 || wait < 10*time.Second || wait > 90*time.Second || i > 0 && r.Wait < work.Next[i-1].Wait {
				s.Errorf("%+v", work.Next)
			}
		}
		slices.Sort(next)
		if len(next) != broker.MostRetries || len(slices.Compact(next)) != len(next) || next[0] < 2 || next[len(next)-1] > 5 {
			s.Errorf("the next are %d", next)
		}
		if work.Retries != 4 || s.MessageIDs != (work.Passed == 4) || work.Dead != 1 || work.Letters != "orders.dead" {
			s.Errorf("%+v", work)
		}
		if other := m.Work("bills"); other.Retries+other.Dead+len(other.Next) > 0 || other.Letters != "" {
			s.Errorf("of another subject: %+v", other)
		}
		m.touch("go")
		m.await(6)
	})
}

// What the broker has delivered again waits no more.
func TestWorkAfterRetries(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", numbers(20)...)
		p := s.plan("orders", `test $ATTEMPT = 3`)
		p.Retries, p.listener.Subscription.MaxInFlight = 5, 20
		m := s.start(p)
		m.finished()
		if load, work := m.Load(), m.Work("orders"); load != (worker.Load{}) || work.Retries > 0 || work.Dead > 0 {
			s.Errorf("%+v, %+v", load, work)
		}
	})
}
