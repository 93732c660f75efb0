package stan

import (
	"context"
	"errors"
	"testing"
	"time"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// startFlight returns a flight for a window of events, which nothing is sent by.
func startFlight(t *testing.T, window int) *flight {
	t.Helper()
	l := &link.Link{Options: link.Options{Window: window, Timeout: time.Hour}}
	l.Ctx, l.Cancel = context.WithCancel(t.Context())
	t.Cleanup(l.Cancel)
	f := &flight{}
	f.begin(l)
	f.begun = true // nothing is given up here
	return f
}

func put(func(string, error)) error { return nil }

// Who waits for room hears of a failure once all events before it were answered:
// by then it is known which was the first, and why.
func TestFailureIsToldWhenAllIsAnswered(t *testing.T) {
	t.Parallel()
	const window = 8
	f := startFlight(t, window)
	var answered [window]error
	told := 0
	for i := range window {
		done := func(_ broker.Receipt, err error) { answered[i], told = err, told+1 }
		if err := f.send(1, done, put); err != nil {
			t.Fatal(err)
		}
	}
	events := append([]*handed(nil), f.events...)
	failed := make(chan error)
	go func() {
		failed <- f.send(1, func(broker.Receipt, error) { t.Error("it was sent") }, put)
	}()
	for _, i := range []int{4, 5, 6, 7} { // more than a quarter of the window
		f.answered(events[i], "", errors.New("no space left"))
	}
	select {
	case err := <-failed:
		t.Fatal("told before the first ones were answered: ", err)
	case <-time.After(50 * time.Millisecond):
	}
	for _, i := range []int{0, 1, 2, 3} {
		f.answered(events[i], "id", nil)
	}
	if err := <-failed; !errors.Is(err, errFailed) || told != window || answered[3] != nil || !errors.Is(answered[4], broker.ErrRefused) {
		t.Error(err, told, answered)
	}
}

// A failure that came before anybody waited is no less one.
func TestNothingIsSentAfterAFailure(t *testing.T) {
	t.Parallel()
	f := startFlight(t, 4)
	if err := f.send(1, func(broker.Receipt, error) {}, put); err != nil {
		t.Fatal(err)
	}
	f.answered(f.events[0], "", errors.New("no space left"))
	if err := f.settle(); !errors.Is(err, errFailed) {
		t.Error("settled: ", err)
	}
	if err := f.send(1, func(broker.Receipt, error) {}, put); !errors.Is(err, errFailed) {
		t.Error("sent: ", err)
	}
}
