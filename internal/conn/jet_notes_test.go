package conn_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/doctor"
	"nats-test/internal/conn/link"
)

// What a stream has of others under another subject is not found under its own.
func TestNotesOnASourceThatRenames(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	renames := &jetstream.StreamSource{Name: "orders", SubjectTransforms: []jetstream.SubjectTransformConfig{{Source: "orders", Destination: "bought"}}}
	createStream(t, js, jetstream.StreamConfig{Name: "sources", Sources: []*jetstream.StreamSource{renames}})
	createStream(t, js, jetstream.StreamConfig{Name: "mirror", Mirror: renames})
	const says = "stores under another subject what other streams have of orders (it maps orders to bought): listen to that one"
	for _, stream := range []string{"sources", "mirror"} {
		o := link.Options{Servers: s.URL, Stream: stream}
		diagnose(t, o, "orders").has(doctor.StepStream, doctor.StateNote, "the stream "+stream+" "+says)
		for _, f := range diagnose(t, o, "bought").all {
			if f.What == "the stream "+stream+" "+says {
				t.Error(f.What)
			}
		}
	}
}
