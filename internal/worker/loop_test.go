//go:build unix

package worker_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/worker"
)

// loop is a long-lived handler in shell, which notes each event and answers by a
// command that has its sequence, attempt and data as $n, $a and $d.
func loop(answer string) string {
	return `while read -r n a d; do echo "$n $a" >>"$DIR/runs"; ` + answer + `; done`
}

const (
	yes  = `echo '{"ack":true}' >&3`
	no   = `echo '{"retry":"10ms"}' >&3`
	dead = `echo '{"dead":"it is odd"}' >&3`
)

// A long-lived handler's answer is what becomes of an event.
func TestAnswers(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		for name, test := range map[string]struct {
			answer string
			want   []string
			reason string
		}{
			"ack":     {yes, []string{"1/1 acked"}, ""},
			"retry":   {`if test $a = 3; then ` + yes + `; else ` + no + `; fi`, []string{"1/1 retry", "1/2 retry", "1/3 acked"}, ""},
			"used-up": {no, []string{"1/1 retry", "1/2 retry", "1/3 dead"}, "the handler asked for it in 10ms"},
			"dead":    {dead, []string{"1/1 dead"}, "it is odd"},
			"exit":    {`exit 1`, []string{"1/1 retry", "1/2 retry", "1/3 dead"}, "exit 1"},
			"wrong":   {`echo nonsense >&3; sleep 60`, []string{"1/1 retry", "1/2 retry", "1/3 dead"}, "nonsense"},
		} {
			s.Run(name, func(t *testing.T) {
				t.Parallel()
				s := s.in(t)
				s.publish(name, "data")
				p := s.plan(name, "")
				p.loop = loop(test.answer)
				m := s.start(p)
				m.finished()
				if got := m.outcomes(); !slices.Equal(got, test.want) {
					t.Errorf("runs: %q, want %q", got, test.want)
				}
				if r := m.last(); !strings.Contains(r.Reason, test.reason) {
					t.Errorf("result: %+v", r)
				}
				if got := len(s.dead(name)); (got == 1) != (m.last().Outcome == worker.Dead) {
					t.Errorf("%d dead letters", got)
				}
				s.wantLeft(name)
			})
		}
	})
}

// Several handlers with several events each: all are handled once, those with one key
// in their order.
func TestLoopsWithKeys(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		const events = 300
		s.publish("orders", numbers(events)...)
		p := s.plan("orders", "")
		p.loop = loop(`if test $a = 1 && test $((n % 50)) = 0; then ` + no + `; else ` + yes + `; fi`)
		p.Workers, p.depth, p.listener.Subscription.MaxInFlight = 8, 4, 64
		p.Key = func(data []byte) string { return string(data[len(data)-1:]) }
		m := s.start(p)
		m.finished()
		if c := m.Counts(); c.Acked != events || c.Retried != events/50 {
			s.Errorf("%+v", c)
		}
		last := make(map[uint64]uint64)
		for _, r := range m.results {
			if r.Outcome != worker.Acked {
				continue
			}
			if key := r.Sequence % 10; r.Sequence < last[key] {
				s.Errorf("#%d came after #%d", r.Sequence, last[key])
			} else {
				last[key] = r.Sequence
			}
		}
		s.wantLeft("orders")
	})
}

// A stop waits for the answer to what a handler has, and kills it once the grace is
// over: then the events go back.
func TestLoopsAtTheStop(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		for name, grace := range map[string]time.Duration{"answered": 20 * time.Second, "killed": 300 * time.Millisecond} {
			s.Run(name, func(t *testing.T) {
				t.Parallel()
				s := s.in(t)
				s.publish(name, numbers(3)...)
				p := s.plan(name, "")
				p.loop, p.Grace = loop(awaitGo+"; "+yes), grace
				p.Workers, p.depth, p.listener.Subscription.MaxInFlight = 1, 1, 2
				m := s.start(p)
				brokertest.Eventually(t, "it runs", func() bool { return len(m.lines("runs")) == 1 })
				m.stop()
				if name == "killed" {
					if err := m.ended(conn.EndStopped); !errors.Is(err, worker.ErrKilled) || !strings.Contains(err.Error(), "1 handler was killed") {
						t.Errorf("ended with %v", err)
					}
				} else {
					brokertest.Eventually(t, "it waits", func() bool { return strings.Contains(m.warnings(), "1 handler still runs") })
					m.touch("go")
					if err := m.ended(conn.EndStopped); err != nil {
						t.Error(err)
					}
				}
				if got, want := len(s.left(name))+len(m.outcomes()), 3; got != want {
					t.Errorf("%d events are left, or handled: %q", got, m.outcomes())
				}
			})
		}
	})
}

// A long-lived handler that can't be run stops the worker.
func TestBrokenLoops(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", numbers(3)...)
		p := s.plan("orders", "")
		p.loop = "exec /no/such/command"
		m := s.start(p)
		if err := m.ended(conn.EndStopped); !errors.Is(err, worker.ErrCommand) {
			s.Errorf("ended with %v", err)
		}
		if got := s.left("orders"); len(got) != 3 || len(m.outcomes()) != 0 {
			s.Errorf("left: %q, runs: %q", got, m.outcomes())
		}
	})
}
