//go:build unix

package worker_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/worker"
)

// How a handler ends is what becomes of its event. Of Retries 2, an event has three
// runs.
func TestExits(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		for name, test := range map[string]struct {
			command string
			want    []string
			exit    int // of the last run; -1 for none
			signal  string
			reason  string
		}{
			"success":          {`exit 0`, []string{"1/1 acked"}, 0, "", ""},
			"unread":           {`exec <&-; exit 0`, []string{"1/1 acked"}, 0, "", ""},
			"success-at-last":  {`test $ATTEMPT = 3`, []string{"1/1 retry", "1/2 retry", "1/3 acked"}, 0, "", ""},
			"data-error":       {`exit 65`, []string{"1/1 dead"}, 65, "", "exit 65"},
			"data-error-later": {`test $ATTEMPT = 1 || exit 65; exit 1`, []string{"1/1 retry", "1/2 dead"}, 65, "", "exit 65"},
			"temporary":        {`exit 75`, []string{"1/1 retry", "1/2 retry", "1/3 dead"}, 75, "", "exit 75"},
			"failure":          {`exit 1`, []string{"1/1 retry", "1/2 retry", "1/3 dead"}, 1, "", "exit 1"},
			"signal":           {`kill -SEGV $$`, []string{"1/1 retry", "1/2 retry", "1/3 dead"}, -1, "SIGSEGV", "killed by SIGSEGV"},
			"time-out":         {`exec sleep 60`, []string{"1/1 retry", "1/2 retry", "1/3 dead"}, -1, "SIGTERM", "not done within 200ms"},
		} {
			s.Run(name, func(t *testing.T) {
				t.Parallel()
				s := s.in(t)
				s.publish(name, "data")
				p := s.plan(name, test.command)
				if name == "time-out" {
					p.process.Timeout = 200 * time.Millisecond
				}
				m := s.start(p)
				m.finished()
				if got := m.outcomes(); !slices.Equal(got, test.want) {
					t.Errorf("runs: %q, want %q", got, test.want)
				}
				if got := m.lines("runs"); len(got) != len(test.want) {
					t.Errorf("the handler ran: %q", got)
				}
				r := m.last()
				exit := -1
				if r.Exit != nil {
					exit = *r.Exit
				}
				if exit != test.exit || r.Signal != test.signal || r.Reason != test.reason {
					t.Errorf("result: exit %d, %+v", exit, r)
				}
				n := 0
				if r.Outcome == worker.Dead {
					n = 1
				}
				if got := s.dead(name); len(got) != n {
					t.Errorf("%d dead letters", len(got))
				}
				s.wantLeft(name)
			})
		}
	})
}

// in is the site in a test of its own.
func (s *site) in(t *testing.T) *site {
	sub := *s
	sub.T = t
	sub.Notify = func(line string) { t.Log(line) }
	return &sub
}

// A command that can't be run stops the worker, and no event is dead.
func TestBrokenCommands(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	onEach(t, func(s *site) {
		for name, argv := range map[string][]string{
			"exit-127": {"/bin/sh", "-c", "/no/such/command"},
			"exit-126": {"/bin/sh", "-c", "exec " + text},
			"missing":  {"/no/such/command"},
			"text":     {text},
		} {
			s.Run(name, func(t *testing.T) {
				t.Parallel()
				s := s.in(t)
				s.publish(name, numbers(5)...)
				p := s.plan(name, "")
				p.process.Argv, p.Workers, p.listener.Subscription.MaxInFlight = argv, 2, 2
				m := s.start(p)
				if err := m.ended(conn.EndStopped); !errors.Is(err, worker.ErrCommand) {
					t.Errorf("ended with %v", err)
				}
				if len(m.outcomes()) != 0 || len(s.dead(name)) != 0 {
					t.Errorf("runs: %q", m.outcomes())
				}
				got := s.messages(s.listener(name))
				slices.SortFunc(got, func(a, b stored) int { return cmp.Compare(a.Sequence, b.Sequence) })
				for _, e := range got {
					if e.Deliveries > 2 {
						t.Errorf("#%d was delivered %d times", e.Sequence, e.Deliveries)
					}
				}
				if len(got) != 5 {
					t.Errorf("%d events are left", len(got))
				}
			})
		}
	})
}

// Without a dead letter, an event that needs one stops the worker, and stays.
func TestNoDeadLetters(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", numbers(3)...)
		p := s.plan("orders", `exit 1`)
		p.Letters = nil
		m := s.start(p)
		err := m.ended(conn.EndStopped)
		if !errors.Is(err, worker.ErrNoDeadLetter) || !strings.Contains(err.Error(), "#1 of orders") || !strings.Contains(err.Error(), "exit 1") {
			t.Errorf("ended with %v", err)
		}
		n := 0
		for _, run := range m.lines("runs") {
			if strings.HasPrefix(run, "1 ") {
				n++
			}
		}
		if n != 3 {
			s.Errorf("#1 ran %d times", n)
		}
		if got := s.left("orders"); len(got) != 3 {
			s.Errorf("left: %q", got)
		}
	})
}

// An event that breaks its contract is dead at once, and no handler sees it.
func TestBrokenContracts(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", "good", "bad", "good")
		p := s.plan("orders", `cat >>"$DIR/data"; echo >>"$DIR/data"`)
		p.Check = func(m *broker.Message) ([]byte, error) {
			if string(m.Data) == "bad" {
				return nil, errors.New("price: must be a number")
			}
			return []byte("decoded " + string(m.Data)), nil
		}
		m := s.start(p)
		m.finished()
		if got, want := m.outcomes(), []string{"1/1 acked", "2/1 dead", "3/1 acked"}; !slices.Equal(got, want) {
			s.Errorf("runs: %q", got)
		}
		if got := m.lines("data"); !slices.Equal(got, []string{"decoded good", "decoded good"}) {
			s.Errorf("handlers got %q", got)
		}
		dead := s.dead("orders")
		if len(dead) != 1 || !strings.Contains(fmt.Sprintf("%s %v", dead[0].Data, dead[0].Header), "price: must be a number") {
			s.Errorf("dead letters: %v", dead)
		}
	})
}
