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

// awaitGo is a handler that waits for the file go, or for the end of the test's folder.
const awaitGo = `while ! test -e "$DIR/go"; do test -d "$DIR" || exit 1; sleep 0.02; done`

// So many events are handled at a time as there are workers, and no member holds more:
// others get them.
func TestWorkers(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", numbers(20)...)
		p := s.plan("orders", `mkdir "$DIR/$SEQUENCE.runs"; `+awaitGo+`; rmdir "$DIR/$SEQUENCE.runs"`)
		p.Workers, p.listener.Subscription.MaxInFlight = 3, 3
		first := s.start(p)
		brokertest.Eventually(s, "3 run", func() bool { return len(first.lines("runs")) == 3 })
		other := s.start(s.plan("orders", `exit 0`))
		other.await(17)
		if got := first.lines("runs"); len(got) != 3 {
			s.Errorf("runs: %q", got)
		}
		first.touch("go")
		first.finished()
		other.finished()
		if a, b := len(first.outcomes()), len(other.outcomes()); a != 3 || b != 17 {
			s.Errorf("handled %d and %d", a, b)
		}
	})
}

// Events with the same key run one after another, in their order; a retry holds back
// its key alone.
func TestKeys(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		var data []string
		for i := range 12 {
			data = append(data, fmt.Sprintf("%c%d", 'a'+i%3, i/3))
		}
		data = append(data, "-", "-") // of no key
		s.publish("orders", data...)
		p := s.plan("orders", `read -r data; k=${data%?}; mkdir "$DIR/busy$k" || test "$data" = - || echo "two of $k" >>"$DIR/faults"
			echo "$data" >>"$DIR/begun"; rmdir "$DIR/busy$k"; test "$data" != a0 || test -e "$DIR/go"`)
		p.Workers, p.listener.Subscription.MaxInFlight, p.Retries = 3, 12, 1<<20
		p.Key = func(data []byte) string { return strings.TrimRight(string(data), "0123456789-") }
		m := s.start(p)
		acked := func() (n int) {
			for _, o := range m.outcomes() {
				if strings.HasSuffix(o, "acked") {
					n++
				}
			}
			return n
		}
		brokertest.Eventually(s, "the other keys are done with", func() bool { return acked() == 10 })
		if got := m.lines("begun"); slices.Contains(got, "a1") {
			s.Errorf("begun: %q", got)
		}
		m.touch("go")
		m.finished()
		if got := m.lines("faults"); len(got) != 0 {
			s.Error(got)
		}
		for _, key := range []string{"a", "b", "c"} {
			var got []string
			for _, d := range m.lines("begun") {
				if strings.HasPrefix(d, key) {
					got = append(got, d)
				}
			}
			if got = slices.Compact(got); !slices.Equal(got, []string{key + "0", key + "1", key + "2", key + "3"}) {
				s.Errorf("order of %s: %q", key, got)
			}
		}
		s.wantLeft("orders")
	})
}

// A retry comes after its wait: MIN, then twice as long each time, at most MAX.
func TestBackoff(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", "1")
		p := s.plan("orders", `date +%s%N >>"$DIR/times"; exit 1`)
		p.Backoff, p.Retries = worker.Backoff{Min: 200 * time.Millisecond, Max: 500 * time.Millisecond}, 3
		m := s.start(p)
		m.finished()
		var times []int64
		for _, line := range m.lines("times") {
			var at int64
			if _, err := fmt.Sscan(line, &at); err != nil {
				s.Fatal(err)
			}
			times = append(times, at)
		}
		if len(times) != 4 {
			s.Fatalf("%d runs", len(times))
		}
		for i, least := range []time.Duration{160 * time.Millisecond, 320 * time.Millisecond, 400 * time.Millisecond} {
			if got := time.Duration(times[i+1] - times[i]); got < least {
				s.Errorf("retry %d came after %v", i+1, got)
			}
		}
	})
}

// Runs are counted over members: an event has no more in all than a single member
// gives it, and no fewer.
func TestRunsAreCountedOverMembers(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", numbers(10)...)
		dir := s.TempDir()
		var crew []*member
		for range 3 {
			p := s.plan("orders", `exit 1`)
			p.dir = dir
			crew = append(crew, s.start(p))
		}
		for _, m := range crew {
			m.finished()
		}
		runs := make(map[string]int)
		for _, line := range crew[0].lines("runs") {
			number, _, _ := strings.Cut(line, " ")
			runs[number]++
		}
		for _, number := range numbers(10) {
			if runs[number] != 3 {
				s.Errorf("#%s had %d runs", number, runs[number])
			}
		}
		if got := s.dead("orders"); len(got) != 10 {
			s.Errorf("%d dead letters", len(got))
		}
	})
}

// Where the broker counts, runs before a restart count.
func TestRunsAreCountedOverRestarts(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", "1")
		p := s.plan("orders", `exit 1`)
		p.Retries, p.Backoff = 2, worker.Backoff{Min: time.Second, Max: time.Second}
		m := s.start(p)
		m.await(1)
		m.stop()
		if err := m.ended(conn.EndStopped); err != nil {
			s.Fatal(err)
		}
		second := s.start(s.plan("orders", `exit 1`))
		second.finished()
		want := []string{"1/2 retry", "1/3 dead"}
		if got := second.outcomes(); !slices.Equal(got, want) {
			s.Errorf("runs after the restart: %q", got)
		}
		if got := s.dead("orders"); len(got) != 1 {
			s.Errorf("%d dead letters", len(got))
		}
	})
}
