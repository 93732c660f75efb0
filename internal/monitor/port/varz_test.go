package port_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"nats-test/internal/brokertest"
	"nats-test/internal/monitor/port"
)

func TestMain(m *testing.M) {
	brokertest.ServeIfChild()
	os.Exit(m.Run())
}

func TestAboutRealServers(t *testing.T) {
	streaming := brokertest.Start(t, brokertest.Config{Cluster: "other"})
	plain := brokertest.Start(t, brokertest.Config{Plain: true})
	for server, cluster := range map[*brokertest.Server]string{streaming: "other", plain: ""} {
		about, err := port.About(t.Context(), server.Monitor)
		id := server.Nats().ConnectedServerId()
		if err != nil || about.ID != id || about.Version == "" || about.Name == "" || about.Streaming != cluster {
			t.Errorf("%+v, %v; want %s and %q", about, err, id, cluster)
		}
	}
}

func TestAboutWhatIsNoServer(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"server_id":"X"}`))
	}))
	defer elsewhere.Close()
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s)) }
	}
	for name, answer := range map[string]http.HandlerFunc{
		"HTML": text("<html>"), "half": text(`{"server_id":"X`), "nothing": text(""), "array": text("[]"), "another's": text("{}"),
		"404":      http.NotFound,
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"server_id":"X"`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(answer)
			defer server.Close()
			if about, err := port.About(t.Context(), server.URL); !errors.Is(err, port.ErrForeign) {
				t.Errorf("%+v, %v", about, err)
			}
		})
	}
	nats := brokertest.Start(t, brokertest.Config{Plain: true})
	if _, err := port.About(t.Context(), "http"+nats.URL[len("nats"):]); !errors.Is(err, port.ErrForeign) {
		t.Errorf("a port for clients: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	for _, base := range []string{"http://127.0.0.1:1", "http://" + silent.Addr().String()} {
		if _, err := port.About(t.Context(), base); err == nil || errors.Is(err, port.ErrForeign) {
			t.Errorf("%s: %v", base, err)
		}
	}
}
