package port_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nats-test/internal/monitor/port"
	"nats-test/internal/monitor/streaming"
)

// An https port is asked with the authority of the connection.
func TestSecuredPort(t *testing.T) {
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"server_id":"ME"}`))
	}))
	defer web.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := port.About(t.Context(), web.URL); err == nil {
		t.Error("an unknown authority was trusted")
	}
	about, err := port.About(port.WithTLS(t.Context(), port.TLS{CA: file}), web.URL+"/")
	if err != nil || about.ID != "ME" {
		t.Errorf("got %+v, %v", about, err)
	}
	if _, err := port.About(port.WithTLS(t.Context(), port.TLS{CA: "missing"}), web.URL); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("got %v", err)
	}
}

// A port may stand behind a path and a query of its own.
func TestPathOfAPort(t *testing.T) {
	var asked string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String()
		_, _ = w.Write([]byte(`{}`))
	}))
	defer web.Close()
	for base, want := range map[string]string{"": "/streaming/channelsz?subs=1", "/": "/streaming/channelsz?subs=1", "/a/?b=c": "/a/streaming/channelsz?b=c&subs=1"} {
		if _, err := streaming.GroupMembers(t.Context(), web.URL+base, []string{"x"}, "g", ""); err == nil && asked == "" {
			t.Error("nothing was asked")
		}
		if !strings.HasPrefix(asked, want[:len(want)-len("subs=1")]) || !strings.Contains(asked, "subs=1") {
			t.Errorf("%q asked for %q", base, asked)
		}
	}
}

// User, path and query of a port's URL may be secrets, and stay out of errors.
func TestSecretsOfAPort(t *testing.T) {
	deaf := httptest.NewServer(http.NotFoundHandler())
	deaf.Close()
	host := strings.TrimPrefix(deaf.URL, "http://")
	for _, base := range []string{"http://s3cret:s3cret@" + host + "/s3cret?s3cret", "http://s3cret/s3cret@" + host, "s3cret", "http://s3cret:s3cret"} {
		_, err := port.About(t.Context(), base)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", base, err)
		}
	}
	if port.IsURL("http://s3cret/s3cret@"+host) || !port.IsURL(" http://s3cret:s3cret@"+host+"/s3cret") {
		t.Error("URLs are told apart wrongly")
	}
}
