//go:build unix

package worker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/worker"
	"nats-test/internal/worker/process"
)

// A member is a worker, and its listener, in a goroutine.
type member struct {
	*worker.Worker
	*site
	dir  string // of the handlers, who note there when they run
	stop context.CancelFunc
	done chan struct{}
	end  conn.End
	err  error

	mu      sync.Mutex
	results []worker.Result
	warned  []string
}

// A plan is what a member is made of. Its fields may be changed before it starts.
type plan struct {
	worker.Config
	process  process.Config
	listener *conn.Listener
	dir      string
	loop     string // the shell program of a long-lived handler, in place of process.Argv
	depth    int    // of the long-lived handler
}

// plan has a shell command handle the events of a subject. Each run is noted first, in
// the file runs of the folder $DIR: sequence, attempt, deliveries.
func (s *site) plan(subject, command string) *plan {
	return &plan{
		Config: worker.Config{
			Workers: 1, Retries: 2, Backoff: worker.Backoff{Min: 10 * time.Millisecond, Max: 20 * time.Millisecond}, Grace: 20 * time.Second,
			Check:   func(m *broker.Message) ([]byte, error) { return m.Data, nil },
			Letters: s.letters(s.Options),
		},
		process:  process.Config{Argv: []string{"/bin/sh", "-c", `echo "$SEQUENCE $ATTEMPT $DELIVERIES" >>"$DIR/runs"; ` + command}},
		listener: s.listener(subject), dir: s.TempDir(),
	}
}

// letters stores dead letters by a session of its own.
func (s *site) letters(o link.Options) *worker.Letters {
	return &worker.Letters{
		Dial:    func(ctx context.Context) (*conn.Conn, error) { return conn.Dial(ctx, o) },
		Subject: worker.DeadSubject, Group: "crew",
	}
}

// start starts a member, and returns when it has joined, or ended.
func (s *site) start(p *plan) *member {
	s.Helper()
	m := &member{site: s, dir: p.dir, done: make(chan struct{})}
	p.Event = func(t *conn.Task, data []byte, attempt int) process.Event {
		return process.Event{Number: t.Sequence, Data: data, Record: fmt.Appendf(nil, "%d %d %s\n", t.Sequence, attempt, data), Env: []string{
			"DIR=" + p.dir, fmt.Sprintf("SEQUENCE=%d", t.Sequence), fmt.Sprintf("ATTEMPT=%d", attempt),
			fmt.Sprintf("DELIVERIES=%d", t.Deliveries), "ID=" + worker.EventID(t),
		}}
	}
	p.Report = func(r worker.Result) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.results = append(m.results, r)
	}
	p.Warn = func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		s.Log(line)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.warned = append(m.warned, line)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop, p.Stop = cancel, func(error) { cancel() }
	m.Worker = worker.New(p.Config)
	p.process.Workers, p.process.Warn = p.Workers, p.Warn
	p.listener.Reached = func(broker.Backend, broker.Traits, bool) {
		if p.loop == "" {
			m.Start(process.NewCommand(p.process))
			return
		}
		p.process.Argv, p.process.Depth = []string{"/bin/sh", "-c", "DIR='" + p.dir + "'; " + p.loop}, p.depth
		m.Start(process.NewLoop(p.process))
	}
	joined := make(chan struct{}, 64)
	p.listener.Joined = func([]broker.Place, bool) { joined <- struct{}{} }
	go func() {
		defer close(m.done)
		m.end, m.err = p.listener.RunTasks(ctx, m)
	}()
	s.Cleanup(func() {
		cancel()
		<-m.done
	})
	select {
	case <-joined:
	case <-m.done:
	}
	return m
}

// ended waits for a member's end, and returns why it ended by itself.
func (m *member) ended(want conn.End) error {
	m.Helper()
	select {
	case <-m.done:
	case <-time.After(60 * time.Second):
		m.Fatalf("it does not end: %v", m.outcomes())
	}
	if m.end != want || m.err != nil {
		m.Fatalf("end %v, error %v; %v", m.end, m.err, m.outcomes())
	}
	return m.Err()
}

// finished waits for a member that comes to the end by itself.
func (m *member) finished() {
	m.Helper()
	if err := m.ended(conn.EndReached); err != nil {
		m.Fatal(err)
	}
}

// outcomes are those of all runs, in their order: "sequence/attempt outcome".
func (m *member) outcomes() (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.results {
		all = append(all, fmt.Sprintf("%d/%d %s", r.Sequence, r.Attempt, r.Outcome))
	}
	return all
}

// last is the last result.
func (m *member) last() worker.Result {
	m.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.results) == 0 {
		m.Fatal("no results")
	}
	return m.results[len(m.results)-1]
}

// warnings are the messages, a line each.
func (m *member) warnings() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.warned, "\n")
}

// await waits for so many outcomes.
func (m *member) await(n int) {
	m.Helper()
	brokertest.Eventually(m, fmt.Sprintf("%d runs ended", n), func() bool { return len(m.outcomes()) >= n })
}

// lines are those of a file that handlers wrote.
func (m *member) lines(file string) []string {
	text, err := os.ReadFile(filepath.Join(m.dir, file))
	if err != nil && !os.IsNotExist(err) {
		m.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")[:strings.Count(string(text), "\n")]
}

// touch makes a file that handlers wait for.
func (m *member) touch(file string) {
	m.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, file), nil, 0o600); err != nil {
		m.Fatal(err)
	}
}
