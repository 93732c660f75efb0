package conn_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/monitor/streaming"
)

// A pool is a handler that keeps its tasks until a test finishes them.
type pool struct {
	mu       sync.Mutex
	tasks    []*conn.Task // in the order of coming
	open     int
	most     int                       // that were open at a time
	acked    []string                  // data
	finishes int                       // calls of Finish
	late     int                       // calls of Begin behind one
	begin    func(t *conn.Task) error  // may be nil
	finish   func(ctx context.Context) // may be nil
}

func (p *pool) Begin(t *conn.Task) error {
	p.mu.Lock()
	p.tasks = append(p.tasks, t)
	p.open++
	p.most = max(p.most, p.open)
	p.late += p.finishes
	p.mu.Unlock()
	if p.begin != nil {
		return p.begin(t)
	}
	return nil
}

func (p *pool) Finish(ctx context.Context) {
	p.mu.Lock()
	p.finishes++
	p.mu.Unlock()
	if p.finish != nil {
		p.finish(ctx)
	}
}

func (p *pool) Blocked() time.Duration { return 0 }

func (p *pool) Work(string) *broker.Work { return nil }

// ack acks a task. It counts as closed before, so that most is no more than what
// the listener lets be open.
func (p *pool) ack(t *conn.Task) {
	p.mu.Lock()
	p.open--
	p.acked = append(p.acked, string(t.Data))
	p.mu.Unlock()
	t.Ack()
}

// came are the tasks so far.
func (p *pool) came() []*conn.Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*conn.Task(nil), p.tasks...)
}

// runs is the data of the tasks so far.
func (p *pool) runs() (all []string) {
	for _, t := range p.came() {
		all = append(all, string(t.Data))
	}
	return all
}

// await returns the first n tasks.
func (p *pool) await(t testing.TB, n int) []*conn.Task {
	t.Helper()
	brokertest.Eventually(t, fmt.Sprintf("%d tasks came", n), func() bool { return len(p.came()) >= n })
	return p.came()[:n]
}

// working is a listener with tasks, in a goroutine.
type working struct {
	*pool
	t    testing.TB
	stop context.CancelFunc
	done chan struct{}
	end  conn.End
	err  error
}

func work(t testing.TB, l *conn.Listener, p *pool) *working {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := &working{pool: p, t: t, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.end, w.err = l.RunTasks(ctx, p)
	}()
	t.Cleanup(func() {
		stop()
		<-w.done
	})
	return w
}

// ends waits for an end without an error, after one call of Finish.
func (w *working) ends(want conn.End) {
	w.t.Helper()
	select {
	case <-w.done:
	case <-time.After(60 * time.Second):
		w.t.Fatalf("the listener does not end after %d tasks", len(w.came()))
	}
	if w.end != want || w.err != nil {
		w.t.Fatalf("end %v, error %v", w.end, w.err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finishes != 1 || w.late != 0 {
		w.t.Errorf("Finish was called %d times, Begin after it %d times", w.finishes, w.late)
	}
}

// left is what the group has still to handle: the data of events that come to
// another member, up to the end.
func left(t *testing.T, o link.Options, s *brokertest.Server) []string {
	t.Helper()
	r := run(t, untilEnd(member(o, "orders"), s), &recorder{})
	if end, err := r.wait(); end != conn.EndReached || err != nil {
		t.Fatal(end, err)
	}
	return r.seen()
}

// restOf is what the broker has left of the group of l, from outside.
func restOf(t *testing.T, l *conn.Listener, s *brokertest.Server) broker.Rest {
	t.Helper()
	subject := l.Subjects[0]
	if l.Options.Backend == broker.JetStream {
		info := consumerInfo(t, s.JetStream(), "workers_"+subject)
		return broker.Rest{Waiting: info.NumPending, Unacked: uint64(info.NumAckPending)}
	}
	rest, err := streaming.RestOf(t.Context(), s.Monitor, subject, "workers", "workers", l.Options.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	return broker.Rest{Waiting: rest.Waiting, Unacked: rest.Unacked}
}

// onEachAs is onEach with options that name the backend.
func onEachAs(t *testing.T, config brokertest.Config, test func(t *testing.T, s *brokertest.Server, o link.Options)) {
	onEach(t, config, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		session := dial(t, o)
		o.Backend = session.Backend()
		_ = session.Close()
		test(t, s, o)
	})
}
