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

// A login is how far a connection has come.
type login struct {
	over    atomic.Bool
	greeted bool        // the first line has ended
	silent  func() bool // stops the watch over a server that says nothing
}

// hear takes what was read during the log-in, and returns the error of the
// reading. It notes an -ERR that follows the greeting in clear: where a TLS
// handshake is next, nats.go takes it for a part of that.
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

// Explain finds the reason behind an error of nats.Connect over d's connections.
func (d *Dialer) Explain(err error) error {
	if speaks := d.http.Load(); speaks != nil {
		return *speaks
	}
	if words := d.refused.Load(); words != nil {
		if said := errors.New("nats: " + *words); reasonOf(said) != nil { // not what it says to a handshake
			err = said
		}
	}
	return Explain(err)
}

// refusals are the words (-ERR) with which a server turns a client away, in
// small letters, and what they mean (nats-server, server/client.go and errors.go).
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

// reasonOf returns the reason that a server's words in err give, nil for none.
func reasonOf(err error) error {
	words := strings.ToLower(err.Error())
	for _, r := range refusals {
		if strings.Contains(words, r.words) {
			return r.reason
		}
	}
	return nil
}

// ErrUntrusted: the log-in would show a secret to a server that the user did not
// name.
var ErrUntrusted = errors.New("the password or token is not sent to a server that was not named")

// errNoWebSocket: the answer to the beginning of a WebSocket is a greeting.
var errNoWebSocket = errors.New("it is a NATS server's, but not the one for WebSockets")

// gone reports that the other side has closed the connection.
func gone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// Explain finds the reason behind an error of nats.Connect.
func Explain(err error) error {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		verify    *tls.CertificateVerificationError
		network   *net.OpError
		timeout   interface{ Timeout() bool }
	)
	switch {
	case errors.Is(err, broker.ErrGarbled): // first: it quotes what the server says
		return err
	case errors.Is(err, ErrUntrusted):
		return broker.Because(broker.ErrAuth, err)
	case strings.Contains(err.Error(), "failed to find any PEM"), strings.Contains(err.Error(), "failed to parse root certificate"),
		strings.Contains(err.Error(), "error loading or parsing rootCA"):
		return broker.Because(broker.ErrFile, err)
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
	case strings.Contains(err.Error(), "malformed HTTP ") && strings.Contains(err.Error(), "server_id"): // of a greeting
		return broker.Because(broker.ErrPort, errNoWebSocket)
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return broker.Because(broker.ErrAuth, err)
	case errors.Is(err, nats.ErrNoServers), errors.As(err, &network),
		errors.Is(err, nats.ErrNoInfoReceived), errors.Is(err, io.EOF), errors.Is(err, errGreeting): // none of NATS
		return broker.Because(broker.ErrNoServer, err)
	}
	return broker.Because(broker.ErrRefused, err)
}
