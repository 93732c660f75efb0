package conn_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// What a server tells of may not be reachable from here: the address that was
// given comes first, after a loss, too.
func TestGivenServerIsTriedFirst(t *testing.T) {
	t.Parallel()
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		told, tries := hole(t)
		o := options(t, s)
		w := (&wire{tells: told}).start(t, s)
		o.Servers = w.url
		joined, again := make(chan bool, 100), make(chan string, 100)
		l := member(o, "orders")
		l.Joined = func(_ []broker.Place, again bool) { joined <- again }
		r := run(t, l, &recorder{})
		<-joined
		o.Notify = func(line string) {
			if strings.HasPrefix(line, "connected again") {
				again <- line
			}
		}
		session := dial(t, o)
		if others := session.Others(); !strings.Contains(others, told) {
			t.Fatalf("the server tells of %q", others)
		}
		p := conn.NewPublisher(session, nil)
		for n := 1; n <= 3; n++ {
			if err := p.Publish(t.Context(), broker.Event{Subject: "orders", Data: fmt.Append(nil, n)}); err != nil {
				t.Fatal(err)
			}
			if err := p.Flush(); err != nil {
				t.Fatal(err)
			}
			r.await(n)
			w.cut()
			<-again
			<-joined
		}
		if n := tries.Load(); n > 0 {
			t.Errorf("%d attempts at the address that the server tells of", n)
		}
		r.stopCleanly()
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Of several servers given, one that says nothing holds up no other for long.
func TestSilentServerAmongTheGiven(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	silent, _ := hole(t)
	silent2, _ := hole(t)
	servers := []string{silent, s.URL, silent2}
	for range 4 { // the order is random
		begin := time.Now()
		session := dial(t, link.Options{Servers: strings.Join(servers, ","), Timeout: 5 * time.Second})
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("connected after %v", took)
		}
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	}
}

// One that needs longer than the others are given is waited for in the end.
func TestSlowServerAmongTheGiven(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	w := (&wire{delay: 600 * time.Millisecond}).start(t, s)
	silent, _ := hole(t)
	session := dial(t, link.Options{Servers: silent + "," + w.url, Timeout: 10 * time.Second})
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

// Servers that were learned stand in for those given, in any case.
func TestLearnedServersStandIn(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	away := brokertest.Start(t, brokertest.Config{})
	away.Kill()
	silent, _ := hole(t)
	o := options(t, s)
	o.Servers, o.Learned = away.URL, []string{silent, s.URL}
	session := dial(t, o)
	if others := strings.Split(session.Others(), ","); slices.Contains(others, s.URL) {
		t.Errorf("learned again: %v", others)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

// A server without the broker is no reason to give up: another may have it.
func TestServerWithoutTheBrokerAmongTheGiven(t *testing.T) {
	t.Parallel()
	plain := brokertest.Start(t, brokertest.Config{Plain: true})
	onEach(t, brokertest.Config{}, func(t *testing.T, s *brokertest.Server) {
		for range 4 { // the order is random
			o := options(t, s)
			o.Servers = plain.URL + "," + s.URL
			session, err := conn.Dial(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := session.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
