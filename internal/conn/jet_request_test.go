package conn_test

import (
	"slices"
	"testing"

	"nats-test/internal/conn"
	"nats-test/internal/conn/link"
)

// The next events are asked for when there is room, and not some time later:
// a pause of 250 ms after each batch would take minutes here.
func TestNoPauseBetweenBatches(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, kind func(o link.Options, subject string) *conn.Listener) {
		const events = 5000
		s, _ := onJetStream(t, "")
		o := options(t, s)
		publish(t, o, "orders", 1, events)
		l := kind(o, "orders")
		l.UntilEnd, l.Subscription.MaxInFlight = true, 8
		r := &recorder{}
		if end, err := l.Run(soon(t), r); end != conn.EndReached || err != nil {
			t.Fatalf("end %v, error %v after %d of %d events", end, err, len(r.seen()), events)
		}
		if got := r.seen(); !slices.Equal(got, numbers(1, events)) {
			t.Errorf("got %d events", len(got))
		}
	})
}
