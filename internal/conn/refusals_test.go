package conn_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// What a server says before it closes is the reason, also where a handshake of
// TLS comes between, and where it closes without a word.
func TestReasonOfAClosedConnection(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "good")
	cert, key := a.issue("server", time.Now().Add(time.Hour))
	block := fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q", cert, key, a.file)
	trusted := link.TLS{CA: a.file}
	full := brokertest.Start(t, brokertest.Config{Plain: true, TLS: true, Extra: "max_connections: -1\n" + block + " }"})
	secret := brokertest.Start(t, brokertest.Config{Plain: true, TLS: true, Extra: "authorization { user: ada, password: s3cret }\n" + block + " }"})
	mutual := brokertest.Start(t, brokertest.Config{Plain: true, TLS: true, Extra: block + ", verify: true }"})
	const info = `INFO {"server_id":"ID","version":"2.15.2","max_payload":1000}` + "\r\n"
	closes := func(words string) string {
		return impostor(t, func(c net.Conn, _ <-chan struct{}) { _, _ = c.Write([]byte(info + words)) })
	}
	for name, test := range map[string]struct {
		o     link.Options
		want  error
		words string
	}{
		"full, TLS":           {link.Options{Servers: full.URL, TLS: trusted}, broker.ErrCrowded, "maximum connections exceeded"},
		"password, TLS":       {link.Options{Servers: secret.URL, TLS: trusted, Auth: as("bob")}, broker.ErrAuth, "Authorization Violation"},
		"certificate missing": {link.Options{Servers: mutual.URL, TLS: trusted}, broker.ErrTLS, ""},
		"no TLS to a server that wants it": {
			link.Options{Servers: "nats" + strings.TrimPrefix(mutual.URL, "tls")}, broker.ErrTLS, ""},
		"timeout":          {link.Options{Servers: closes("-ERR 'Authentication Timeout'\r\n")}, broker.ErrSlowLogIn, "Authentication Timeout"},
		"expired":          {link.Options{Servers: closes("-ERR 'User Authentication Expired'\r\n")}, broker.ErrExpired, "User Authentication Expired"},
		"account, expired": {link.Options{Servers: closes("-ERR 'Account Authentication Expired'\r\n")}, broker.ErrExpired, "Account"},
		"revoked":          {link.Options{Servers: closes("-ERR 'User Authentication Revoked'\r\n")}, broker.ErrExpired, "Revoked"},
		"throttled":        {link.Options{Servers: closes("-ERR 'Connection throttling is active. Please try again later.'\r\n")}, broker.ErrCrowded, "throttling"},
		"other words":      {link.Options{Servers: closes("-ERR 'no such luck'\r\n")}, broker.ErrRefused, "no such luck"},
		"no word":          {link.Options{Servers: closes("")}, broker.ErrHungUp, ""},
		"half a word":      {link.Options{Servers: closes("-ERR 'no su")}, broker.ErrHungUp, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for range 50 {
				test.o.Timeout = long
				err := refused(t, test.o)
				if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.words) || errors.Is(err, broker.ErrNoServer) {
					t.Fatalf("%v, want %v with %q", err, test.want, test.words)
				}
			}
		})
	}
}
