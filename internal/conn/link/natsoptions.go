package link

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link/wire"
)

// The broker is pinged every 3 s; after 5 missing answers, about 15 s, the session ends.
// (With stan.go's defaults, that takes 440 s.)
const (
	PingSeconds = 3
	pingMaxOut  = 5
)

// bears returns how long a connection may be silent, or a write may block: the usual 15 s,
// or the time-out if that is longer and there is no other server to connect to.
func (o Options) bears() time.Duration {
	const usual = pingMaxOut * PingSeconds * time.Second
	if strings.Contains(o.Servers, ",") || len(o.Learned) > 0 {
		return usual
	}
	return max(usual, o.Timeout/(PingSeconds*time.Second)*(PingSeconds*time.Second)+PingSeconds*time.Second)
}

// PingMaxOut is how many pings may be unanswered. A server that hangs for less than the
// time-out does not end the session.
func (o Options) PingMaxOut() int {
	return max(pingMaxOut, int(o.Timeout/(PingSeconds*time.Second))+1)
}

// NATSOptions translates o for nats.go, whose connections d makes.
func (o Options) NATSOptions(d *wire.Dialer) ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name(o.ClientID),
		nats.Timeout(o.Timeout),
		// A dead server is noticed after about 15 s, not 6 minutes.
		nats.PingInterval(PingSeconds * time.Second),
		nats.MaxPingsOutstanding(int(o.bears() / (PingSeconds * time.Second))),
		nats.FlusherTimeout(0), // see socket.Write
		nats.SetCustomDialer(d),
		nats.SkipHostLookup(), // the dialer does it
		// Never buffer while disconnected: events that were reported as failed
		// must not be sent later.
		nats.ReconnectBufSize(-1),
		nats.MaxReconnects(-1),
	}
	if o.NoReconnect {
		opts = append(opts, nats.NoReconnect())
	}
	opts = append(opts, nats.CustomInboxPrefix(o.NewInbox())) // known only to the servers that are asked
	if o.TLS.First {
		opts = append(opts, nats.TLSHandshakeFirst())
	}
	if err := o.checkFiles(); err != nil {
		return nil, err
	}
	if o.TLS.CA != "" {
		opts = append(opts, nats.RootCAs(o.TLS.CA))
	}
	if o.TLS.Cert != "" {
		opts = append(opts, nats.ClientCert(o.TLS.Cert, o.TLS.Key))
	}
	if !strings.HasPrefix(o.Servers, "ws:") || o.TLS.CA != "" || o.TLS.Cert != "" { // for ws://, any TLS config turns on TLS
		opts = append(opts, func(n *nats.Options) error {
			n.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
			return nil
		})
	}
	login, err := o.logIn()
	return append(opts, login...), err
}

// logIn returns the options for nats.go with the credentials.
func (o Options) logIn() ([]nats.Option, error) {
	if _, err := o.userClaims(); err != nil {
		return nil, err
	}
	var opts []nats.Option
	token := o.Auth.Token
	switch a := o.Auth; a.Kind() {
	case "user":
		opts = append(opts, nats.UserInfo(a.User, a.Password))
		if token == "" && a.Password == "" {
			token = a.User
		}
	case "creds":
		opts = append(opts, nats.UserCredentials(a.Creds))
	case "nkey":
		seed, err := nats.NkeyOptionFromSeed(a.NKey)
		if err != nil {
			return nil, broker.Because(broker.ErrNKeyFile, fmt.Errorf("nkey seed in %q: %w", a.NKey, err))
		}
		opts = append(opts, seed)
	case "jwt":
		if a.UserSeed == "" { // a bearer token needs no signature
			unsigned := func([]byte) ([]byte, error) { return nil, nil }
			opts = append(opts, nats.UserJWT(func() (string, error) { return a.UserJWT, nil }, unsigned))
		} else {
			opts = append(opts, nats.UserJWTAndSeed(a.UserJWT, a.UserSeed))
		}
	}
	if token != "" {
		opts = append(opts, nats.Token(token))
	}
	return opts, nil
}

// NewBackoff returns the delays between attempts to reconnect: from about 0.2 s to about
// 5 s, randomized so that many clients don't reconnect at the same time.
func NewBackoff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval:     200 * time.Millisecond,
		RandomizationFactor: 0.5,
		Multiplier:          1.6,
		MaxInterval:         5 * time.Second,
	}
}
