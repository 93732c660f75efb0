package conn_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn/broker"
)

// Two streams are made anew while the listener is away, the second one after it
// has come back: nothing of the first is missed.
func TestStreamsMadeAnewOneAfterTheOther(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	keepStream(t, js)
	names := []string{"a", "b"}
	for _, name := range names {
		createStream(t, js, jetstream.StreamConfig{Name: name, Subjects: []string{name}})
		publish(t, options(t, s), name, 1, 5)
	}
	network, said := s.Network(), &told{}
	o := options(t, s)
	o.Servers, o.CreateStream, o.Notify = network.URL, false, said.notify
	l := listener(o, "a")
	l.Subjects = names
	l.Subscription.Start = broker.Start{Kind: broker.StartNew}
	r := run(t, l, &recorder{})
	publish(t, options(t, s), "a", 6, 6)
	r.await(1)

	network.Refuse(true)
	network.Cut()
	for _, name := range names {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	createStream(t, js, jetstream.StreamConfig{Name: "a", Subjects: []string{"a"}})
	publish(t, options(t, s), "a", 101, 103)
	network.Refuse(false)
	brokertest.Eventually(t, "it has tried without b", func() bool { return strings.Contains(said.all(), "no stream covers the subject") })
	createStream(t, js, jetstream.StreamConfig{Name: "b", Subjects: []string{"b"}})
	publish(t, options(t, s), "b", 201, 201)
	r.await(5)
	r.stopCleanly()
	if got := sorted(r.seen()); strings.Join(got, " ") != "101 102 103 201 6" {
		t.Errorf("came: %v; said: %s", got, said.all())
	}
}
