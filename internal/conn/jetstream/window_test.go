package jetstream

import (
	"testing"
	"time"

	"nats-test/internal/conn/link"
)

func TestWindowFollowsTheAnswers(t *testing.T) {
	t.Parallel()
	w := newWindow(link.Options{Window: 100}, 0)
	if w.full(0, 10*link.FirstRoom) || !w.full(1, link.FirstRoom+1) || w.full(99, 1) || !w.full(100, 1) {
		t.Error("it is not bounded by events and bytes, or takes no single large one")
	}
	var number uint64
	for range 20 { // a round trip each
		w.answered(number, number+1, time.Millisecond)
		number++
	}
	if w.limit != link.MostRoom {
		t.Errorf("answers come at once: %d bytes", w.limit)
	}
	for range 20 {
		w.answered(number, number+1, 3*time.Second)
		number++
	}
	if w.limit != link.LeastRoom {
		t.Errorf("events wait for each other: %d bytes", w.limit)
	}
	w = newWindow(link.Options{Window: 100}, 3*time.Second)
	for number := range uint64(20) {
		w.answered(number, number+1, 3*time.Second)
	}
	if w.limit != link.MostRoom {
		t.Errorf("far away, and fast: %d bytes", w.limit)
	}
	w.limit = link.FirstRoom
	for number := range uint64(10) { // answers in the same round trip
		w.answered(100+number, 200, time.Millisecond)
	}
	if w.limit != 2*link.FirstRoom {
		t.Errorf("it changes more than once in a round trip: %d bytes", w.limit)
	}
}

func TestPatienceFollowsTheAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		trip    time.Duration
		bytes   int64
		round   uint64
		timeout time.Duration
		want    time.Duration
	}{
		"fast answers":               {time.Millisecond, 0, 1, time.Minute, 2 * time.Second},
		"a short time-out":           {time.Millisecond, 0, 1, time.Second, 500 * time.Millisecond},
		"slow answers":               {3 * time.Second, 0, 1, time.Minute, 12 * time.Second},
		"slower than the time-out":   {3 * time.Second, 0, 1, 5 * time.Second, 5 * time.Second},
		"much that may be sent yet":  {0, 10 * slowest, 0, time.Minute, 10 * time.Second},
		"and a short time-out":       {0, 10 * slowest, 0, 8 * time.Second, 4 * time.Second},
		"much, and answers are fast": {time.Millisecond, 10 * slowest, 1, time.Minute, 2 * time.Second},
	}
	for name, test := range tests {
		w := window{trip: test.trip, bytes: test.bytes, round: test.round}
		if got := w.patience(test.timeout); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
