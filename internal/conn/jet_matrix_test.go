package conn_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest/netsim"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// A jetRow is a stream as others have them, and what is promised on it. Ten
// events, "1" to "10", are published in one go to the subject "orders"; then
// one listener alone and one member of a group read to the end, one after the
// other. Whatever the stream: who gets no error has done all.
type jetRow struct {
	config  jetstream.StreamConfig // of the stream orders; its subject is orders, too
	prepare func(t *testing.T, js jetstream.JetStream)
	settle  func(t *testing.T, js jetstream.JetStream) // before the events are read
	cluster bool                                       // of three servers
	lose    int                                        // at most so many acks are lost

	refused error    // how publishing fails; nil: every event is acked
	doubt   bool     // it may also end with ErrNotAcked before all is stored
	stored  []string // nil: nothing

	read    link.Options // what is said to find the stream
	subject string       // that is read; default orders
	alone   jetPromise
	group   jetPromise
}

// A jetPromise is what is read, or why not.
type jetPromise struct {
	events []string
	err    error
	note   string // a part of what the listener is told of the stream
}

var (
	allTen = numbers(1, 10)
	gotAll = jetPromise{events: allTen}
)

var jetMatrix = map[string]jetRow{
	"retention limits":  {stored: allTen, alone: gotAll, group: gotAll},
	"compression s2":    {config: jetstream.StreamConfig{Compression: jetstream.S2Compression}, stored: allTen, alone: gotAll, group: gotAll},
	"first_seq":         {config: jetstream.StreamConfig{FirstSeq: 1000}, stored: allTen, alone: gotAll, group: gotAll},
	"memory, max_bytes": {config: jetstream.StreamConfig{Storage: jetstream.MemoryStorage, MaxBytes: 1 << 20}, stored: allTen, alone: gotAll, group: gotAll},

	// Acked means stored only where somebody wants the event.
	"retention interest, nobody": {
		config:  jetstream.StreamConfig{Retention: jetstream.InterestPolicy},
		refused: broker.ErrNotStored,
	},
	"retention interest, another subject": {
		config:  jetstream.StreamConfig{Retention: jetstream.InterestPolicy, Subjects: []string{"orders", "payments"}},
		prepare: consumer("watch", "payments"),
		refused: broker.ErrNotStored,
	},
	"retention interest": {
		config:  jetstream.StreamConfig{Retention: jetstream.InterestPolicy},
		prepare: consumer("watch", "orders"),
		stored:  allTen, alone: gotAll, group: gotAll,
	},
	// A lone listener does not ack, and takes nothing from those who do.
	"retention workqueue": {
		config: jetstream.StreamConfig{Retention: jetstream.WorkQueuePolicy},
		stored: allTen, alone: jetPromise{err: broker.ErrNeedsGroup}, group: gotAll,
	},
	"retention workqueue of others": {
		config:  jetstream.StreamConfig{Retention: jetstream.WorkQueuePolicy},
		prepare: consumer("others", "orders"),
		stored:  allTen, alone: jetPromise{err: broker.ErrNeedsGroup}, group: jetPromise{err: broker.ErrTaken},
	},

	// What is not answered is sent again only while the stream knows repeats.
	"duplicate window 2m": {
		config: jetstream.StreamConfig{Duplicates: 2 * time.Minute}, lose: 3,
		stored: allTen, alone: gotAll, group: gotAll,
	},
	"duplicate window 100ms": {
		config: jetstream.StreamConfig{Duplicates: 100 * time.Millisecond}, lose: 3, doubt: true,
		stored: allTen, alone: gotAll, group: gotAll,
	},
	"no_ack": {
		config: jetstream.StreamConfig{NoAck: true}, refused: broker.ErrNotAcked, doubt: true,
		stored: allTen, alone: gotAll, group: gotAll,
	},

	"discard new": {
		config: jetstream.StreamConfig{Discard: jetstream.DiscardNew, MaxMsgs: 5}, refused: broker.ErrFull,
		stored: numbers(1, 5), alone: jetPromise{events: numbers(1, 5)}, group: jetPromise{events: numbers(1, 5)},
	},
	"discard new per subject": {
		config:  jetstream.StreamConfig{Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgsPerSubject: 5},
		refused: broker.ErrFull,
		stored:  numbers(1, 5), alone: jetPromise{events: numbers(1, 5)}, group: jetPromise{events: numbers(1, 5)},
	},
	"max_msg_size": { // headers count: the ID
		config: jetstream.StreamConfig{MaxMsgSize: 10}, refused: broker.ErrStreamLimit,
	},
	// The stream was made to keep only these: every event was stored.
	"max_msgs_per_subject 1": {
		config: jetstream.StreamConfig{MaxMsgsPerSubject: 1},
		stored: numbers(10, 10), alone: jetPromise{events: numbers(10, 10)}, group: jetPromise{events: numbers(10, 10)},
	},
	"max_age, all are too old": {
		config:  jetstream.StreamConfig{MaxAge: 200 * time.Millisecond, Duplicates: 200 * time.Millisecond},
		prepare: consumer("workers_orders", "orders"),
		settle:  gone,
		stored:  allTen,
	},

	// The leader's word counts, and not that of a copy which lags.
	"allow_direct, three replicas": {
		config: jetstream.StreamConfig{AllowDirect: true, Replicas: 3}, cluster: true,
		stored: allTen, alone: gotAll, group: gotAll,
	},
	"a mirror answers direct gets": {
		config: jetstream.StreamConfig{AllowDirect: true}, prepare: copies(jetstream.StreamConfig{
			Name: "copy", Mirror: &jetstream.StreamSource{Name: "orders"}, MirrorDirect: true, AllowDirect: true,
		}),
		stored: allTen, alone: gotAll, group: gotAll,
	},
	"mirror": {
		prepare: copies(jetstream.StreamConfig{Name: "copy", Mirror: &jetstream.StreamSource{Name: "orders"}}),
		settle:  copied, stored: allTen,
		read: link.Options{Stream: "copy"}, alone: gotAll, group: gotAll,
	},
	"source": {
		prepare: copies(jetstream.StreamConfig{Name: "copy", Sources: []*jetstream.StreamSource{{Name: "orders"}}}),
		settle:  copied, stored: allTen,
		read: link.Options{Stream: "copy"}, alone: gotAll, group: gotAll,
	},
	"subject transform": {
		config: jetstream.StreamConfig{SubjectTransform: &jetstream.SubjectTransformConfig{Source: "orders", Destination: "kept.orders"}},
		stored: allTen, subject: "kept.orders", read: link.Options{Stream: "orders"}, alone: gotAll, group: gotAll,
	},
	// Nothing is stored under that subject, and a reader is told.
	"subject transform, as published": {
		config: jetstream.StreamConfig{SubjectTransform: &jetstream.SubjectTransformConfig{Source: "orders", Destination: "kept.orders"}},
		stored: allTen, alone: jetPromise{note: "under another subject"}, group: jetPromise{note: "under another subject"},
	},
}

func TestStreamsAsOthersHaveThem(t *testing.T) {
	t.Parallel()
	for name, row := range jetMatrix {
		t.Run(name, func(t *testing.T) {
			urls, network, js := row.start(t)
			row.config.Name = "orders"
			if row.config.Subjects == nil {
				row.config.Subjects = []string{"orders"}
			}
			createStream(t, js, row.config)
			if row.prepare != nil {
				row.prepare(t, js)
			}
			if row.lose > 0 {
				urls = network.URL
				network.Lose(netsim.Holds(`"stream":"orders"`), row.lose)
			}
			o := link.Options{Servers: urls, Timeout: 10 * time.Second, Notify: func(line string) { t.Log(line) }}
			row.publish(t, o, js)
			if row.lose > 0 && network.Lost() == 0 {
				t.Error("no ack was lost")
			}
			if row.settle != nil {
				row.settle(t, js)
			}
			o = row.read.Or(o)
			subject := "orders"
			if row.subject != "" {
				subject = row.subject
			}
			t.Run("alone", func(t *testing.T) { row.alone.check(t, listener(o, subject)) })
			t.Run("group", func(t *testing.T) { row.group.check(t, member(o, subject)) })
		})
	}
}
