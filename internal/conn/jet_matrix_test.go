package conn_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/brokertest/netsim"
	"nats-test/internal/conn"
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

func (row *jetRow) start(t *testing.T) (urls string, network *netsim.Network, js jetstream.JetStream) {
	t.Helper()
	if row.cluster {
		c := brokertest.StartCluster(t, 3)
		brokertest.NoLeaks(t)
		return c.URLs(), nil, c.Servers[0].JetStream()
	}
	s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	brokertest.NoLeaks(t)
	return s.URL, s.Network(), s.JetStream()
}

// publish publishes the ten events, and compares what came of it.
func (row *jetRow) publish(t *testing.T, o link.Options, js jetstream.JetStream) {
	t.Helper()
	session := dial(t, o)
	acked := 0
	p := conn.NewPublisher(session, func(int, broker.Receipt, bool) { acked++ })
	var err error
	for _, event := range allTen {
		if err = p.Publish(t.Context(), broker.Event{Subject: "orders", Data: []byte(event)}); err != nil {
			break
		}
	}
	if flushed := p.Flush(); err == nil {
		err = flushed
	}
	t.Logf("publishing: %v", err)
	if closing := session.Close(); closing != nil {
		t.Error(closing)
	}
	switch {
	case row.doubt && errors.Is(err, broker.ErrNotAcked):
	case !errors.Is(err, row.refused):
		t.Errorf("publishing ends with %v, want %v", err, row.refused)
	case err == nil && acked != len(allTen):
		t.Errorf("%d events were acked", acked)
	}
	// What is in doubt may not be stored, but nothing is twice.
	got := keptIn(t, js, "orders")
	if row.doubt && err != nil && len(got) >= acked && slices.Equal(got, allTen[:len(got)]) {
		row.stored, row.alone.events, row.group.events = got, got, got
	}
	if !slices.Equal(got, row.stored) {
		t.Errorf("stored: %v, want %v", got, row.stored)
	}
}

// keptIn returns the data of what a stream has, without a consumer.
func keptIn(t *testing.T, js jetstream.JetStream, name string) (all []string) {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	state := stream.CachedInfo().State
	if state.Msgs == 0 {
		return nil
	}
	for sequence := state.FirstSeq; sequence <= state.LastSeq; sequence++ {
		m, err := stream.GetMsg(t.Context(), sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(m.Data))
	}
	return all
}

// check has a listener read to the end.
func (p jetPromise) check(t *testing.T, l *conn.Listener) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	l.UntilEnd = true
	r := &recorder{}
	var notes []string
	l.Joined = func(places []broker.Place, _ bool) { notes = places[0].Notes }
	end, err := l.Run(ctx, r)
	t.Logf("%v after %v", err, r.seen())
	switch {
	case ctx.Err() != nil:
		t.Fatalf("there is no end; got %v", r.seen())
	case p.err != nil:
		if !errors.Is(err, p.err) || len(r.seen()) > 0 {
			t.Errorf("end %v, error %v, after %v; want the error %v", end, err, r.seen(), p.err)
		}
		return
	case err != nil || end != conn.EndReached:
		t.Errorf("end %v, error %v", end, err)
	}
	if !slices.Equal(r.seen(), p.events) {
		t.Errorf("got %v, want %v", r.seen(), p.events)
	}
	if told := strings.Join(notes, "\n"); !strings.Contains(told, p.note) {
		t.Errorf("told %q", told)
	}
}

// consumer returns a preparation: a durable consumer of another program.
func consumer(name, subject string) func(*testing.T, jetstream.JetStream) {
	return func(t *testing.T, js jetstream.JetStream) {
		t.Helper()
		_, err := js.CreateConsumer(t.Context(), "orders", jetstream.ConsumerConfig{
			Durable: name, FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// copies returns a preparation: a stream that copies the stream orders.
func copies(config jetstream.StreamConfig) func(*testing.T, jetstream.JetStream) {
	return func(t *testing.T, js jetstream.JetStream) {
		t.Helper()
		createStream(t, js, config)
	}
}

// copied waits until the copy has all ten.
func copied(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	brokertest.Eventually(t, "the copy is complete", func() bool { return streamInfo(t, js, "copy").State.Msgs == 10 })
}

// gone waits until the stream is empty.
func gone(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	brokertest.Eventually(t, "the events were removed", func() bool { return streamInfo(t, js, "orders").State.Msgs == 0 })
}
