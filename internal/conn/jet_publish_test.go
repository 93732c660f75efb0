package conn_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// publishOne stores an event and returns what the broker tells of it.
func publishOne(t *testing.T, session *conn.Conn, e broker.Event) (broker.Receipt, error) {
	t.Helper()
	var receipt broker.Receipt
	p := conn.NewPublisher(session, func(_ int, r broker.Receipt, _ bool) { receipt = r })
	if err := p.Publish(t.Context(), e); err != nil {
		return receipt, err
	}
	return receipt, p.Flush()
}

func TestWithoutStream(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	createStream(t, js, jetstream.StreamConfig{Name: "other", Subjects: []string{"other"}})
	o := link.Options{Servers: s.URL, Timeout: long}
	p := conn.NewPublisher(dial(t, o), nil)
	if err := p.Publish(t.Context(), broker.Event{Subject: "orders"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(); !errors.Is(err, broker.ErrNoStream) || !strings.Contains(err.Error(), `"orders"`) {
		t.Errorf("publishing: %v", err)
	}
	if sent, acked, inDoubt := p.Sent(); sent != 1 || acked != 0 || inDoubt != 0 {
		t.Errorf("sent %d, acked %d, in doubt %d", sent, acked, inDoubt)
	}
	l := listener(o, "orders")
	l.Subjects = []string{"other", "orders", "payments"}
	_, err := l.Run(soon(t), &recorder{})
	if !errors.Is(err, broker.ErrNoStream) || !strings.Contains(err.Error(), "orders") || !strings.Contains(err.Error(), "payments") {
		t.Errorf("listening: %v", err)
	}
	if info := streamInfo(t, js, "other"); info.State.Consumers != 0 {
		t.Error("some subjects were joined")
	}
}

func TestCreatedStreamIsAsDocumented(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	for by, use := range map[string]func(o link.Options, subject string) error{
		"publisher": func(o link.Options, subject string) error {
			_, err := publishOne(t, dial(t, o), broker.Event{Subject: subject})
			return err
		},
		"listener": func(o link.Options, subject string) error {
			l := listener(o, subject)
			l.Idle = time.Millisecond
			_, err := l.Run(soon(t), &recorder{})
			return err
		},
	} {
		t.Run(by, func(t *testing.T) {
			var heard told
			o := link.Options{Servers: s.URL, CreateStream: true, Notify: heard.notify}
			if err := use(o, by+":created.now"); err != nil {
				t.Fatal(err)
			}
			got := streamInfo(t, js, by+":created_now").Config
			if !slices.Equal(got.Subjects, []string{by + ":created.now"}) || got.Storage != jetstream.FileStorage ||
				got.Retention != jetstream.LimitsPolicy || got.Replicas != 1 || got.Duplicates != 2*time.Minute ||
				got.MaxMsgs > 0 || got.MaxBytes > 0 || got.MaxAge != 0 || got.MaxMsgsPerSubject > 0 || got.MaxMsgSize > 0 {
				t.Errorf("created %+v", got)
			}
			if !strings.Contains(heard.all(), "created the stream "+by+":created_now") {
				t.Errorf("it was not told: %s", heard.all())
			}
		})
	}
	t.Run("not possible", func(t *testing.T) {
		createStream(t, js, jetstream.StreamConfig{Name: "a_b", Subjects: []string{"other"}})
		for reason, o := range map[string]link.Options{
			"replicas":          {Replicas: 3},
			`stream "a_b" with`: {},
			`stream "orders_b`:  {Replicas: 7},
		} {
			o.Servers, o.CreateStream, o.Timeout = s.URL, true, long
			subject := "orders.b"
			if o.Replicas == 0 {
				subject = "a.b"
			}
			_, err := publishOne(t, dial(t, o), broker.Event{Subject: subject})
			if !errors.Is(err, broker.ErrRefused) || conn.InDoubt(err) || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s: %v", reason, err)
			}
		}
	})
}

func TestStreamIsCreatedOnceByMany(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	const clients = 6
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range clients {
		session := dial(t, options(t, s))
		done.Go(func() {
			<-start
			if _, err := publishOne(t, session, broker.Event{Subject: "orders", Data: fmt.Append(nil, i)}); err != nil {
				t.Error(err)
			}
		})
		done.Go(func() {
			<-start
			for _, subject := range []string{"orders", "payments"} {
				if _, err := session.Newest(t.Context(), subject); err != nil {
					t.Error(err)
				}
			}
		})
	}
	close(start)
	done.Wait()
	if got := stored(t, js, "orders"); len(got) != clients {
		t.Errorf("stored %v", got)
	}
}

func TestRepeatIsKnownByItsID(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	o := options(t, s)
	session := dial(t, o)
	seen := make(map[string]bool)
	for i := 1; i <= 3; i++ { // by default, none is a repeat of another
		got, err := publishOne(t, session, broker.Event{Subject: "orders", Data: []byte("x")})
		if err != nil || got.Sequence != uint64(i) || got.Stream != "orders" || got.Duplicate || got.ID == "" || seen[got.ID] {
			t.Errorf("%d: %+v, %v", i, got, err)
		}
		seen[got.ID] = true
	}
	for i, from := range []*conn.Conn{session, session, dial(t, o)} {
		got, err := publishOne(t, from, broker.Event{Subject: "orders", ID: "pay-7", Data: []byte("y")})
		if want := (broker.Receipt{ID: "pay-7", Stream: "orders", Sequence: 4, Duplicate: i > 0}); err != nil || got != want {
			t.Errorf("time %d: %+v, %v", i, got, err)
		}
	}
	if got := stored(t, js, "orders"); len(got) != 4 || got[3] != "y" {
		t.Errorf("stored %v", got)
	}
}

func TestHeadersArrive(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "")
	session := dial(t, options(t, s))
	header := map[string][]string{"Trace-Id": {"7"}, "tag": {"a", "b c"}, "Nats-Msg-Id": {"not this one"}}
	if _, err := publishOne(t, session, broker.Event{Subject: "orders", ID: "pay-7", Header: header}); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := (nats.Header{"Trace-Id": {"7"}, "tag": {"a", "b c"}, "Nats-Msg-Id": {"pay-7"}}); !reflect.DeepEqual(m.Header, want) {
		t.Errorf("%v", m.Header)
	}
	if len(header) != 3 || header["Nats-Msg-Id"][0] != "not this one" {
		t.Errorf("the caller's own were changed: %v", header)
	}
	// They count for the size.
	limit := maxPayload(t, session, "orders") - len("tag: a\r\ntag: b c\r\n") + len("00000000-0000-0000-0000-000000000000") - len("id")
	header = map[string][]string{"tag": {"a", "b c"}}
	for size, want := range map[int]error{limit: nil, limit + 1: broker.ErrTooLarge} {
		_, err := publishOne(t, session, broker.Event{Subject: "orders", ID: "id", Header: header, Data: make([]byte, size)})
		if !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", size, err, want)
		}
	}
}

// A publisher with the least permissions asks the JetStream API for nothing.
func TestPublisherNeedsNoPermissionButItsOwn(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, withUsers("least", `publish: "orders", subscribe: "_INBOX.>"`), admin)
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	o := link.Options{Servers: s.URL, Backend: broker.JetStream, Auth: as("least"), Timeout: long}
	if r, err := publishOne(t, dial(t, o), broker.Event{Subject: "orders"}); err != nil || r.Sequence != 1 {
		t.Error(r, err)
	}
}

// What a proxy cuts off while an event is on its way, or its ack, is sent
// again, and stored once.
func TestEveryEventIsStoredOnceInOrder(t *testing.T) {
	t.Parallel()
	const events = 2000
	for name, window := range map[string]int{"small window": 16, "usual window": 0} {
		t.Run(name, func(t *testing.T) {
			s, js := onJetStream(t, "")
			random := seeded(t)
			one, other := s.Network(), s.Network() // with two servers, another is tried at once
			drop := func() { one.Cut(); other.Cut() }
			o := options(t, s)
			o.Servers, o.Window = one.URL+","+other.URL, window
			session := dial(t, o)
			var acked []int
			drops := make(map[int]bool) // after so many acks, or before so many events
			for range 6 {
				drops[random.IntN(events)] = true
			}
			ids := make(map[string]bool)
			p := conn.NewPublisher(session, func(event int, r broker.Receipt, _ bool) {
				acked = append(acked, event)
				ids[r.ID] = true
				if r.Sequence != uint64(event) {
					t.Errorf("event %d is stored as #%d", event, r.Sequence)
				}
				if drops[event] && event%2 == 0 {
					drop()
				}
			})
			for i := 1; i <= events; i++ {
				if drops[i] && i%2 == 1 {
					drop()
				}
				if err := p.Publish(t.Context(), broker.Event{Subject: "orders", Data: fmt.Append(nil, i)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Flush(); err != nil {
				t.Fatal(err)
			}
			if sent, n, inDoubt := p.Sent(); sent != events || n != events || inDoubt != 0 || len(ids) != events {
				t.Errorf("sent %d, acked %d, in doubt %d, %d IDs", sent, n, inDoubt, len(ids))
			}
			if !slices.IsSorted(acked) {
				t.Error("acked out of order")
			}
			if got := stored(t, js, "orders"); !slices.Equal(got, numbers(1, events)) {
				t.Errorf("stored %d, not what was sent", len(got))
			}
		})
	}
}
