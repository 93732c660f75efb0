package conn_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
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

// A listener that is slower than those who publish misses what a full channel lets go
// of, and says how much that was.
func TestUntilEndOfAChannelThatIsOverrun(t *testing.T) {
	t.Parallel()
	const limit, held = 1000, 10
	s := brokertest.Start(t, brokertest.Config{StreamingExtra: "store_limits { max_msgs: 1000 }"})
	o, subject := options(t, s), subjectOf(t)
	publish(t, o, subject, 1, limit+200)
	said := &told{}
	o.Notify = said.notify
	first, overrun := make(chan struct{}), make(chan struct{})
	l := listener(o, subject)
	l.UntilEnd, l.Subscription.MaxInFlight, l.Subscription.Start = true, held, broker.Start{Kind: broker.StartAll}
	r := &recorder{verdict: func(m *broker.Message) error {
		if string(m.Data) == "201" {
			close(first)
			<-overrun
		}
		return nil
	}}
	running := run(t, l, r)
	<-first
	publish(t, options(t, s), subject, limit+201, limit+500)
	close(overrun)
	if end, err := running.wait(); end != conn.EndReached || err != nil {
		t.Error(end, err)
	}
	ofStart := numbers(201, limit+200)
	came := slices.Clone(r.seen())
	came = slices.DeleteFunc(came, func(n string) bool { return !slices.Contains(ofStart, n) })
	if len(came) < limit-300 || len(came) > limit-300+held {
		t.Errorf("%d events of the start came", len(came))
	}
	line := fmt.Sprintf("removed %d events of %s", limit-len(came), subject)
	if !strings.Contains(said.all(), line) {
		t.Errorf("%q lacks %q", said.all(), line)
	}
}
