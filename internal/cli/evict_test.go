//go:build unix

package cli_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go"

	"nats-test/internal/brokertest"
)

func evict(t testing.TB, server *brokertest.Server, code int, args ...string) *process {
	t.Helper()
	p := runProcess(t, server.URL, append([]string{"listen", "evict"}, args...)...)
	p.endsWith(code, 30*time.Second)
	return p
}

// A client whose connection broke is back in a moment: it is not closed.
func TestEvictOfAClientThatConnectsAgain(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{})
	network := server.Network()
	nc, err := nats.Connect(network.URL, nats.ReconnectWait(2*time.Second), nats.ReconnectJitter(0, 0), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sc, err := stan.Connect("ticketing", "service", stan.NatsConn(nc))
	if err != nil {
		t.Fatal(err)
	}
	network.Cut()
	brokertest.Eventually(t, "the connection is lost", func() bool { return !nc.IsConnected() })
	evict(t, server, 1, "service", "--monitor", server.Monitor).awaitSaying("is alive: it answered its heartbeat")
	if err := sc.Publish("orders", []byte("x")); err != nil {
		t.Error(err)
	}
}

// The monitoring port of another server, whose cluster has the same ID, says
// nothing of the clients here.
func TestEvictByAnotherServersMonitor(t *testing.T) {
	here, there := brokertest.Start(t, brokertest.Config{}), brokertest.Start(t, brokertest.Config{})
	for _, server := range []*brokertest.Server{here, there} {
		sc, err := stan.Connect("ticketing", "service", stan.NatsURL(server.URL))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sc.Close() }()
	}
	evict(t, here, 3, "service", "--monitor", there.Monitor).awaitSaying("belongs to another server than " + here.URL)
	store(t, here, 1)
	runProcess(t, here.URL, "listen", subject, "-g", "g", "-c", "1").endsWith(0, 30*time.Second)
	forget(t, here, 3, subject, "-g", "g", "-y", "--monitor", there.Monitor).awaitSaying("belongs to another server")
	if j := statusOf(t, here); j.Channels[0].Subscriptions[0].Group != "g" || len(j.Judgements) != 0 {
		t.Errorf("%+v", j)
	}
}
