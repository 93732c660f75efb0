package bench

import (
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
)

// What the nats CLI publishes before it waits for the acks, and what it takes at
// once: its default, and what it is fastest with, as it seldom has to wait then.
const (
	usualBatch = 500
	largeBatch = 10_000
)

// jetStream is a field with JetStream, where the nats CLI competes.
type jetStream struct {
	*field
	js jetstream.JetStream
}

func newJetStream(b *testing.B) jetStream {
	b.Helper()
	f := newField(b, brokertest.Config{Plain: true, JetStream: true}, jetStreamTable)
	f.env = append(f.env, "NATS_BACKEND=jetstream")
	return jetStream{f, f.server.JetStream()}
}

// renew makes the stream anew: no events, no message IDs to compare with.
func (f jetStream) renew() {
	f.b.Helper()
	_ = f.js.DeleteStream(f.b.Context(), "tickets")
	_, err := f.js.CreateStream(f.b.Context(), jetstream.StreamConfig{
		Name:       "tickets",
		Subjects:   []string{"ticket:created"},
		Storage:    jetstream.FileStorage,
		Retention:  jetstream.LimitsPolicy,
		Duplicates: 2 * time.Minute,
	})
	if err != nil {
		f.b.Fatal(err)
	}
}

// stored checks that the stream holds n events.
func (f jetStream) stored(n uint64) {
	f.b.Helper()
	if state := f.stream().CachedInfo().State; state.Msgs != n {
		f.b.Fatalf("%d events are stored, of %d", state.Msgs, n)
	}
}

// acked waits until the only consumer has acked all, and deletes it: the next
// one gets all events again.
func (f jetStream) acked() {
	f.b.Helper()
	stream := f.stream()
	var info *jetstream.ConsumerInfo
	brokertest.Eventually(f.b, "all events are acked", func() bool {
		for info = range stream.ListConsumers(f.b.Context()).Info() {
		}
		return info != nil && info.NumPending == 0 && info.NumAckPending == 0
	})
	if err := stream.DeleteConsumer(f.b.Context(), info.Name); err != nil {
		f.b.Fatal(err)
	}
}

func (f jetStream) stream() jetstream.Stream {
	f.b.Helper()
	stream, err := f.js.Stream(f.b.Context(), "tickets")
	if err != nil {
		f.b.Fatal(err)
	}
	return stream
}

// theirs returns the nats CLI, to be run.
func (f jetStream) theirs(args ...string) *exec.Cmd {
	f.b.Helper()
	program, err := natsProgram()
	if err != nil {
		f.b.Fatal(err)
	}
	return exec.Command(program, append([]string{"--no-context", "-s", f.server.URL}, args...)...)
}

// bench returns a benchmark of theirs with so many events as ours are, to be run.
func (f jetStream) bench(batch int, args ...string) *exec.Cmd {
	f.b.Helper()
	return f.theirs(append(append([]string{"bench", "js"}, args...),
		"--stream", "tickets", "--clients", "1", "--msgs", strconv.Itoa(many), "--size", strconv.Itoa(len(event(1))),
		"--batch", strconv.Itoa(batch), "--no-progress")...)
}

func BenchmarkJetStreamOneEvent(b *testing.B) {
	f := newJetStream(b)
	f.renew()
	c := comparison{"one `publish`, start to exit", "nats pub -J", "%.1f ms", "≤ 0.5"}
	f.compare(starts, c, func(int) (ours, theirs float64) {
		ours = f.milliseconds(f.ours("publish", "ticket:created", "--data", event(1)))
		theirs = f.milliseconds(f.theirs("pub", "-J", "ticket:created", event(1)))
		return ours, theirs
	})
	f.stored(2 * starts)
}

func BenchmarkJetStreamPublish(b *testing.B) {
	f := newJetStream(b)
	input := f.input()
	for batch, theirs := range map[int]string{
		usualBatch: "nats bench js pub async --dedup",
		largeBatch: "nats bench js pub async --dedup --batch 10000",
	} {
		c := comparison{"100,000 events through `publish --data -`", theirs, "%.0f/s", "≥ 1.0"}
		f.compare(rounds, c, func(int) (ours, theirs float64) {
			f.renew()
			theirs = f.rate(f.bench(batch, "pub", "async", "ticket:created", "--dedup"), "publisher")
			f.stored(many)
			f.renew()
			ours = f.publish(input, "ticket:created")
			f.stored(many)
			return ours, theirs
		})
	}
}

func BenchmarkJetStreamListen(b *testing.B) {
	f := newJetStream(b)
	f.renew()
	f.publish(f.input(), "ticket:created")
	f.stored(many)
	c := comparison{"100,000 events through `listen --group G --until-end -o json > file`", "nats bench js consume --batch 10000", "%.0f/s", "≥ 0.8"}
	f.compare(rounds, c, func(int) (ours, theirs float64) {
		theirs = f.rate(f.bench(largeBatch, "consume", "--acks", "explicit"), "(callback)")
		f.acked()
		ours = f.listen("--group", "orders")
		f.acked()
		return ours, theirs
	})
}
