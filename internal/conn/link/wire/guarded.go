package wire

import (
	"bytes"
	"errors"
	"net"
	"sync/atomic"

	"nats-test/internal/conn/broker"
)

// A guarded connection lies between the socket and nats.go, or its TLS layer.
type guarded struct {
	net.Conn
	dialer  *Dialer
	guard   checker               // nil if nothing is checked
	greeted bool                  // the first line was read
	rest    []byte                // bytes received after it that nats.go has not read yet
	failure atomic.Pointer[error] // why reads and writes fail now
}

// Read checks what it reads. Bytes before an error are returned first. The first line is
// returned alone, as TLS may follow it.
func (g *guarded) Read(p []byte) (int, error) {
	if failure := g.failure.Load(); failure != nil {
		return 0, *failure
	}
	if len(g.rest) > 0 {
		n := copy(p, g.rest)
		g.rest = g.rest[n:]
		return n, nil
	}
	n, err := g.Conn.Read(p)
	if g.guard == nil {
		return n, err
	}
	n, refusal := g.guard.check(p[:n])
	if refusal != nil {
		g.failure.Store(&refusal)
		if g.dialer.Garbled != nil && g.loggedIn() {
			g.dialer.Garbled()
		}
		if err = nil; n == 0 {
			err = refusal
		}
	}
	if !g.greeted {
		if i := bytes.IndexByte(p[:n], '\n'); i >= 0 {
			g.greeted, g.rest, n = true, bytes.Clone(p[i+1:n]), i+1
		}
	}
	return n, err
}

// loggedIn reports whether the log-in is over. Before that, an error only fails this
// attempt, and the next may succeed.
func (g *guarded) loggedIn() bool {
	s, ok := g.Conn.(*socket)
	return !ok || s.login.over.Load()
}

func (g *guarded) Write(p []byte) (int, error) {
	if failure := g.failure.Load(); failure != nil {
		return 0, *failure
	}
	return g.Conn.Write(p)
}

// Refusal returns why the guard ended the latest connection, nil if it did not.
func (d *Dialer) Refusal() error {
	if g := d.latest.Load(); g != nil {
		if failure := g.failure.Load(); failure != nil && errors.Is(*failure, broker.ErrGarbled) {
			return *failure
		}
	}
	return nil
}

// SkipTLSHandshake is called by nats.go before the TLS handshake. What follows is
// encrypted and can't be checked; a server that proved its identity is trusted that far.
func (d *Dialer) SkipTLSHandshake() bool {
	d.latest.Load().guard = nil
	return false
}
