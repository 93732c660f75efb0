package conn_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
)

// lines notes what a listener tells.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
}

func (l *lines) saying(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.all {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// inbox returns where a listener takes the answers to its requests, as a
// neighbour that may hear all learns it.
func inbox(t *testing.T, nc *nats.Conn, l *conn.Listener, handler *recorder) (string, *running) {
	t.Helper()
	requests, err := nc.SubscribeSync("$JS.API.CONSUMER.MSG.NEXT.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	r := run(t, l, handler)
	m, err := requests.NextMsgWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m.Reply, r
}

func status(code, words string, more ...string) nats.Header {
	h := nats.Header{"Status": {code}, "Description": {words}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

// What a neighbour sends to the inbox of a listener is no event, and ends nothing.
func TestForgedAnswersToAListener(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for name, alone := range map[string]bool{"a member": false, "alone": true} {
		for what, forged := range map[string]nats.Msg{
			"a message":     {Data: []byte("forged")},
			"an event":      {Data: []byte("forged"), Reply: "$JS.ACKS.orders.workers_orders.1.1.1.1.0"},
			"deleted":       {Header: status("409", "Consumer Deleted", "Nats-Pending-Messages", "1")},
			"refused":       {Header: status("400", "Bad Request")},
			"no responders": {Header: status("503", "")},
			"missed events": {Header: status("100", "Idle Heartbeat", "Nats-Last-Consumer", "99", "Nats-Last-Stream", "99")},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
				o, told := options(t, s), &lines{}
				o.Notify = told.add
				publish(t, o, "orders", 1, 1)
				l := member(o, "orders")
				if alone {
					l = listener(o, "orders")
				}
				joined := make(chan []broker.Place, 10)
				l.Joined = func(places []broker.Place, _ bool) { joined <- places }
				nc := s.Nats()
				to, r := inbox(t, nc, l, &recorder{})
				r.await(1)
				forged.Subject = to
				if err := nc.PublishMsg(&forged); err != nil {
					t.Fatal(err)
				}
				if err := nc.Flush(); err != nil {
					t.Fatal(err)
				}
				publish(t, o, "orders", 2, 3)
				r.await(3)
				r.stopCleanly()
				if got := r.seen(); !slices.Equal(got, numbers(1, 3)) || len(joined) != 1 || r.again > 0 {
					t.Errorf("handled %v, joined %d times, %d came again: %q", got, len(joined), r.again, told.all)
				}
				if want := forged.Data != nil; want != (told.saying("an unexpected message") == 1) {
					t.Errorf("told: %q", told.all)
				}
			})
		}
	}
}

// An event of another subject, stream or consumer than was asked for is not
// handled and not acked, whoever sends it.
func TestEventThatWasNotAskedFor(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for what, lie := range map[string][2]string{
		"subject":  {"MSG orders ", "MSG others "},
		"stream":   {"$JS.ACK.orders.", "$JS.ACK.others."},
		"consumer": {".workers_orders.", ".others_orders."},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
			js := s.JetStream()
			network := s.Network()
			o, told := options(t, s), &lines{}
			publish(t, o, "orders", 1, 3)
			through := o
			through.Servers, through.Notify = network.URL, told.add
			var once sync.Once
			network.Lie(func(message []byte) []byte {
				if bytes.Contains(message, []byte("$JS.ACK.orders.workers_orders.")) && bytes.Contains(message, []byte("\r\n2\r\n")) {
					once.Do(func() { message = bytes.Replace(message, []byte(lie[0]), []byte(lie[1]), 1) })
				}
				return message
			})
			handler := &recorder{}
			handler.verdict = func(m *broker.Message) error {
				if m.Subject != "orders" {
					t.Errorf("an event of %s is handled", m.Subject)
				}
				return nil
			}
			r := run(t, member(through, "orders"), handler)
			r.await(2)
			brokertest.Eventually(t, "one is left unacked", func() bool {
				info := consumerInfo(t, js, "workers_orders")
				return info.NumAckPending == 1 && info.AckFloor.Stream == 1
			})
			r.stopCleanly()
			if got := r.seen(); !slices.Equal(got, []string{"1", "3"}) || told.saying("an unexpected message") != 1 {
				t.Errorf("handled %v: %q", got, told.all)
			}
		})
	}
}

// A consumer that is changed under its listeners delivers what they do not want.
func TestConsumerWithAnotherFilter(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "all", Subjects: []string{"orders", "bills"}}); err != nil {
		t.Fatal(err)
	}
	o := options(t, s)
	publish(t, o, "orders", 1, 1)
	r := run(t, member(o, "orders"), &recorder{})
	r.await(1)
	_, err := js.UpdateConsumer(t.Context(), "all", jetstream.ConsumerConfig{
		Durable: "workers_orders", FilterSubject: "bills", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxAckPending: -1, MaxDeliver: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, o, "bills", 2, 2)
	if _, err := r.wait(); !errors.Is(err, broker.ErrConsumer) || !strings.Contains(fmt.Sprint(err), `filter "bills"`) {
		t.Errorf("%v", err)
	}
	if got := r.seen(); !slices.Equal(got, []string{"1"}) {
		t.Errorf("handled %v", got)
	}
}
