package conn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/brokertest/netsim"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// kinds are the ways in which a listener may share its events.
var kinds = map[string]func(link.Options, string) *conn.Listener{
	"alone":   listener,
	"group":   member,
	"durable": func(o link.Options, subject string) *conn.Listener { return durable(o, subject) },
}

func durable(o link.Options, subject string) *conn.Listener {
	l := listener(o, subject)
	l.Subscription.Durable = "position"
	l.Options.ClientID = "reader"
	return l
}

// onEachKind runs a test with every kind of listener on every backend.
func onEachKind(t *testing.T, config brokertest.Config, test func(t *testing.T, s *brokertest.Server, kind func(link.Options, string) *conn.Listener)) {
	onEach(t, config, func(t *testing.T, s *brokertest.Server) {
		for name, kind := range kinds {
			t.Run(name, func(t *testing.T) { test(t, s, kind) })
		}
	})
}

// subjectOf is one for each test.
func subjectOf(t *testing.T) string {
	return strings.NewReplacer("/", "-", "#", "-").Replace(t.Name())
}

// at returns a recorder that does something once, when the n-th event comes.
func at(n int, do func()) *recorder {
	r := &recorder{}
	came := 0
	r.verdict = func(*broker.Message) error {
		if came++; came == n {
			do()
		}
		return nil
	}
	return r
}

// untilEndOf stores events, and returns a listener that reads them through a network.
func untilEndOf(t *testing.T, s *brokertest.Server, kind func(link.Options, string) *conn.Listener, events int) (*conn.Listener, *netsim.Network) {
	t.Helper()
	o, subject := options(t, s), subjectOf(t)
	publish(t, o, subject, 1, events)
	network := s.Network()
	o.Servers = network.URL
	return untilEnd(kind(o, subject), s), network
}

// What a broken connection carried comes again, and the end waits for it.
func TestUntilEndSurvivesABrokenConnection(t *testing.T) {
	t.Parallel()
	const events = 2000
	onEachKind(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, kind func(link.Options, string) *conn.Listener) {
		l, network := untilEndOf(t, s, kind, events)
		l.Subscription.MaxInFlight, l.Subscription.AckWait = events, 2*time.Second
		cuts := at(300, network.Cut)
		if end, err := run(t, l, cuts).wait(); end != conn.EndReached || err != nil {
			t.Fatal(end, err)
		}
		if got := sorted(cuts.seen()); !slices.Equal(got, sorted(numbers(1, events))) {
			t.Errorf("%d events handled, want each of %d once", len(got), events)
		}
	})
}

// A connection that breaks at the last event is no failure of a listener alone: its
// position ends with its session. The acks of others may be lost, which is an error.
func TestConnectionBrokenAtTheEnd(t *testing.T) {
	t.Parallel()
	const events = 20
	onEachKind(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, kind func(link.Options, string) *conn.Listener) {
		l, network := untilEndOf(t, s, kind, events)
		seen := at(events, network.Cut)
		alone := l.Subscription.Group == "" && l.Subscription.Durable == ""
		if end, err := run(t, l, seen).wait(); end != conn.EndReached || err != nil && (alone || !errors.Is(err, broker.ErrLost)) {
			t.Error(end, err)
		}
		if n := len(seen.seen()); n != events {
			t.Errorf("%d events handled", n)
		}
	})
}

// Nobody answers for a frozen server: that is no end, and no idleness.
func TestNoEndWhileTheBrokerIsFrozen(t *testing.T) {
	t.Parallel()
	const events, silence = 50, 3 * time.Second
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		o.Timeout = time.Second
		frozen := make(chan struct{})
		running := make(map[string]*running)
		var working sync.WaitGroup
		for name, kind := range kinds {
			for _, idle := range []time.Duration{0, 200 * time.Millisecond} {
				subject := fmt.Sprint(name, idle)
				publish(t, o, subject, 1, events)
				l := untilEnd(kind(o, subject), s)
				l.UntilEnd, l.Idle = idle == 0, idle
				l.Subscription.MaxInFlight = 10
				working.Add(1)
				if l.Options.ClientID != "" {
					l.Options.ClientID += l.Idle.String()
				}
				running[subject] = run(t, l, at(20, func() {
					working.Done()
					<-frozen
				}))
			}
		}
		working.Wait()
		s.Freeze()
		close(frozen)
		over := time.After(silence)
		for subject, r := range running {
			select {
			case <-r.done:
				t.Errorf("%s: ended while the server was frozen, after %d of %d: %v %v", subject, len(r.seen()), events, r.end, r.err)
			case <-over:
				over = time.After(0)
			}
		}
		s.Thaw()
		for subject, r := range running {
			if end, err := r.wait(); end == conn.EndStopped || err != nil || len(r.seen()) != events {
				t.Errorf("%s: after %d of %d: %v %v", subject, len(r.seen()), events, end, err)
			}
		}
	})
}

// An event of the end that has been removed counts as come.
func TestUntilEndWithoutTheLastEvent(t *testing.T) {
	t.Parallel()
	config := brokertest.Config{StreamingExtra: `store_limits { max_age: "1s" }`}
	onEachKind(t, config, func(t *testing.T, s *brokertest.Server, kind func(link.Options, string) *conn.Listener) {
		o, subject := options(t, s), subjectOf(t)
		publish(t, o, subject, 1, 20)
		l := untilEnd(kind(o, subject), s)
		l.Subscription.MaxInFlight = 1
		purged := at(3, func() {
			if strings.Contains(t.Name(), "jetstream") {
				stream, err := s.JetStream().Stream(t.Context(), strings.ReplaceAll(subject, ".", "_"))
				if err == nil {
					err = stream.Purge(t.Context())
				}
				if err != nil {
					t.Error(err)
				}
				return
			}
			brokertest.Eventually(t, "the events have aged out", func() bool {
				session := dial(t, o)
				defer func() { _ = session.Close() }()
				last, err := session.Find(t.Context(), subject, 0)
				return err == nil && last.Sequence == 0
			})
		})
		if end, err := run(t, l, purged).wait(); end != conn.EndReached || err != nil {
			t.Error(end, err)
		}
		if n := len(purged.seen()); n < 3 || n == 20 {
			t.Errorf("%d events came", n)
		}
	})
}

// What others hold is waited for, and told if it does not move.
func TestUntilEndWhileOthersHoldEvents(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 10)
		release := make(chan struct{})
		holder := at(1, func() { <-release })
		l := member(o, "orders")
		l.Subscription.AckWait, l.Subscription.MaxInFlight = time.Second, 1
		holding := run(t, l, holder)
		said := &told{}
		o.Notify = said.notify
		last := untilEnd(member(o, "orders"), s)
		last.Subscription.AckWait = time.Second
		r := run(t, last, &recorder{})
		if strings.Contains(t.Name(), "stan") { // it comes to others after the ack wait
			if end, err := r.wait(); end != conn.EndReached || err != nil || len(r.seen()) != 10 {
				t.Errorf("%v %v after %v", end, err, r.seen())
			}
			close(release)
			return
		}
		if _, err := r.wait(); !errors.Is(err, broker.ErrUnfinished) || !strings.Contains(err.Error(), "others hold 1 event of orders unacked") {
			t.Errorf("while another works: %v", err)
		}
		if !strings.Contains(said.all(), "waiting for 1 event") {
			t.Errorf("said: %s", said.all())
		}
		again := run(t, untilEnd(member(o, "orders"), s), &recorder{})
		close(release)
		if end, err := again.wait(); end != conn.EndReached || err != nil {
			t.Errorf("once the other has acked: %v %v", end, err)
		}
		holding.stopCleanly()
		if n := len(r.seen()) + len(holding.seen()); n != 10 {
			t.Errorf("%d events handled", n)
		}
	})
}

// Live traffic behind the end does not keep a group from it.
func TestUntilEndBesideLiveTraffic(t *testing.T) {
	t.Parallel()
	onEachKind(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server, kind func(link.Options, string) *conn.Listener) {
		o, subject := options(t, s), subjectOf(t)
		publish(t, o, subject, 1, 100)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		session := dial(t, o)
		going := make(chan struct{})
		go func() {
			defer close(going)
			p := conn.NewPublisher(session, nil)
			for i := 101; ctx.Err() == nil; i++ {
				if p.Publish(ctx, broker.Event{Subject: subject, Data: fmt.Append(nil, i)}) != nil || p.Flush() != nil {
					return
				}
			}
		}()
		r := run(t, untilEnd(kind(o, subject), s), &recorder{})
		end, err := r.wait()
		stop()
		<-going
		if end != conn.EndReached || err != nil || len(r.seen()) < 100 {
			t.Error(end, err, len(r.seen()))
		}
	})
}

// A broker that forgot the end does not let a listener come to it.
func TestUntilEndThatTheBrokerForgot(t *testing.T) {
	t.Parallel()
	onEachKind(t, brokertest.Config{Memory: true}, func(t *testing.T, s *brokertest.Server, kind func(link.Options, string) *conn.Listener) {
		o, subject := options(t, s), subjectOf(t)
		publish(t, o, subject, 1, 50)
		l := untilEnd(kind(o, subject), s)
		l.Subscription.MaxInFlight = 2
		again := make(chan struct{})
		r := run(t, l, at(10, func() {
			s.Restart()
			close(again)
		}))
		<-again
		publish(t, o, subject, 51, 120) // past the sequence of the old end
		if _, err := r.wait(); !errors.Is(err, broker.ErrUnfinished) || !strings.Contains(err.Error(), subject+" began anew") {
			t.Errorf("%v after %d events", err, len(r.seen()))
		}
	})
}

// A reader of stdout that stops reading holds up neither the group nor a stop.
func TestBlockedHandlerGivesBackAndCanBeStopped(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		o := options(t, s)
		publish(t, o, "orders", 1, 20)
		reads := make(chan struct{})
		stuck := &blocking{until: reads}
		l := member(o, "orders")
		l.Subscription.AckWait = 2 * time.Second
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := l.Run(ctx, stuck)
			ended <- err
		}()
		brokertest.Eventually(t, "the handler is blocked", func() bool { return stuck.Blocked() > 0 })
		other := member(o, "orders")
		other.Subscription.AckWait = 2 * time.Second
		r := run(t, other, &recorder{})
		r.await(20)
		stop()
		select {
		case err := <-ended:
			if !errors.Is(err, broker.ErrBlocked) {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("it does not stop")
		}
		close(reads)
		r.stopCleanly()
	})
}
