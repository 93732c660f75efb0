package monitor_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nats-test/internal/monitor"
)

// An https port is asked with the authority of the connection.
func TestSecuredPort(t *testing.T) {
	port := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"server_id":"ME"}`))
	}))
	defer port.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: port.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := monitor.About(t.Context(), port.URL); err == nil {
		t.Error("an unknown authority was trusted")
	}
	about, err := monitor.About(monitor.WithTLS(t.Context(), monitor.TLS{CA: file}), port.URL+"/")
	if err != nil || about.ID != "ME" {
		t.Errorf("got %+v, %v", about, err)
	}
	if _, err := monitor.About(monitor.WithTLS(t.Context(), monitor.TLS{CA: "missing"}), port.URL); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("got %v", err)
	}
}

// User, path and query of a port's URL may be secrets, and stay out of errors.
func TestSecretsOfAPort(t *testing.T) {
	deaf := httptest.NewServer(http.NotFoundHandler())
	deaf.Close()
	host := strings.TrimPrefix(deaf.URL, "http://")
	for _, base := range []string{"http://s3cret:s3cret@" + host + "/s3cret?s3cret", "http://s3cret/s3cret@" + host, "s3cret", "http://s3cret:s3cret"} {
		_, err := monitor.About(t.Context(), base)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", base, err)
		}
	}
	if monitor.IsURL("http://s3cret/s3cret@"+host) || !monitor.IsURL(" http://s3cret:s3cret@"+host+"/s3cret") {
		t.Error("URLs are told apart wrongly")
	}
}
