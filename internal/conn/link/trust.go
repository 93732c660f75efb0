package link

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link/wire"
	"nats-test/internal/fault"
)

// A Guard keeps passwords and tokens from servers that the user did not name. Servers
// advertise others, and a forged advertisement can name any. Such a server gets the secret
// only if its certificate is for a name that the user gave. Behind a forwarded port,
// advertised addresses may belong to unrelated servers.
//
// An nkey only signs a nonce, and the signature is useless to others. So it may be sent to
// any server.
type Guard struct {
	Secret bool     // the log-in reveals a secret, and untrusted servers must not get it
	names  []string // the hosts that the user named
	warn   func(error)

	at    atomic.Value                        // "host:port" dialled last
	shown atomic.Pointer[tls.ConnectionState] // TLS state of that connection; nil without TLS

	mu     sync.Mutex
	named  map[string]bool // by "host:port"
	denied map[string]bool
	told   *sync.Map // untrusted servers already reported, by "host:port"
}

func newGuard(o Options) *Guard {
	g := &Guard{Secret: o.Reveals() && !o.TrustAdvertised, warn: o.Warn, denied: make(map[string]bool)}
	g.told = cmp.Or(o.Told, new(sync.Map))
	o.Servers = cmp.Or(o.named, o.Servers)
	g.named = o.hosts()
	g.names = o.Hosts()
	return g
}

// Dialling records that a connection to address, as "host:port", is being made.
func (g *Guard) Dialling(address string) {
	g.at.Store(address)
	g.shown.Store(nil)
}

// Found records the addresses of a host. Those of a trusted host are trusted, too.
func (g *Guard) Found(host string, addresses []string) {
	if !g.Trusts(host) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range addresses {
		g.named[a] = true
	}
}

// Trusts reports whether the user named the server at address.
func (g *Guard) Trusts(address string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.named[strings.ToLower(address)]
}

// set is an option for nats.go, which must come last. Before each log-in nats.go asks for
// the user's JWT or for a signature; an error there ends the log-in.
func (g *Guard) set(o *nats.Options) error {
	if !g.Secret {
		return nil
	}
	if o.TLSConfig != nil {
		before := o.TLSConfig.VerifyConnection
		o.TLSConfig.VerifyConnection = func(s tls.ConnectionState) error {
			defer fault.Exit()
			g.shown.Store(&s)
			if before != nil {
				return before(s)
			}
			return nil
		}
	}
	if sign := o.SignatureCB; o.Nkey != "" && sign != nil { // nats.go does not ask for a JWT then
		o.SignatureCB = func(nonce []byte) ([]byte, error) {
			defer fault.Exit()
			if err := g.check(); err != nil {
				return nil, err
			}
			return sign(nonce)
		}
		return nil
	}
	jwt := o.UserJWT
	o.UserJWT = func() (string, error) {
		defer fault.Exit()
		if err := g.check(); err != nil || jwt == nil {
			return "", err
		}
		return jwt()
	}
	return nil
}

// nameFor is an option for nats.go, for an advertised server: if it is an IP address, its
// certificate must be for a name that was given. (nats.go does the same while it is
// connected to the server that advertised it.)
func (g *Guard) nameFor(server string) nats.Option {
	return func(o *nats.Options) error {
		u, err := ParseServer(server)
		if err != nil || o.TLSConfig == nil || net.ParseIP(u.Hostname()) == nil || g.Trusts(HostOf(u)) {
			return nil
		}
		if i := slices.IndexFunc(g.names, func(name string) bool { return net.ParseIP(name) == nil }); i >= 0 {
			o.TLSConfig.ServerName = g.names[i]
		}
		return nil
	}
}

// check returns an error that wraps [broker.ErrUntrusted] if the server must not see the
// secret, and reports each such server once.
func (g *Guard) check() error {
	address, _ := g.at.Load().(string)
	if g.Trusts(address) {
		return nil
	}
	why := "the connection to it is not encrypted"
	if shown := g.shown.Load(); shown != nil && len(shown.PeerCertificates) > 0 {
		certificate := shown.PeerCertificates[0]
		for _, name := range g.names {
			if certificate.VerifyHostname(name) == nil {
				return nil
			}
		}
		why = "its certificate is for " + NamesOf(certificate)
	}
	g.mu.Lock()
	g.denied[address] = true
	g.mu.Unlock()
	if _, told := g.told.LoadOrStore(address, true); !told {
		g.warn(fmt.Errorf("%w: another server named %s, and %s", broker.ErrUntrusted, wire.ClipWord(address), why))
	}
	return fmt.Errorf("%w: %s", broker.ErrUntrusted, wire.ClipWord(address))
}

// denies reports whether the server at address was refused the secret.
func (g *Guard) denies(address string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.denied[address]
}

// NamesOf lists the names and addresses that a certificate is for.
func NamesOf(c *x509.Certificate) string {
	const most = 5
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no host at all"
	}
	for i, n := range names {
		names[i] = broker.Clip(n)
	}
	if len(names) > most {
		names = append(names[:most], "others")
	}
	return strings.Join(names, ", ")
}
