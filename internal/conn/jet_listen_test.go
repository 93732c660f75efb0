package conn_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// both runs a test for a listener of its own and for a member of a group.
func both(t *testing.T, test func(t *testing.T, kind func(o link.Options, subject string) *conn.Listener)) {
	t.Run("alone", func(t *testing.T) { test(t, listener) })
	t.Run("member", func(t *testing.T) { test(t, member) })
}

// onlyConsumer returns the name of the one consumer of the stream "orders".
func onlyConsumer(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	s, err := js.Stream(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	names := s.ConsumerNames(t.Context())
	var all []string
	for name := range names.Name() {
		all = append(all, name)
	}
	if len(all) != 1 || names.Err() != nil {
		t.Fatal(all, names.Err())
	}
	return all[0]
}

func TestDeletedConsumerIsJoinedAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, kind func(link.Options, string) *conn.Listener) {
		for name, inFlight := range map[string]int{"while asking": 64, "while handling": 1} {
			t.Run(name, func(t *testing.T) {
				s, js := onJetStream(t, "")
				var heard told
				o := options(t, s)
				publish(t, o, "orders", 1, 5)
				o.Notify = heard.notify
				l := kind(o, "orders")
				l.Subscription.MaxInFlight = inFlight
				handler := &recorder{}
				deleted := make(chan struct{})
				handler.verdict = func(m *broker.Message) error {
					if m.Sequence == 5 && inFlight == 1 { // so that nothing is asked for meanwhile
						<-deleted
					}
					return nil
				}
				r := run(t, l, handler)
				if inFlight > 1 {
					r.await(5)
				} else {
					brokertest.Eventually(t, "the last is being handled", func() bool {
						return consumerInfo(t, js, onlyConsumer(t, js)).Delivered.Stream == 5
					})
				}
				if err := js.DeleteConsumer(t.Context(), "orders", onlyConsumer(t, js)); err != nil {
					t.Fatal(err)
				}
				close(deleted)
				publish(t, options(t, s), "orders", 6, 10)
				r.await(10)
				r.stopCleanly()
				if got := r.seen(); !slices.Equal(got, numbers(1, 10)) {
					t.Errorf("got %v", got)
				}
				if !strings.Contains(heard.all(), "was deleted") || !strings.Contains(heard.all(), "joining again") {
					t.Errorf("told %s", heard.all())
				}
			})
		}
	})
}

func TestStreamThatIsMadeAnewIsJoinedAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, kind func(link.Options, string) *conn.Listener) {
		for _, create := range []bool{true, false} { // by the listener, if it is the first to miss it
			t.Run(fmt.Sprint("create ", create), func(t *testing.T) {
				s, js := onJetStream(t, "")
				keepStream(t, js)
				publish(t, options(t, s), "orders", 1, 5)
				var heard told
				o := options(t, s)
				o.CreateStream, o.Notify = create, heard.notify
				r := run(t, kind(o, "orders"), &recorder{})
				r.await(5)
				if err := js.DeleteStream(t.Context(), "orders"); err != nil {
					t.Fatal(err)
				}
				if !create {
					brokertest.Eventually(t, "the listener looked for it", func() bool {
						return strings.Contains(heard.all(), broker.ErrNoStream.Error())
					})
				}
				publish(t, options(t, s), "orders", 6, 10)
				r.await(10)
				publish(t, options(t, s), "orders", 11, 12)
				r.await(12)
				r.stopCleanly()
				if got := r.seen(); !slices.Equal(got, numbers(1, 12)) {
					t.Errorf("got %v", got)
				}
			})
		}
	})
}

// Streams with a subject each, with several, and with a wildcard.
func TestUntilEndIsExactInSharedStreams(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, kind func(link.Options, string) *conn.Listener) {
		s, js := onJetStream(t, "")
		createStream(t, js, jetstream.StreamConfig{Name: "shop", Subjects: []string{"orders", "payments"}})
		createStream(t, js, jetstream.StreamConfig{Name: "mails", Subjects: []string{"mails"}})
		createStream(t, js, jetstream.StreamConfig{Name: "rest", Subjects: []string{"rest.>"}})
		o := options(t, s)
		subjects := []string{"orders", "payments", "mails", "rest.a", "rest.b.c", "rest.nothing"}
		stored := map[string]int{"orders": 90, "payments": 30, "mails": 41, "rest.a": 1, "rest.b.c": 70}
		for i := range 9 { // mixed
			for _, subject := range subjects {
				n := stored[subject]
				publish(t, o, subject, n*i/9+1, n*(i+1)/9)
			}
		}
		publish(t, o, "rest.other", 1, 5) // nobody asks for these
		l := kind(o, subjects[0])
		l.Subjects, l.UntilEnd = subjects, true
		got := make(map[string][]string)
		handler := &recorder{}
		handler.verdict = func(m *broker.Message) error {
			got[m.Subject] = append(got[m.Subject], string(m.Data))
			if m.Subject == "payments" && len(got["payments"]) == 30 { // beyond the end
				publish(t, o, "mails", 42, 42)
			}
			return nil
		}
		if end, err := l.Run(soon(t), handler); end != conn.EndReached || err != nil {
			t.Fatal(end, err)
		}
		for subject, n := range stored {
			want := numbers(1, n)
			if beyond := append(want, "42"); subject == "mails" && slices.Equal(got[subject], beyond) {
				continue // it came before the others were at their end
			}
			if !slices.Equal(got[subject], want) {
				t.Errorf("%s: got %v", subject, got[subject])
			}
		}
		if len(got["rest.other"])+len(got["rest.nothing"]) > 0 {
			t.Errorf("got %v", got)
		}
	})
}

// Nothing that a publisher may send is taken for a word of the server.
func TestEventsThatLookLikeTheServersWords(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, kind func(link.Options, string) *conn.Listener) {
		s, _ := onJetStream(t, "")
		o := options(t, s)
		session := dial(t, o)
		statuses := []string{"100", "404", "408", "409", "503", "200", ""}
		for _, status := range statuses {
			header := map[string][]string{"Status": {status}, "Description": {"Consumer Deleted"}, "Nats-Pending-Messages": {"1"}}
			if _, err := publishOne(t, session, broker.Event{Subject: "orders", Header: header}); err != nil {
				t.Fatal(err)
			}
		}
		l := kind(o, "orders")
		l.UntilEnd = true
		handler := &recorder{}
		if end, err := l.Run(soon(t), handler); end != conn.EndReached || err != nil || len(handler.seen()) != len(statuses) {
			t.Error(end, err, len(handler.seen()))
		}
	})
}

// A listener goes where its subject goes, once it is done with what was before.
func TestSubjectThatMovesToAnotherStreamIsFollowed(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	both(t, func(t *testing.T, kind func(link.Options, string) *conn.Listener) {
		createStream(t, js, jetstream.StreamConfig{Name: "old", Subjects: []string{"orders", "kept"}})
		o, said := options(t, s), &told{}
		o.Notify = said.notify
		publish(t, o, "orders", 1, 5)
		r := run(t, kind(o, "orders"), &recorder{})
		r.await(5)
		if _, err := js.UpdateStream(t.Context(), jetstream.StreamConfig{Name: "old", Subjects: []string{"kept"}}); err != nil {
			t.Fatal(err)
		}
		createStream(t, js, jetstream.StreamConfig{Name: "new", Subjects: []string{"orders"}})
		publish(t, o, "orders", 6, 8)
		r.await(8)
		r.stopCleanly()
		if got := r.seen(); !slices.Equal(got, numbers(1, 8)) {
			t.Errorf("handled %v", got)
		}
		if !strings.Contains(said.all(), "orders is stored by the stream new now, and no longer by old") {
			t.Errorf("said: %s", said.all())
		}
		for _, name := range []string{"old", "new"} {
			if err := js.DeleteStream(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What a listener alone made at the broker is gone with it, also after its
// connection broke.
func TestListenerAloneLeavesNoConsumer(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	network := s.Network()
	o := options(t, s)
	publish(t, o, "orders", 1, 10)
	o.Servers = network.URL
	l := untilEnd(listener(o, "orders"), s)
	l.Subscription.MaxInFlight = 2
	if end, err := run(t, l, at(4, network.Cut)).wait(); end != conn.EndReached || err != nil {
		t.Fatal(end, err)
	}
	brokertest.Eventually(t, "no consumer is left", func() bool { return streamInfo(t, js, "orders").State.Consumers == 0 })
}

// Settings of a stream that take something away from a listener are told.
func TestNotesOnStreams(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	keepStream(t, js)
	for _, c := range []struct {
		config jetstream.StreamConfig
		says   string
	}{
		{jetstream.StreamConfig{Retention: jetstream.InterestPolicy}, "keeps an event only until every consumer has acked it"},
		{jetstream.StreamConfig{Retention: jetstream.WorkQueuePolicy}, "is a work queue"},
		{jetstream.StreamConfig{SubjectTransform: &jetstream.SubjectTransformConfig{Source: "orders", Destination: "stored"}}, "maps orders to stored"},
		{jetstream.StreamConfig{SubjectTransform: &jetstream.SubjectTransformConfig{Source: "other", Destination: "stored"}}, ""},
		{jetstream.StreamConfig{}, ""},
	} {
		c.config.Name, c.config.Subjects = "orders", []string{"orders", "other"}
		createStream(t, js, c.config)
		l := member(options(t, s), "orders")
		var notes []string
		l.Joined = func(places []broker.Place, _ bool) { notes = places[0].Notes }
		run(t, l, &recorder{}).stopCleanly()
		if said := strings.Join(notes, "\n"); !strings.Contains(said, c.says) || c.says == "" && said != "" {
			t.Errorf("%+v: said %q", c.config, said)
		}
		if err := js.DeleteStream(t.Context(), "orders"); err != nil {
			t.Fatal(err)
		}
	}
}

// A work queue gives each event to one consumer, which acks it.
func TestWorkQueueIsExplained(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}, Retention: jetstream.WorkQueuePolicy})
	o := options(t, s)
	if _, err := listener(o, "orders").Run(soon(t), &recorder{}); !errors.Is(err, broker.ErrNeedsGroup) {
		t.Errorf("alone: %v", err)
	}
	first := run(t, member(o, "orders"), &recorder{})
	second := member(o, "orders")
	second.Subscription.Group, second.Subscription.Durable = "others", "others"
	if _, err := second.Run(soon(t), &recorder{}); !errors.Is(err, broker.ErrTaken) {
		t.Errorf("a second group: %v", err)
	}
	first.stopCleanly()
}

// A consumer's limit of unacked events, filled, keeps others back: that is
// neither the end nor idleness, and is told though the same come again and again.
func TestEndBehindAConsumersLimit(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	o := options(t, s)
	publish(t, o, "orders", 1, 5)
	for _, idle := range []time.Duration{0, 2 * time.Second} {
		group := "workers" + idle.String()
		if _, err := js.CreateConsumer(t.Context(), "orders", jetstream.ConsumerConfig{
			Durable: group + "_orders", FilterSubject: "orders", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Second, MaxAckPending: 2,
		}); err != nil {
			t.Fatal(err)
		}
		l := member(o, "orders")
		l.Subscription.Group, l.Subscription.Durable = group, group
		l.UntilEnd, l.Idle = idle == 0, idle
		r := run(t, l, &recorder{verdict: func(*broker.Message) error { return conn.ErrLeave }})
		if end, err := r.wait(); !errors.Is(err, broker.ErrUnfinished) || !strings.Contains(err.Error(), "3 events of orders not delivered: 2 left unacked here") {
			t.Errorf("idle %v: %v, %v", idle, end, err)
		}
	}
}
