package conn_test

import (
	"testing"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
)

// A channel that is full has dropped its first events, as one of NATS Streaming's
// default of a million does. What is left has an end nevertheless, however much it is.
func TestUntilEndOfAFullChannel(t *testing.T) {
	t.Parallel()
	const stored, kept = 75_000, 70_000
	s := brokertest.Start(t, brokertest.Config{StreamingExtra: "store_limits { max_msgs: 70000 }"})
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			o, subject := options(t, s), subjectOf(t)
			publish(t, o, subject, 1, stored)
			l := untilEnd(kind(o, subject), s)
			if name == "alone" { // it needs no monitoring port
				l.Rest = nil
			}
			r := &recorder{}
			if end, err := run(t, l, r).wait(); end != conn.EndReached || err != nil {
				t.Error(end, err)
			}
			if got := r.seen(); len(got) != kept || got[0] != "5001" || got[kept-1] != "75000" {
				t.Errorf("%d events", len(got))
			}
		})
	}
}
