//go:build unix

package cli_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go"
	"github.com/nats-io/stan.go/pb"

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
	t.Parallel()
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
	t.Parallel()
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

// lyingMonitor is the monitoring port of a server, whose answers are changed.
func lyingMonitor(t testing.TB, server *brokertest.Server, lie func(answer []byte) []byte) string {
	t.Helper()
	port := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := http.Get(server.Monitor + r.URL.RequestURI())
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		text, _ := io.ReadAll(answer.Body)
		told := lie(text)
		if bytes.Equal(told, text) {
			w.WriteHeader(answer.StatusCode)
		}
		_, _ = w.Write(told)
	}))
	t.Cleanup(port.Close)
	return port.URL
}

// A monitoring port that lies about where a client is has it look dead. Its
// server knows better, also where a neighbour answers in the server's place.
func TestEvictOfALiveClientByALie(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	sc, err := stan.Connect("ticketing", "service", stan.NatsURL(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sc.Close() }()
	nc := server.Nats()
	monitor := lyingMonitor(t, server, func(answer []byte) []byte {
		if !bytes.Contains(answer, []byte(`"service"`)) {
			return answer
		}
		return bytes.ReplaceAll(answer, []byte(`"hb_inbox": "_INBOX.`), []byte(`"hb_inbox": "_INBOX.nobody.`))
	})
	evict(t, server, 1, "service", "--monitor", monitor).awaitSaying("is alive: it answered the server's heartbeat")
	if err := sc.Publish("orders", []byte("x")); err != nil {
		t.Errorf("the client is closed: %v", err)
	}

	yes, err := (&pb.ConnectResponse{CloseRequests: "_STAN.close.ticketing", SubRequests: "_STAN.sub.ticketing", UnsubRequests: "_STAN.unsub.ticketing"}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe("_STAN.discover.ticketing", func(m *nats.Msg) { _ = m.Respond(yes) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	evict(t, server, 1, "service", "--monitor", monitor).awaitSaying("is alive: it answered the server's heartbeat")
	if err := sc.Publish("orders", []byte("x")); err != nil {
		t.Errorf("the client is closed: %v", err)
	}
}

// A client that still exists after it was closed is reported.
func TestEvictThatDidNotHappen(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	nc, err := nats.Connect(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stan.Connect("ticketing", "service", stan.NatsConn(nc)); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	var before []byte
	monitor := lyingMonitor(t, server, func(answer []byte) []byte { // as it was
		if bytes.Contains(answer, []byte(`"service"`)) && before == nil {
			before = bytes.Clone(answer)
		}
		if before != nil {
			return before
		}
		return answer
	})
	p := evict(t, server, 1, "service", "--monitor", monitor)
	p.awaitSaying("closing client service of the cluster ticketing at " + server.URL)
	p.awaitSaying("was not closed")
}
