// Package wire makes the TCP connections under NATS, and reads what a server says
// before nats.go does: bounds, greetings, refusals, and other protocols.
package wire

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// A Dialer makes the connections of one link.
type Dialer struct {
	Ctx       context.Context           // ends with the session; not with the call that dialled
	Timeout   time.Duration             // for dialling
	WebSocket bool                      // HTTP comes first, then frames
	Greets    bool                      // who dials reads the greeting, and speaks to what is silent
	Silence   time.Duration             // how long a write may wait while nothing moves
	Bears     time.Duration             // how long a server may say nothing while a write waits
	Brief     atomic.Bool               // the next attempt takes no longer than briefAttempt
	Moved     atomic.Pointer[time.Time] // when a write last went on that had to wait
	Watch     watcher                   // of the log-ins, or nil
	refused   atomic.Pointer[string]    // what the server said after its greeting, before any TLS
	http      atomic.Pointer[error]     // what was reached last waits for HTTP

	latest  atomic.Pointer[guarded] // the connection made last
	Garbled func()                  // called when the guard has ended a connection; nil for nobody
}

// A watcher learns which servers are dialled, and which addresses they have.
type watcher interface {
	Dialling(address string)
	Found(host string, addresses []string)
}

// briefAttempt bounds dialling and handshake where another server may do better.
const briefAttempt = time.Second

// Dial is called by nats.go for the first connection and for every later one.
// The connection is closed when life is done, so that a hung handshake can be
// interrupted.
//
// nats.go would look the name up by itself, and hand on an address that is none
// of those given.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	if d.Watch != nil {
		d.Watch.Dialling(address)
	}
	addresses, err := d.lookUp(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if d.Watch != nil {
		d.Watch.Found(address, addresses)
	}
	for _, a := range addresses {
		g, failed := d.dial(network, a)
		if err = failed; err == nil {
			return g, nil
		}
	}
	return nil, err
}

// lookUp returns all addresses of a host, each with the port, in any order.
func (d *Dialer) lookUp(address string) ([]string, error) {
	host, port, err := net.SplitHostPort(address)
	if _, none := netip.ParseAddr(host); none == nil || err != nil {
		return []string{address}, err
	}
	ctx, stop := context.WithTimeout(d.Ctx, d.Timeout)
	defer stop()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	for i, a := range addresses {
		addresses[i] = net.JoinHostPort(a, port)
	}
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	return addresses, err
}

func (d *Dialer) dial(network, address string) (*guarded, error) {
	var limit time.Time
	if d.Brief.Load() {
		limit = time.Now().Add(min(briefAttempt, d.Timeout))
	}
	c, err := (&net.Dialer{Timeout: d.Timeout, Deadline: limit}).DialContext(d.Ctx, network, address)
	if err != nil {
		return nil, err
	}
	limitUnsent(c)
	d.refused.Store(nil)
	s := &socket{Conn: c, dialer: d, limit: limit, stop: context.AfterFunc(d.Ctx, func() { _ = c.Close() })}
	s.read.Store(time.Now().UnixNano())
	s.login.silent = func() bool { return false }
	if !d.WebSocket && !d.Greets {
		s.login.silent = d.watchSilence(c, network, address)
	}
	g := &guarded{Conn: s, guard: newInspector(), dialer: d}
	if d.WebSocket {
		g.guard = newFrameGuard()
	}
	d.latest.Store(g)
	return g, nil
}

// A socket is one connection of a dialer.
type socket struct {
	net.Conn
	dialer *Dialer
	limit  time.Time // of the handshake; zero for that of nats.go
	stop   func() bool
	read   atomic.Int64 // when something was read last, in ns since 1970
	login  login
}

// SetDeadline is called by nats.go for the handshake, which the limit of the
// attempt bounds, too, and after it, without one.
func (c *socket) SetDeadline(t time.Time) error {
	c.login.over.Store(t.IsZero())
	return c.Conn.SetDeadline(c.within(t))
}

// SetReadDeadline is called by nats.go for the handshake of a WebSocket.
func (c *socket) SetReadDeadline(t time.Time) error { return c.Conn.SetReadDeadline(c.within(t)) }

func (c *socket) within(t time.Time) time.Time {
	if !t.IsZero() && !c.limit.IsZero() && c.limit.Before(t) {
		return c.limit
	}
	return t
}

// Write gives up when nothing moved for a while: nats.go's own limit is for
// a whole write, which over a slow link may take longer. It looks more often:
// the system may take bytes long before it says so. A write that waits keeps
// nats.go from asking for a sign of life, so it also gives up when the server
// has said nothing for as long as such an answer is waited for.
func (c *socket) Write(p []byte) (n int, err error) {
	const (
		waited = 10 * time.Millisecond // what a write takes that need not wait, at most
		bulk   = 4 << 10               // a smaller one, such as a ping, takes longer only where the machine is busy
		hung   = time.Second           // a write that waits as long does not go on right away
	)
	begin := time.Now()
	for moved := begin; ; {
		if err := c.SetWriteDeadline(time.Now().Add(c.dialer.Silence / 10)); err != nil {
			return n, err
		}
		m, err := c.Conn.Write(p[n:])
		n += m
		now := time.Now()
		if m > 0 {
			if moved = now; len(p) > bulk && now.Sub(begin) >= waited {
				c.dialer.Moved.Store(&now)
			}
		}
		switch {
		case gone(err) && !c.login.over.Load():
			return len(p), nil // what the server said before is read next, or that it is gone
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return n, err
		}
		still, quiet := now.Sub(moved), now.Sub(time.Unix(0, c.read.Load()))
		if still >= c.dialer.Silence || still >= hung && quiet >= c.dialer.Bears {
			_ = c.Conn.Close() // nats.go takes no notice of such an error, but its reader does of this
			return n, err
		}
	}
}

// Read notes when something came.
func (c *socket) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Store(time.Now().UnixNano())
	if !c.login.over.Load() {
		err = c.hear(p[:n], err)
	}
	return n, err
}

func (c *socket) Close() error {
	c.stop()
	c.login.silent()
	return c.Conn.Close()
}
