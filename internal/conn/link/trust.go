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

// A Guard keeps passwords and tokens from servers that the user did not name.
// A server tells of others, and who can forge what it says can name any: they
// get a secret only if their certificate is for a name that the user gave. The
// addresses that a server behind a forwarded port names may be those of
// strangers here.
//
// A nkey signs what the server sends, which helps nobody else. So it may go
// anywhere.
type Guard struct {
	Secret bool     // the log-in reveals one
	names  []string // the hosts that the user named
	notify func(string)

	at    atomic.Value                        // string: host and port that were dialled last
	shown atomic.Pointer[tls.ConnectionState] // of the connection to it; nil without TLS

	mu     sync.Mutex
	named  map[string]bool // by host and port
	denied map[string]bool
	told   *sync.Map // likewise
}

func newGuard(o Options) *Guard {
	g := &Guard{Secret: o.Reveals() && !o.TrustAdvertised, notify: o.Notify, denied: make(map[string]bool)}
	g.told = cmp.Or(o.Told, new(sync.Map))
	o.Servers = cmp.Or(o.named, o.Servers)
	g.named = o.hosts()
	g.names = o.Hosts()
	return g
}

// Dialling notes that a connection to address, a host and port, begins.
func (g *Guard) Dialling(address string) {
	g.at.Store(address)
	g.shown.Store(nil)
}

// Found notes the addresses of a host: who named the one named the others.
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

// set is an option for nats.go, the last one: it asks for the user's JWT, or for
// a signature, before each log-in, and goes no further after an error.
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
	if sign := o.SignatureCB; o.Nkey != "" && sign != nil { // then a JWT is not asked for
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

// nameFor is an option for nats.go, for a server that another one named: if it
// has but an address, its certificate must be for a name that was given. (So
// nats.go has it while the connection lasts on which the server was named.)
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

// check returns an error that wraps [wire.ErrUntrusted] for a server that must not see
// the secret, and tells of each such server once.
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
		g.notify(fmt.Sprintf("no password or token is sent to %s: a server named it, you did not, and %s. "+
			"Name it, too (--server, NATS_URL), or allow it with --trust-advertised (NATS_TRUST_ADVERTISED=1)", wire.ClipWord(address), why))
	}
	return fmt.Errorf("%w: %s", wire.ErrUntrusted, wire.ClipWord(address))
}

// denies reports whether the server at address was refused the secret.
func (g *Guard) denies(address string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.denied[address]
}

// NamesOf lists what a certificate is for.
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
