//go:build unix

package worker_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/monitor/streaming"
	"nats-test/internal/worker"
)

func TestMain(m *testing.M) {
	brokertest.ServeIfChild()
	// They wait for servers and processes more than they work.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	worker.ShortPauses()
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A site is one broker, on which a test runs.
type site struct {
	*testing.T
	server *brokertest.Server
	link.Options
	broker.Traits
}

// onEach runs a test on both brokers, each with a server of its own.
func onEach(t *testing.T, test func(s *site)) {
	for _, b := range []broker.Backend{broker.STAN, broker.JetStream} {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			brokertest.NoLeaks(t)
			var config brokertest.Config
			if b == broker.JetStream {
				config.Plain, config.JetStream = true, true
			}
			s := &site{T: t, server: brokertest.Start(t, config)}
			s.Options = link.Options{Servers: s.server.URL, Backend: b, CreateStream: true, Notify: func(line string) { t.Log(line) }}
			session := s.dial()
			s.Traits = session.Traits()
			_ = session.Close()
			test(s)
		})
	}
}

func (s *site) dial() *conn.Conn {
	s.Helper()
	session, err := conn.Dial(context.Background(), s.Options)
	if err != nil {
		s.Fatal(err)
	}
	return session
}

// publish stores an event for each data.
func (s *site) publish(subject string, data ...string) {
	s.Helper()
	events := make([]broker.Event, len(data))
	for i := range data {
		events[i] = broker.Event{Subject: subject, Data: []byte(data[i])}
	}
	s.put(events...)
}

func (s *site) put(events ...broker.Event) {
	s.Helper()
	session := s.dial()
	p := conn.NewPublisher(session, nil)
	for _, e := range events {
		if err := p.Publish(context.Background(), e); err != nil {
			s.Fatal(err)
		}
	}
	if err := p.Flush(); err != nil {
		s.Fatal(err)
	}
	if err := session.Close(); err != nil {
		s.Fatal(err)
	}
}

// listener is one of the durable group "crew", which ends with what is there.
func (s *site) listener(subject string) *conn.Listener {
	return &conn.Listener{
		Options:      s.Options,
		Subjects:     []string{subject},
		Subscription: broker.Subscription{Group: "crew", Durable: "crew", AckWait: 30 * time.Second, MaxInFlight: 1},
		UntilEnd:     true,
		Rest: func(ctx context.Context, sub broker.Subscription, client string) (broker.Rest, error) {
			r, err := streaming.RestOf(ctx, s.server.Monitor, sub.Subject, sub.Group, sub.Durable, client)
			return broker.Rest{Waiting: r.Waiting, Next: r.Next, Unacked: r.Unacked, Here: r.Own, Sent: r.Sent}, err
		},
	}
}

// left is what the group has left of a subject: data, how often it was delivered.
func (s *site) left(subject string) (left []string) {
	s.Helper()
	return s.read(s.listener(subject))
}

// read returns the data of what comes to a listener until its end.
func (s *site) read(l *conn.Listener) (data []string) {
	s.Helper()
	for _, m := range s.messages(l) {
		data = append(data, string(m.Data))
	}
	return data
}

// A stored event is as a listener got it.
type stored struct {
	broker.Message
	broker.Details
}

type reader struct{ got []stored }

func (r *reader) Handle(m *broker.Message) error {
	r.got = append(r.got, stored{*m, m.Acker.Details()})
	return nil
}
func (*reader) Flush() error           { return nil }
func (*reader) Blocked() time.Duration { return 0 }

func (s *site) messages(l *conn.Listener) []stored {
	s.Helper()
	l.Subscription.MaxInFlight = 64
	r := &reader{}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if end, err := l.Run(ctx, r); end != conn.EndReached || err != nil {
		s.Fatal(end, err)
	}
	return r.got
}

// dead are the dead letters of a subject.
func (s *site) dead(subject string) []stored {
	s.Helper()
	l := s.listener(worker.DeadSubject(subject))
	l.Subscription.Group, l.Subscription.Durable = "", ""
	return s.messages(l)
}

// wantLeft checks what the group has left.
func (s *site) wantLeft(subject string, want ...string) {
	s.Helper()
	if got := s.left(subject); strings.Join(got, ",") != strings.Join(want, ",") {
		s.Errorf("left of %s: %q, want %q", subject, got, want)
	}
}

// numbers are those up to n, as text.
func numbers(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = strconv.Itoa(i + 1)
	}
	return all
}
