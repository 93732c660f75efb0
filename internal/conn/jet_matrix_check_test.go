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
