package conn_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/monitor/streaming"
)

func TestMain(m *testing.M) {
	brokertest.ServeIfChild()
	// They wait for servers and time-outs more than they work.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A backend is one kind of broker that keeps every promise of the suite.
type backend struct {
	name  string
	start func(t brokertest.T, c brokertest.Config) *brokertest.Server
}

var backends = []backend{
	{"stan", brokertest.Start},
	{"jetstream", func(t brokertest.T, c brokertest.Config) *brokertest.Server {
		c.Plain, c.JetStream = true, true
		return brokertest.Start(t, c)
	}},
}

// onEach runs a test on every backend, with a server of its own, on all at the
// same time, and checks that no goroutine is left behind.
func onEach(t *testing.T, config brokertest.Config, test func(t *testing.T, s *brokertest.Server)) {
	brokertest.NoLeaks(t)
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			test(t, b.start(t, config))
		})
	}
}

func options(t testing.TB, s *brokertest.Server) link.Options {
	return link.Options{Servers: s.URL, CreateStream: true, Notify: func(line string) { t.Log(line) }}
}

func dial(t testing.TB, o link.Options) *conn.Conn {
	t.Helper()
	session, err := conn.Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// publish stores events "1" to "n" on subject.
func publish(t testing.TB, o link.Options, subject string, from, to int) {
	t.Helper()
	session := dial(t, o)
	p := conn.NewPublisher(session, nil)
	for i := from; i <= to; i++ {
		if err := p.Publish(t.Context(), broker.Event{Subject: subject, Data: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
}

// recorder is a handler that notes what came.
type recorder struct {
	mu      sync.Mutex
	events  []string // data, in the order of coming
	again   int      // deliveries beyond the first
	flushed int
	verdict func(m *broker.Message) error // may be nil
	flush   error
}

func (r *recorder) Handle(m *broker.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.Deliveries > 1 {
		r.again++
	}
	if r.verdict != nil {
		if err := r.verdict(m); err != nil {
			return err
		}
	}
	r.events = append(r.events, string(m.Data))
	return nil
}

func (r *recorder) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flushed++
	return r.flush
}

func (r *recorder) Blocked() time.Duration { return 0 }

func (r *recorder) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.events...)
}

// numbers returns "from" to "to".
func numbers(from, to int) []string {
	var s []string
	for i := from; i <= to; i++ {
		s = append(s, fmt.Sprint(i))
	}
	return s
}

// listener returns a listener on subject with sensible settings.
func listener(o link.Options, subject string) *conn.Listener {
	return &conn.Listener{
		Options:  o,
		Subjects: []string{subject},
		Subscription: broker.Subscription{
			AckWait: 30 * time.Second, MaxInFlight: 64,
		},
	}
}

// member returns a listener of the durable group "workers".
func member(o link.Options, subject string) *conn.Listener {
	l := listener(o, subject)
	l.Subscription.Group, l.Subscription.Durable = "workers", "workers"
	return l
}

// untilEnd has l listen until the end, on NATS Streaming by the word of the
// monitoring port of s.
func untilEnd(l *conn.Listener, s *brokertest.Server) *conn.Listener {
	l.UntilEnd = true
	l.Rest = func(ctx context.Context, sub broker.Subscription, client string) (broker.Rest, error) {
		r, err := streaming.RestOf(ctx, s.Monitor, sub.Subject, sub.Group, sub.Durable, client)
		return broker.Rest{Waiting: r.Waiting, Next: r.Next, Unacked: r.Unacked, Here: r.Own, Sent: r.Sent}, err
	}
	return l
}

// running is a listener in a goroutine.
type running struct {
	*recorder
	subjects []string
	t        testing.TB
	stop     context.CancelFunc
	done     chan struct{}
	end      conn.End
	err      error
}

func run(t testing.TB, l *conn.Listener, r *recorder) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	x := &running{recorder: r, subjects: l.Subjects, t: t, stop: stop, done: make(chan struct{})}
	joined := make(chan struct{}, 64)
	before := l.Joined
	l.Joined = func(places []broker.Place, again bool) {
		if before != nil {
			before(places, again)
		}
		joined <- struct{}{}
	}
	go func() {
		defer close(x.done)
		x.end, x.err = l.Run(ctx, r)
	}()
	t.Cleanup(func() {
		stop()
		<-x.done
	})
	select {
	case <-joined:
	case <-x.done:
	}
	return x
}

// wait returns how the listener ended.
func (r *running) wait() (conn.End, error) {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(60 * time.Second):
		r.t.Fatalf("the listener of %v does not end: %d events came", r.subjects, len(r.seen()))
	}
	return r.end, r.err
}

func (r *running) stopCleanly() {
	r.t.Helper()
	r.stop()
	if end, err := r.wait(); end != conn.EndStopped || err != nil {
		r.t.Fatalf("stopped: end %v, error %v", end, err)
	}
}

func (r *running) await(n int) {
	r.t.Helper()
	brokertest.Eventually(r.t, fmt.Sprintf("%d events came", n), func() bool { return len(r.seen()) >= n })
}

func sorted(events []string) []string {
	s := slices.Clone(events)
	slices.Sort(s)
	return s
}

// maxPayload is the largest data in bytes that the broker takes for an event of
// subject without an ID and headers of its own.
func maxPayload(t testing.TB, c *conn.Conn, subject string) int {
	t.Helper()
	session, ok := c.Session.(interface{ MaxPayload(subject string) int })
	if !ok {
		t.Fatalf("a session of %s does not know its largest payload", c.Backend())
	}
	return session.MaxPayload(subject)
}
