package conn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
)

// Where returns the servers of o without their secrets, for people to read.
func (o Options) Where() string {
	var servers []string
	for s := range strings.SplitSeq(o.Or(defaults).Servers, ",") {
		servers = append(servers, withoutSecrets(s))
	}
	return strings.Join(servers, ",")
}

// Hosts returns the host name of each server of o.
func (o Options) Hosts() []string {
	var hosts []string
	for s := range strings.SplitSeq(o.Or(defaults).Servers, ",") {
		if u, err := parseServer(s); err == nil {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}

func parseServer(s string) (*url.URL, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "://") {
		s = "nats://" + s
	}
	return url.Parse(s)
}

// withoutSecrets keeps the part of a URL that is safe to show.
func withoutSecrets(server string) string {
	u, err := parseServer(server)
	if err != nil {
		return "(no URL)"
	}
	return u.Scheme + "://" + u.Host
}

// checkServers looks at the URLs before the library does, whose errors show
// them with their passwords.
func (o Options) checkServers() error {
	for i, s := range strings.Split(o.Servers, ",") {
		problem := ""
		u, err := parseServer(s)
		switch {
		case err != nil:
			problem = "not a URL"
		case u.Hostname() == "":
			problem = "no host in it"
		case !strings.Contains(" nats tls ws wss ", " "+u.Scheme+" "):
			problem = "the scheme must be nats, tls, ws or wss"
		}
		if problem != "" {
			// It isn't shown: without a form, there is no telling a password.
			return fmt.Errorf("URL %d of the servers: %w", i+1, because(ErrConfig, errors.New(problem)))
		}
	}
	return nil
}

// The broker is asked for a sign of life every 3 s; 5 missing answers end the
// session after about 15 s. (stan.go's own defaults take 440 s.)
const (
	pingSeconds = 3
	pingMaxOut  = 5
)

// bears is how long a connection may be silent, or take nothing: the time-out
// where that is longer than the usual time, unless there is another server to
// go on with.
func (o Options) bears() time.Duration {
	const usual = pingMaxOut * pingSeconds * time.Second
	if strings.Contains(o.Servers, ",") || len(o.Learned) > 0 {
		return usual
	}
	return max(usual, o.Timeout/(pingSeconds*time.Second)*(pingSeconds*time.Second)+pingSeconds*time.Second)
}

// pingMaxOut is how many signs of life may be missing: a server that hangs for
// less than the time-out is waited for.
func (o Options) pingMaxOut() int {
	return max(pingMaxOut, int(o.Timeout/(pingSeconds*time.Second))+1)
}

// natsOptions translates o for nats.go, whose connections d makes.
func (o Options) natsOptions(d *dialer) ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name(o.ClientID),
		nats.Timeout(o.Timeout),
		// A dead server is noticed after about 15 s, not 6 minutes.
		nats.PingInterval(pingSeconds * time.Second),
		nats.MaxPingsOutstanding(int(o.bears() / (pingSeconds * time.Second))),
		nats.FlusherTimeout(0), // see socket.Write
		nats.SetCustomDialer(d),
		// Never buffer while disconnected: what the caller was told has
		// failed must not be sent later.
		nats.ReconnectBufSize(-1),
		nats.MaxReconnects(-1),
	}
	if o.NoReconnect {
		opts = append(opts, nats.NoReconnect())
	}
	opts = append(opts, nats.CustomInboxPrefix(o.newInbox())) // nobody learns it but who is asked
	if o.TLS.First {
		opts = append(opts, nats.TLSHandshakeFirst())
	}
	for _, file := range []string{o.TLS.CA, o.TLS.Cert, o.TLS.Key, o.Auth.Creds, o.Auth.NKey} {
		if err := readable(file); err != nil {
			return nil, because(ErrConfig, err)
		}
	}
	if o.TLS.CA != "" {
		opts = append(opts, nats.RootCAs(o.TLS.CA))
	}
	if (o.TLS.Cert == "") != (o.TLS.Key == "") {
		return nil, because(ErrConfig, errors.New("a client certificate needs its key, and a key its certificate"))
	}
	if o.TLS.Cert != "" {
		opts = append(opts, nats.ClientCert(o.TLS.Cert, o.TLS.Key))
	}
	switch a := o.Auth; a.kind() {
	case "user":
		opts = append(opts, nats.UserInfo(a.User, a.Password))
	case "token":
		opts = append(opts, nats.Token(a.Token))
	case "creds":
		opts = append(opts, nats.UserCredentials(a.Creds))
	case "nkey":
		seed, err := nats.NkeyOptionFromSeed(a.NKey)
		if err != nil {
			return nil, because(ErrConfig, fmt.Errorf("nkey seed in %q: %w", a.NKey, err))
		}
		opts = append(opts, seed)
	case "jwt":
		opts = append(opts, nats.UserJWTAndSeed(a.UserJWT, a.UserSeed))
	}
	return opts, nil
}

func readable(file string) error {
	if file == "" {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	return f.Close()
}

// newBackoff is the pace of every attempt to get a connection back: from about
// 0.2 s to about 5 s, half of it random so that many clients don't come at once.
func newBackoff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval:     200 * time.Millisecond,
		RandomizationFactor: 0.5,
		Multiplier:          1.6,
		MaxInterval:         5 * time.Second,
	}
}

// explain finds the reason behind an error of nats.Connect.
func explain(err error) error {
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
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid),
		errors.As(err, &record), errors.As(err, &alert), errors.As(err, &verify),
		errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted),
		strings.Contains(err.Error(), "tls: "), strings.Contains(err.Error(), "tls error"):
		return because(ErrTLS, err)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired),
		errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired),
		errors.Is(err, nats.ErrPermissionViolation), errors.Is(err, nats.ErrMaxAccountConnectionsExceeded):
		return because(ErrAuth, err)
	case errors.Is(err, nats.ErrTimeout), errors.As(err, &timeout) && timeout.Timeout():
		return because(ErrHung, err)
	case errors.As(err, &network) && network.Op == "write" && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)):
		return because(ErrRefused, fmt.Errorf("it closed the connection during the log-in, perhaps for too many clients: %w", err))
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return because(ErrAuth, err)
	case errors.Is(err, nats.ErrNoServers), errors.As(err, &network),
		errors.Is(err, nats.ErrNoInfoReceived), errors.Is(err, io.EOF), errors.Is(err, errGreeting): // none of NATS
		return because(ErrNoServer, err)
	case strings.Contains(err.Error(), "failed to parse root certificate"):
		return because(ErrConfig, err)
	}
	return because(ErrRefused, err)
}
