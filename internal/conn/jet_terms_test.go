package conn_test

import (
	"errors"
	"fmt"
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

// ack is in every answer of the stream "orders" to a publisher.
var ack = netsim.Holds(`{"stream":"orders`)

// An answer is lost on the way, and the connection goes on: what is repeated
// after the stream forgot it is stored twice.
func TestLostAnswerIsRepeatedWithinTheStreamsWindowOnly(t *testing.T) {
	t.Parallel()
	for window, want := range map[time.Duration]error{100 * time.Millisecond: broker.ErrNotAcked, time.Second: broker.ErrNotAcked, 2 * time.Minute: nil} {
		t.Run(window.String(), func(t *testing.T) {
			t.Parallel()
			s, js := onJetStreamAlone(t, "")
			createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}, Duplicates: window})
			network := s.Network()
			o := link.Options{Servers: network.URL, Timeout: 3 * time.Second}
			session := dial(t, o)
			network.Lose(ack, 1)
			r, err := publishOne(t, session, broker.Event{Subject: "orders", ID: "once"})
			if !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), window.String()) {
				t.Errorf("%+v, %v", r, err)
			}
			if err == nil && (r.Sequence != 1 || r.Duplicate) {
				t.Errorf("our own repeat is no other event: %+v", r)
			}
			if n := streamInfo(t, js, "orders").State.Msgs; n != 1 || network.Lost() != 1 {
				t.Errorf("%d stored, %d answers lost", n, network.Lost())
			}
		})
	}
}

// onJetStreamAlone is onJetStream for tests that run at the same time: they
// can't tell whose goroutines are left.
func onJetStreamAlone(t *testing.T, extra string) (*brokertest.Server, jetstream.JetStream) {
	t.Helper()
	s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: extra})
	return s, s.JetStream()
}

// While the connection lives, the answers may still come.
func TestFrozenServerWithAShortWindowStoresEverythingOnce(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}, Duplicates: 500 * time.Millisecond})
	session := dial(t, link.Options{Servers: s.URL, Timeout: 20 * time.Second})
	if _, err := publishOne(t, session, broker.Event{Subject: "orders", Data: []byte("0")}); err != nil {
		t.Fatal(err)
	}
	s.Freeze()
	time.AfterFunc(3*time.Second, s.Thaw)
	p := conn.NewPublisher(session, nil)
	for i := 1; i <= 500; i++ {
		if err := p.Publish(t.Context(), broker.Event{Subject: "orders", Data: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	err := p.Flush()
	_, acked, inDoubt := p.Sent()
	if n := int(streamInfo(t, js, "orders").State.Msgs) - 1; err != nil || acked != 500 || inDoubt != 0 || n != 500 {
		t.Errorf("%d acked, %d in doubt, %d stored: %v", acked, inDoubt, n, err)
	}
}

// After a break of the connection only a repeat can tell, and the time for it
// may be over, or not known.
func TestWhatCantBeRepeatedSafelyIsInDoubt(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, withUsers("least", `publish: "orders", subscribe: "_INBOX.>"`), admin)
	for name, test := range map[string]struct {
		user   string
		window time.Duration
		says   string
	}{
		"the time is over":  {"admin", 100 * time.Millisecond, "within 100ms"},
		"it is not known":   {"least", 2 * time.Minute, "can't be known"},
		"it is long enough": {"admin", 2 * time.Minute, ""},
	} {
		t.Run(name, func(t *testing.T) {
			stream := "orders-" + strings.ReplaceAll(name, " ", "-") // a name of its own: the server may still be removing the last one's files
			createStream(t, js, jetstream.StreamConfig{Name: stream, Subjects: []string{"orders"}, Duplicates: test.window})
			defer func() { _ = js.DeleteStream(t.Context(), stream) }()
			network := s.Network()
			o := link.Options{Servers: network.URL, Backend: broker.JetStream, Auth: as(test.user), Timeout: 10 * time.Second}
			session := dial(t, o)
			if _, err := publishOne(t, session, broker.Event{Subject: "orders"}); err != nil {
				t.Fatal(err)
			}
			network.Lose(ack, 1)
			time.AfterFunc(300*time.Millisecond, network.Cut)
			_, err := publishOne(t, session, broker.Event{Subject: "orders"})
			if doubt := test.says != ""; conn.InDoubt(err) != doubt || doubt && !strings.Contains(err.Error(), test.says) {
				t.Error(err)
			}
			if n := streamInfo(t, js, stream).State.Msgs; n != 2 {
				t.Errorf("%d stored", n)
			}
		})
	}
}

// An interest stream acks what it drops.
func TestInterestStreamWithoutInterestStoresNothing(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, withUsers("blind", `publish: { deny: "$JS.API.CONSUMER.>" }`), admin)
	other := jetstream.ConsumerConfig{Durable: "other", FilterSubject: "orders.b"}
	some := jetstream.ConsumerConfig{Durable: "some", FilterSubjects: []string{"orders.*", "x"}}
	all := jetstream.ConsumerConfig{Durable: "all"}
	for name, test := range map[string]struct {
		user      string
		consumers []jetstream.ConsumerConfig
		want      error
	}{
		"no consumer":             {"admin", nil, broker.ErrNotStored},
		"one of another subject":  {"admin", []jetstream.ConsumerConfig{other}, broker.ErrNotStored},
		"one of several subjects": {"admin", []jetstream.ConsumerConfig{other, some}, nil},
		"one of all":              {"admin", []jetstream.ConsumerConfig{all}, nil},
		"they can't be listed":    {"blind", []jetstream.ConsumerConfig{all}, broker.ErrUncertain},
	} {
		t.Run(name, func(t *testing.T) {
			createStream(t, js, jetstream.StreamConfig{Name: "I", Subjects: []string{"orders.*", "x"}, Retention: jetstream.InterestPolicy})
			defer func() { _ = js.DeleteStream(t.Context(), "I") }()
			for _, c := range test.consumers {
				if _, err := js.CreateConsumer(t.Context(), "I", c); err != nil {
					t.Fatal(err)
				}
			}
			o := link.Options{Servers: s.URL, Backend: broker.JetStream, Auth: as(test.user), Timeout: long}
			p := conn.NewPublisher(dial(t, o), nil)
			for range 3 {
				if err := p.Publish(t.Context(), broker.Event{Subject: "orders.a"}); err != nil {
					break
				}
			}
			err := p.Flush()
			if !errors.Is(err, test.want) || errors.Is(test.want, broker.ErrNotStored) && !strings.Contains(err.Error(), "none wants orders.a") {
				t.Error(err)
			}
			stored := 0
			if len(test.consumers) > 0 && !errors.Is(test.want, broker.ErrNotStored) {
				stored = 3
			}
			if n := streamInfo(t, js, "I").State.Msgs; int(n) != stored {
				t.Errorf("%d stored", n)
			}
			if _, acked, inDoubt := p.Sent(); test.want != nil && acked != 0 || inDoubt > 0 && !errors.Is(err, broker.ErrUncertain) {
				t.Errorf("%d acked, %d in doubt", acked, inDoubt)
			}
		})
	}
}

// What was kept for a consumer goes with it.
func TestInterestThatEndsMeanwhileIsNoticed(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "I", Subjects: []string{"orders"}, Retention: jetstream.InterestPolicy})
	consumer := func(name string) {
		t.Helper()
		if _, err := js.CreateConsumer(t.Context(), "I", jetstream.ConsumerConfig{Durable: name}); err != nil {
			t.Fatal(err)
		}
	}
	consumer("first")
	session := dial(t, link.Options{Servers: s.URL, Timeout: long})
	if _, err := publishOne(t, session, broker.Event{Subject: "orders"}); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(t.Context(), "I", "first"); err != nil {
		t.Fatal(err)
	}
	other := dial(t, link.Options{Servers: s.URL, Timeout: long})
	if _, err := publishOne(t, other, broker.Event{Subject: "orders"}); !errors.Is(err, broker.ErrNotStored) {
		t.Error(err)
	}
	consumer("second")
	if _, err := publishOne(t, session, broker.Event{Subject: "orders"}); !errors.Is(err, broker.ErrUncertain) {
		t.Error(err)
	}
	if _, err := publishOne(t, dial(t, link.Options{Servers: s.URL}), broker.Event{Subject: "orders"}); err != nil {
		t.Error(err)
	}
}

// The time-out is long: nobody waits for an answer that never comes.
func TestStreamWithoutAcksIsToldAtOnce(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}, NoAck: true})
	begin := time.Now()
	p := conn.NewPublisher(dial(t, link.Options{Servers: s.URL, Timeout: long}), nil)
	for range 10 {
		if err := p.Publish(t.Context(), broker.Event{Subject: "orders"}); err != nil {
			break
		}
	}
	err := p.Flush()
	if !errors.Is(err, broker.ErrNotAcked) || !strings.Contains(err.Error(), "the stream orders answers no publisher (no_ack)") {
		t.Error(err)
	}
	if sent, acked, inDoubt := p.Sent(); sent != 1 || acked != 0 || inDoubt != 1 || time.Since(begin) > 1500*time.Millisecond {
		t.Errorf("sent %d, acked %d, in doubt %d, after %v", sent, acked, inDoubt, time.Since(begin))
	}
}

func TestSubjectTransformIsTold(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "T", Subjects: []string{"orders.*"},
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: "orders.*", Destination: "kept.{{wildcard(1)}}"}})
	var heard told
	session := dial(t, link.Options{Servers: s.URL, Timeout: long, Notify: heard.notify})
	for i := range 4 { // the last two are repeats
		r, err := publishOne(t, session, broker.Event{Subject: "orders.a", ID: fmt.Sprint(i % 2), Data: []byte("x")})
		if err != nil || r.Duplicate != (i >= 2) {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if n := strings.Count(heard.all(), "the stream T stores orders.a under the subject kept.a"); n != 1 {
		t.Errorf("said %d times: %s", n, heard.all())
	}
	if _, err := publishOne(t, session, broker.Event{Subject: "orders.b", ID: "0", Data: []byte("y")}); !errors.Is(err, broker.ErrOtherEvent) {
		t.Error(err)
	}
}

func TestTooLargeForTheStreamNamesItsLimit(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "small", Subjects: []string{"orders"}, MaxMsgSize: 1000})
	_, err := publishOne(t, dial(t, link.Options{Servers: s.URL, Timeout: long}), broker.Event{Subject: "orders", Data: make([]byte, 2000)})
	if !errors.Is(err, broker.ErrStreamLimit) || !strings.Contains(err.Error(), "the stream small takes 1000 (max_msg_size)") {
		t.Error(err)
	}
}

// With the stream named, the ack of another one is none.
func TestNamedStreamIsTheOneThatStores(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	createStream(t, js, jetstream.StreamConfig{Name: "other", Subjects: []string{"other"}})
	for stream, want := range map[string]error{"orders": nil, "other": broker.ErrOtherStream} {
		_, err := publishOne(t, dial(t, link.Options{Servers: s.URL, Stream: stream, Timeout: long}), broker.Event{Subject: "orders"})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", stream, err)
		}
	}
	_, err := publishOne(t, dial(t, link.Options{Servers: s.URL, Stream: "other", Timeout: long}), broker.Event{Subject: "nowhere"})
	if !errors.Is(err, broker.ErrOtherStream) {
		t.Error(err)
	}
	if n := streamInfo(t, js, "orders").State.Msgs; n != 1 {
		t.Errorf("%d stored", n)
	}
}

// A stream that has its events from others takes none, whoever takes the event.
func TestNamedStreamThatTakesNoEvents(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	createStream(t, js, jetstream.StreamConfig{Name: "mirror", Mirror: &jetstream.StreamSource{Name: "orders"}})
	createStream(t, js, jetstream.StreamConfig{Name: "all", Sources: []*jetstream.StreamSource{{Name: "orders"}}})
	for range 2 {
		for stream, want := range map[string]error{"mirror": broker.ErrMirror, "all": broker.ErrOtherStream, "nowhere": broker.ErrNoSuchStream} {
			begin := time.Now()
			_, err := publishOne(t, dial(t, link.Options{Servers: s.URL, Stream: stream, Timeout: long}), broker.Event{Subject: "orders"})
			if !errors.Is(err, want) || time.Since(begin) > long/2 {
				t.Errorf("%s: %v after %v", stream, err, time.Since(begin))
			}
		}
		if err := js.DeleteStream(t.Context(), "orders"); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) { // then nobody takes it
			t.Fatal(err)
		}
	}
}

// What can't be looked at is said once, and publishing goes on.
func TestTermsThatCantBeReadAreTold(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, withUsers("least", `publish: "orders", subscribe: "_INBOX.>"`), admin)
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	var heard told
	session := dial(t, link.Options{Servers: s.URL, Backend: broker.JetStream, Auth: as("least"), Timeout: long, Notify: heard.notify})
	for range 3 {
		if _, err := publishOne(t, session, broker.Event{Subject: "orders"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(heard.all(), "the stream orders can't be read, so"); n != 1 {
		t.Errorf("said %d times: %s", n, heard.all())
	}
}
