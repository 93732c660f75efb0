package conn_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// Over a slow link, acks come later than the time-out after the hand-over, and
// steadily: many small events, and one that takes longer by itself.
func TestSlowLinkIsNoTimeout(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ events, size int }{"many": {200, 2000}, "large": {1, 800_000}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := brokertest.Start(t, brokertest.Config{})
			o := options(t, s)
			o.Servers = (&wire{rate: 200_000}).start(t, s).url
			o.Timeout = 1500 * time.Millisecond // the link needs 2 s, 4 s
			session := dial(t, o)
			p := conn.NewPublisher(session, nil)
			for range test.events {
				if err := p.Publish(t.Context(), broker.Event{Subject: "orders", Data: make([]byte, test.size)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Flush(); err != nil {
				t.Error(err)
			}
			if err := session.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is in flight on NATS Streaming is bounded in bytes, and in doubt at once
// when nothing is acked any more.
func TestBytesInFlightAreBounded(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	o := options(t, s)
	w := (&wire{}).start(t, s) // it takes some megabytes at once
	o.Servers, o.Timeout = w.url, time.Second
	session := dial(t, o)
	p := conn.NewPublisher(session, nil)
	release := w.hold()
	defer release()
	begin := time.Now()
	var err error
	for n := 0; n < 8 && err == nil; n++ {
		err = p.Publish(t.Context(), broker.Event{Subject: "orders", Data: make([]byte, 100_000)})
	}
	if flushed := p.Flush(); !errors.Is(flushed, broker.ErrNotAcked) {
		t.Error(flushed)
	}
	if took := time.Since(begin); took > 2*o.Timeout {
		t.Errorf("in doubt after %v", took)
	}
	if _, _, doubt := p.Sent(); doubt < 1 || doubt > 3 {
		t.Errorf("%d events of 100 kB were in flight", doubt)
	}
}

// A server that hangs for less than the time-out is waited for, though it
// answers no ping.
func TestTimeoutBearsWithASilentServer(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	o := options(t, s)
	o.Timeout = 40 * time.Second
	session := dial(t, o)
	p := conn.NewPublisher(session, nil)
	s.Freeze()
	if err := p.Publish(t.Context(), broker.Event{Subject: "orders", Data: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-session.Lost():
		t.Error(session.Err())
	case <-p.Failed():
	case <-time.After(20 * time.Second): // 5 pings of 3 s are not answered
	}
	s.Thaw()
	if err := p.Flush(); err != nil {
		t.Error(err)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

// An answer that comes later than the question is asked again counts.
func TestLateAnswersCount(t *testing.T) {
	t.Parallel()
	const late = 2500 * time.Millisecond
	for subject, backend := range map[string]broker.Backend{
		"$JS.API.INFO": broker.JetStream, "_STAN.discover.ticketing.pings": broker.STAN,
	} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			s := brokertest.Start(t, brokertest.Config{Plain: true})
			nc := s.Nats()
			_, err := nc.Subscribe(subject, func(m *nats.Msg) {
				time.AfterFunc(late, func() { _ = m.Respond([]byte(`{"type":"io.nats.jetstream.api.v1.account_info_response"}`)) })
			})
			if err == nil {
				err = nc.Flush()
			}
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			o, err := conn.Observe(t.Context(), link.Options{Servers: s.URL, Backend: backend, Timeout: 4 * time.Second})
			if err != nil {
				t.Fatalf("after %v: %v", time.Since(begin), err)
			}
			o.Close()
		})
	}
}

// Over a link of long delay, members of a group are found, too.
func TestMembersOverALongLink(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		publish(t, options(t, s), "orders", 1, 1)
		o := options(t, s)
		o.Servers = (&wire{delay: 100 * time.Millisecond}).start(t, s).url
		var members []*conn.Listener
		for n := range 2 {
			l := member(o, "orders")
			l.Options.ClientID = fmt.Sprint("m", n)
			members = append(members, l)
			r := run(t, l, &recorder{})
			defer r.stopCleanly()
		}
		for _, l := range members {
			brokertest.Eventually(t, "both members are found", func() bool {
				ids, err := l.Members(t.Context())
				return err == nil && len(ids) == 2
			})
		}
	})
}

// A join makes several requests in one go, each of which must have its time.
func TestJoinOverALongLink(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	publish(t, options(t, s), "orders", 1, 1)
	o := options(t, s)
	o.Servers, o.Timeout = (&wire{delay: 600 * time.Millisecond}).start(t, s).url, 4*time.Second
	l := member(o, "orders")
	l.UntilEnd = true
	r := run(t, l, &recorder{})
	if end, err := r.wait(); end != conn.EndReached || err != nil {
		t.Errorf("end %v, error %v", end, err)
	}
}
