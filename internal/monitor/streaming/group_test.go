package streaming_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/stan.go"

	"nats-test/internal/brokertest"
	"nats-test/internal/monitor/streaming"
)

func TestMain(m *testing.M) {
	brokertest.ServeIfChild()
	os.Exit(m.Run())
}

func TestClustersOfRealServers(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{Cluster: "other"})
	plain := brokertest.Start(t, brokertest.Config{Plain: true})
	for url, want := range map[string][]string{server.Monitor: {"other"}, plain.Monitor: nil} {
		if got, err := streaming.Clusters(t.Context(), url); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
}

func TestDurablePositionOfARealServer(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{})
	sc, err := stan.Connect("ticketing", "me", stan.NatsURL(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sc.Close() }()
	for range 3 {
		if err := sc.Publish("orders", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan struct{}, 6)
	for _, group := range []string{"workers", ""} {
		_, err := sc.QueueSubscribe("orders", group, func(*stan.Msg) { got <- struct{}{} },
			stan.DurableName("d"), stan.DeliverAllAvailable())
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 6 {
		<-got
	}
	for _, q := range []struct {
		group, durable, client string
		last                   uint64
		found                  bool
	}{
		{"workers", "d", "me", 3, true},
		{"", "d", "me", 3, true},
		{"", "d", "you", 0, false},
		{"others", "d", "me", 0, false},
	} {
		last, found, err := streaming.DurablePosition(t.Context(), server.Monitor, "orders", q.group, q.durable, q.client)
		if last != q.last || found != q.found || err != nil {
			t.Errorf("%+v: #%d, %v, %v", q, last, found, err)
		}
	}
	if _, _, err := streaming.DurablePosition(t.Context(), server.Monitor, "no such/channel?", "g", "d", ""); err == nil {
		t.Error("an unknown channel has no position")
	}
}

// Whatever answers on the monitoring port: an error, in bounded time.
func TestHostileAnswers(t *testing.T) {
	asked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer elsewhere.Close()
	release := make(chan struct{})
	for name, answer := range map[string]http.HandlerFunc{
		"HTML":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"half":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"cluster_id":"tick`)) },
		"array": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[]`)) },
		"404":   http.NotFound,
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		},
		"silence": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		},
		"endless": func(w http.ResponseWriter, r *http.Request) {
			junk := bytes.Repeat([]byte(" "), 1<<20)
			for r.Context().Err() == nil {
				if _, err := w.Write(junk); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(answer)
			defer server.Close()
			begin := time.Now()
			if got, err := streaming.Clusters(t.Context(), server.URL); err == nil {
				t.Errorf("found %v", got)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	close(release)
	if asked {
		t.Error("a redirect was followed")
	}
	if _, err := streaming.Clusters(t.Context(), "http://127.0.0.1:1"); err == nil {
		t.Error("nobody answers there")
	}
	if _, err := streaming.Clusters(t.Context(), "::"); err == nil {
		t.Error("no URL")
	}
}
