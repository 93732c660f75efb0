//go:build unix

package cli_test

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
)

// A channel at its limit drops the oldest events, which is a problem for members
// that have not received them.
func TestStatusOfAFullChannel(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{StreamingExtra: "store_limits: { max_msgs: 50, max_channels: 2 }"})
	store(t, server, 49)
	j := awaitKind(t, server, "near-limit")
	j.says(t, "channel ticket:created is at 98 % of its limit of 50 events: the oldest events will be dropped")
	if j.Judgements[0].Stuck {
		t.Error("nobody waits for these")
	}
	store(t, server, 1)
	awaitKind(t, server, "near-limit").says(t, "channel ticket:created is full (50 events): each new event drops the oldest")

	// A listener with the first event only.
	p, _ := member(t, server, "--max-in-flight", "1", "--no-ack")
	p.awaitLines(1)
	p.signal(syscall.SIGTERM)
	p.endsWith(0, 30*time.Second)
	store(t, server, 10) // #2 to #10 are dropped
	j = statusOf(t, server)
	if kinds := j.kinds(); len(kinds) != 3 || kinds[0] != "missed-events" || kinds[1] != "offline" || kinds[2] != "near-limit" || j.code != 1 {
		t.Fatalf("%+v", j)
	}
	j.says(t, "group g has missed 9 events of ticket:created (#2 to #10): dropped by the channel's limits before it got them")
	if text := j.Judgements[2].Text; text != "channel ticket:created is full (50 events): each new event drops the oldest, which did not reach group g yet" {
		t.Error(text)
	}
	runProcess(t, server.URL, "publish", "ticket:updated", "--sample").endsWith(0, 30*time.Second)
	awaitKind(t, server, "channels", "ticket:updated").says(t, "2 of at most 2 channels exist")
}

func TestStatusOfAFullStream(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	js := server.JetStream()
	config := conn.NewStream(subject, 1)
	config.MaxMsgs = 10
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	store(t, server, 9)
	awaitKind(t, server, "near-limit").says(t, "stream ticket:created is at 90 % of its limit of 10 events: the oldest events will be dropped")
	config.Discard = jetstream.DiscardNew
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	awaitKind(t, server, "near-limit").says(t, "beyond it, new events will be refused")
	store(t, server, 1)
	j := awaitKind(t, server, "refusing")
	j.says(t, "stream ticket:created is full (10 events) and refuses new events")
	if !j.Judgements[0].Stuck {
		t.Error("publishers are stuck")
	}
}

// The unacked events of a consumer's members may be limited, and a consumer may be
// paused.
func TestStatusOfAConsumer(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	js := server.JetStream()
	store(t, server, 5)
	consumer, err := js.CreateConsumer(t.Context(), subject, jetstream.ConsumerConfig{
		Durable: "foreign", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	// Services may fetch only now and then: no fetch for a short time is not a
	// problem.
	awaitKind(t, server, "offline").says(t, "nobody asks for events of consumer foreign at this moment, and 5 events of ticket:created wait")
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for range 2 { // which are not acked
		if _, err := messages.Next(); err != nil {
			t.Fatal(err)
		}
	}
	awaitKind(t, server, "stalled-member").says(t, "consumer foreign is stalled on ticket:created: 2 of 2 unacked, the most for all members together")
	messages.Stop()
	if _, err := js.PauseConsumer(t.Context(), subject, "foreign", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	j := statusOf(t, server)
	if !slices.Contains(j.kinds(), "paused") || !strings.Contains(j.of("paused"), "consumer foreign is paused and 3 events behind on ticket:created") {
		t.Errorf("%+v", j)
	}
}

// Streams that gather the events of others have no subjects of their own.
func TestStatusOfStreamsThatGather(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	js := server.JetStream()
	store(t, server, 3)
	for _, config := range []jetstream.StreamConfig{
		{Name: "mirror", Mirror: &jetstream.StreamSource{Name: subject}},
		{Name: "sum", Sources: []*jetstream.StreamSource{{Name: subject}}},
	} {
		if _, err := js.CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	brokertest.Eventually(t, "all three are looked at", func() bool { return len(statusOf(t, server, subject).Channels) == 3 })
	if err := js.DeleteStream(t.Context(), subject); err != nil {
		t.Fatal(err)
	}
	if j := statusOf(t, server, subject); len(j.Channels) != 2 || j.code != 0 {
		t.Errorf("%+v", j)
	}
	if j := statusOf(t, server, "ticket:updated"); j.code != 1 || j.kinds()[0] != "absent" {
		t.Errorf("%+v", j)
	}
}

// A stream that is full by bytes refuses an event before it reaches the limit
// exactly.
func TestStatusOfAStreamFullOfBytes(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	js := server.JetStream()
	config := conn.NewStream(subject, 1)
	config.MaxBytes, config.Discard = 2000, jetstream.DiscardNew
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	publish := func() int {
		return runProcess(t, server.URL, "publish", subject, "--sample").wait(30 * time.Second)
	}
	for publish() == 0 {
	}
	awaitKind(t, server, "refusing").says(t, "stream ticket:created is full (2000 bytes) and refuses new events")
}

// Events at their maximum number of deliveries are reported.
func TestStatusOfWhatWasGivenUp(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	js := server.JetStream()
	store(t, server, 2)
	consumer, err := js.CreateConsumer(t.Context(), subject, jetstream.ConsumerConfig{
		Durable: "g_" + subject, FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 1, AckWait: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := consumer.Next(); err != nil {
			t.Fatal(err)
		}
	}
	j := awaitKind(t, server, "given-up")
	j.says(t, "group g gave up some events of ticket:created, up to #2")
	if j.Judgements[0].Stuck {
		t.Error("nobody waits for them any more")
	}
}

// Any user who may publish can answer member polls. That does not hide what the
// broker itself knows: that no client fetches events.
func TestStatusOfForgedMembers(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	store(t, server, 5)
	p := runProcess(t, server.URL, "listen", subject, "-g", "g", "-c", "1", "--max-in-flight", "1", "--ack-wait", "1s")
	p.endsWith(0, 30*time.Second)
	nc := server.Nats()
	for _, answer := range []string{`{"client":"forged"}`, `{"client":"busy","held":1,"limit":64}`} {
		if _, err := nc.Subscribe("_LISTEN.members.>", func(m *nats.Msg) { _ = m.Respond([]byte(answer)) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	var j judged
	brokertest.Eventually(t, "both answers come in time for a look", func() bool {
		j = statusOf(t, server)
		return strings.Contains(j.of("offline"), "2 listeners")
	})
	j.says(t, "nobody asks for events of group g, and 4 events of ticket:created wait; 2 listeners say to be there")
	if !j.Judgements[0].Stuck || j.code != 1 {
		t.Errorf("%+v", j)
	}
}
