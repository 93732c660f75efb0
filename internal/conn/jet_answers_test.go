package conn_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// A puppet answers publishers in place of a stream, as a test has it.
type puppet struct {
	session *conn.Conn
	came    chan *nats.Msg
}

// newPuppet returns a session whose events a puppet gets: those of the subject
// "orders". The stream that knows repeats within window is there in name only.
func newPuppet(t *testing.T, window time.Duration) *puppet {
	t.Helper()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "elsewhere"})
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Sources: []*jetstream.StreamSource{{Name: "elsewhere"}}, Duplicates: window})
	p := &puppet{came: make(chan *nats.Msg, 100)}
	if _, err := js.Conn().ChanSubscribe("orders", p.came); err != nil {
		t.Fatal(err)
	}
	if err := js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	p.session = dial(t, link.Options{Servers: s.URL, Stream: "orders", Timeout: 20 * time.Second})
	return p
}

// next returns the data of the next attempt, and a function that answers it.
func (p *puppet) next(t *testing.T) (data string, answer func(text string)) {
	t.Helper()
	select {
	case m := <-p.came:
		return string(m.Data), func(text string) {
			if err := m.Respond([]byte(text)); err != nil {
				t.Error(err)
			}
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was sent")
		return "", nil
	}
}

// Two attempts were stored: the second came when the stream had forgotten the
// first. The ack of the first alone is no proof.
func TestRepeatThatIsAckedTooLateMayBeStoredTwice(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, 3*time.Second)
	done := make(chan error, 1)
	begin := time.Now()
	err := p.session.Publish(t.Context(), broker.Event{Subject: "orders"}, func(_ broker.Receipt, err error) { done <- err })
	if err != nil {
		t.Fatal(err)
	}
	_, first := p.next(t)
	_, second := p.next(t)
	first(`{"stream":"orders","seq":1}`)
	select {
	case err := <-done:
		t.Fatalf("the second attempt was not answered yet: %v", err)
	case <-time.After(3100*time.Millisecond - time.Since(begin)): // the window is over
	}
	second(`{"stream":"orders","seq":2}`)
	if err := <-done; !errors.Is(err, broker.ErrUncertain) || !strings.Contains(err.Error(), "stored twice") {
		t.Error(err)
	}
}

// What is refused behind an event without an answer holds up what is new: it
// would overtake both.
func TestNothingNewIsSentBehindAFailure(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, 2*time.Minute)
	pub := conn.NewPublisher(p.session, nil)
	send := func(data string) {
		if err := pub.Publish(t.Context(), broker.Event{Subject: "orders", Data: []byte(data)}); err != nil {
			t.Error(err)
		}
	}
	var order []string
	note := func() func(string) {
		data, answer := p.next(t)
		order = append(order, data)
		return answer
	}
	send("1")
	note()(`{"stream":"orders","seq":1}`)
	send("2")
	send("3")
	note() // it gets no answer
	note()(`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`)
	for range 3 { // the answer has come
		if _, err := p.session.Find(t.Context(), "orders", 0); err != nil {
			t.Fatal(err)
		}
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		send("4")
	}()
	note()(`{"stream":"orders","seq":2}`)
	note()(`{"stream":"orders","seq":3}`)
	note()(`{"stream":"orders","seq":4}`)
	<-sent
	if err := pub.Flush(); err != nil || !slices.Equal(order, []string{"1", "2", "3", "2", "3", "4"}) {
		t.Errorf("%v: %v", order, err)
	}
}
