package wire

import (
	"bytes"
	"errors"
	"net"
	"sync/atomic"

	"nats-test/internal/conn/broker"
)

// A guarded connection is what nats.go reads and writes, or its TLS does.
type guarded struct {
	net.Conn
	dialer  *Dialer
	guard   checker               // nil: nobody looks
	greeted bool                  // the first line has ended
	rest    []byte                // what came behind it, and was not read yet
	failure atomic.Pointer[error] // why nothing more is read or written
}

// Read has the guard look at what comes. What it lets pass before a fault is
// returned first. The first line is returned alone: TLS may follow.
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

// loggedIn reports whether nats.go has this connection for its own: one that is
// garbled before is an attempt that failed, and the next may do better.
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

// Refusal is why the guard has ended the connection made last, nil if it has
// not.
func (d *Dialer) Refusal() error {
	if g := d.latest.Load(); g != nil {
		if failure := g.failure.Load(); failure != nil && errors.Is(*failure, broker.ErrGarbled) {
			return *failure
		}
	}
	return nil
}

// SkipTLSHandshake is called by nats.go before the handshake of TLS: what
// follows can't be read here. Who has proved who it is, is trusted that far.
func (d *Dialer) SkipTLSHandshake() bool {
	d.latest.Load().guard = nil
	return false
}
