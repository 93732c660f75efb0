package wire

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/nats-io/nats.go"

	"nats-test/internal/conn/broker"
)

// A login is the state of a connection's log-in.
type login struct {
	over    atomic.Bool
	greeted bool        // the first line was read
	silent  func() bool // stops watchSilence
}

// hear inspects what was read during the log-in, and returns the error to report. It
// remembers an -ERR that follows the greeting unencrypted: if a TLS handshake comes next,
// nats.go takes it for a part of that.
func (c *socket) hear(p []byte, err error) error {
	const most = 300
	if len(p) > 0 {
		c.login.silent()
	}
	if c.login.greeted && (errors.Is(err, io.EOF) || gone(err)) {
		err = broker.Because(broker.ErrHungUp, err)
	}
	if !c.login.greeted {
		_, p, c.login.greeted = bytes.Cut(p, []byte{'\n'})
	}
	if line, _, _ := bytes.Cut(p, []byte{'\r'}); c.login.greeted && bytes.HasPrefix(line, []byte("-ERR ")) {
		words := strings.Trim(strings.ToValidUTF8(string(line[len("-ERR "):min(len(line), most)]), ""), "'")
		c.dialer.refused.Store(&words)
	}
	return err
}

// Explain wraps an error of nats.Connect over d's connections in its reason.
func (d *Dialer) Explain(err error) error {
	if speaks := d.http.Load(); speaks != nil {
		return *speaks
	}
	if failed := d.failed.Load(); failed != nil && errors.Is(err, nats.ErrNoServers) { // which says less
		return Explain(*failed)
	}
	if words := d.refused.Load(); words != nil {
		if said := errors.New("nats: " + *words); reasonOf(said) != nil { // not its complaint about a handshake
			err = said
		}
	}
	return Explain(err)
}

// refusals maps the texts of -ERR during a log-in, in lower case, to reasons
// (nats-server, server/client.go and errors.go).
var refusals = []struct {
	words  string
	reason error
}{
	{"tls required", broker.ErrTLS},
	{"maximum connections exceeded", broker.ErrCrowded},
	{"maximum account active connections exceeded", broker.ErrCrowded},
	{"connection throttling is active", broker.ErrCrowded},
	{"maximum subscriptions exceeded", broker.ErrSubscriptions},
	{"authorization violation", broker.ErrAuth},
	{"authentication timeout", broker.ErrSlowLogIn},
	{"user authentication expired", broker.ErrExpired},
	{"account authentication expired", broker.ErrExpired},
	{"nats: authentication expired", broker.ErrExpired},
	{"authentication revoked", broker.ErrExpired},
	{"permissions violation", broker.ErrDenied},
	{"attempted to connect to", broker.ErrPort},
}

// reasonOf returns the reason for a server's text in err, nil if it has none.
func reasonOf(err error) error {
	words := strings.ToLower(err.Error())
	for _, r := range refusals {
		if strings.Contains(words, r.words) {
			return r.reason
		}
	}
	return nil
}

// errNoWebSocket: the server answered a WebSocket handshake with its greeting.
var errNoWebSocket = errors.New("it is a NATS server's, but not the one for WebSockets")

// gone reports whether the other side has closed the connection.
func gone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// Explain wraps an error of nats.Connect in its reason.
func Explain(err error) error {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		verify    *tls.CertificateVerificationError
		network   *net.OpError
		dns       *net.DNSError
		timeout   interface{ Timeout() bool }
	)
	switch {
	case errors.Is(err, broker.ErrGarbled): // first, as it quotes the server
		return err
	case errors.Is(err, broker.ErrUntrusted):
		return broker.Because(broker.ErrAuth, err)
	case strings.Contains(err.Error(), "failed to parse root certificate"):
		_, file, _ := strings.Cut(err.Error(), "root certificate from ") // quoted
		return broker.Because(broker.ErrCAFile, errors.New("no certificate in PEM form is in "+file))
	case strings.Contains(err.Error(), "error loading or parsing rootCA"):
		return broker.Because(broker.ErrCAFile, err)
	case strings.Contains(err.Error(), "failed to find any PEM"):
		return broker.Because(broker.ErrCertFile, errors.New("the client certificate or its key is not in PEM form"))
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid),
		errors.As(err, &record), errors.As(err, &alert), errors.As(err, &verify),
		errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted),
		strings.Contains(err.Error(), "tls: "), strings.Contains(err.Error(), "tls error"):
		return broker.Because(broker.ErrTLS, err)
	case reasonOf(err) != nil:
		return broker.Because(reasonOf(err), err)
	case errors.Is(err, nats.ErrTimeout), errors.As(err, &timeout) && timeout.Timeout():
		return broker.Because(broker.ErrHung, err)
	case errors.Is(err, broker.ErrHungUp):
		return err
	case strings.Contains(err.Error(), "malformed HTTP ") && strings.Contains(err.Error(), "server_id"): // a greeting in place of an HTTP response
		return broker.Because(broker.ErrPort, errNoWebSocket)
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return broker.Because(broker.ErrAuth, err)
	case errors.Is(err, nats.ErrNoServers), errors.As(err, &network), errors.As(err, &dns),
		errors.Is(err, nats.ErrNoInfoReceived), errors.Is(err, io.EOF), errors.Is(err, errGreeting): // not a NATS server
		return broker.Because(broker.ErrNoServer, err)
	}
	return broker.Because(broker.ErrRefused, err)
}
