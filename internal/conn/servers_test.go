package conn_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
)

// advertised starts a server that tells of addresses that can't be reached, and
// returns a wire to it, the one way there is.
func advertised(t *testing.T, start func(brokertest.T, brokertest.Config) *brokertest.Server) *wire {
	t.Helper()
	s := start(t, brokertest.Config{Extra: fmt.Sprintf("client_advertise: %q", hole(t))})
	return (&wire{}).start(t, s)
}

// mostAway is more than it takes to connect again where the way is there, and
// less than the time-out.
const mostAway = 2 * time.Second

func TestGivenServerIsTriedFirst(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			w := advertised(t, b.start)
			o := conn.Options{Servers: w.url, CreateStream: true, Timeout: 5 * time.Second}
			joined := make(chan bool, 100)
			l := member(o, "orders")
			l.Joined = func(_ []conn.Place, again bool) { joined <- again }
			r := run(t, l, &recorder{})
			<-joined
			again := make(chan string, 100)
			o.Notify = func(line string) {
				if strings.HasPrefix(line, "connected again") {
					again <- line
				}
			}
			session := dial(t, o)
			p := conn.NewPublisher(session, nil)
			for n := 1; n <= 3; n++ {
				if err := p.Publish(t.Context(), conn.Event{Subject: "orders", Data: fmt.Append(nil, n)}); err != nil {
					t.Fatal(err)
				}
				if err := p.Flush(); err != nil {
					t.Fatal(err)
				}
				r.await(n)
				w.cut()
				select {
				case <-again:
				case <-time.After(mostAway):
					t.Fatalf("loss %d: not connected again within %v", n, mostAway)
				}
				select {
				case <-joined:
				case <-time.After(mostAway):
					t.Fatalf("loss %d: not joined again within %v", n, mostAway)
				}
			}
			r.stopCleanly()
			if err := session.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Of several servers given, one that says nothing holds up no other for long.
func TestSilentServerAmongTheGiven(t *testing.T) {
	s := brokertest.Start(t, brokertest.Config{})
	servers := []string{hole(t), s.URL, hole(t)}
	for range 4 { // the order is random
		begin := time.Now()
		session := dial(t, conn.Options{Servers: strings.Join(servers, ","), Timeout: 5 * time.Second})
		if took := time.Since(begin); took > 2*time.Second+mostAway {
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
	session := dial(t, conn.Options{Servers: hole(t) + "," + w.url, Timeout: 10 * time.Second})
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

// Servers that were learned stand in for those given, in any case.
func TestLearnedServersStandIn(t *testing.T) {
	s := brokertest.Start(t, brokertest.Config{})
	away := brokertest.Start(t, brokertest.Config{})
	away.Kill()
	o := options(t, s)
	o.Servers, o.Learned = away.URL, []string{hole(t), s.URL}
	session := dial(t, o)
	if others := strings.Split(session.Others(), ","); slices.Contains(others, s.URL) {
		t.Errorf("learned again: %v", others)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}
