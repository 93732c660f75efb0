// Package wire makes the TCP connections under NATS. It checks the bytes from a server
// before nats.go reads them, reads greetings and refusals, and recognizes other protocols.
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
	Ctx       context.Context           // done when the session ends
	Timeout   time.Duration             // limit of dialling
	WebSocket bool                      // the servers are reached by WebSocket
	Greets    bool                      // the caller reads the greeting itself, with Greet
	Silence   time.Duration             // how long a write may block without progress
	Bears     time.Duration             // how long a server may be silent while a write blocks
	Brief     atomic.Bool               // the next attempt is limited to briefAttempt
	Moved     atomic.Pointer[time.Time] // when a blocked write last made progress
	Watch     watcher                   // may be nil
	refused   atomic.Pointer[string]    // an -ERR after the greeting, before TLS
	failed    atomic.Pointer[error]     // why dialling failed the last time, nil if it did not
	http      atomic.Pointer[error]     // set if the server dialled last speaks HTTP

	latest  atomic.Pointer[guarded] // the latest connection
	Garbled func()                  // called when the guard ends a connection; may be nil
}

// A watcher is informed of the servers that are dialled, and of their addresses.
type watcher interface {
	Dialling(address string)
	Found(host string, addresses []string)
}

// briefAttempt limits dialling and handshake if there are other servers.
const briefAttempt = time.Second

// Dial is called by nats.go for the first and for every later connection. The connection
// is closed when d.Ctx is done, which interrupts a handshake that hangs.
//
// Dial looks up names itself: nats.go would do so before, and pass on an address that is
// not one of those given.
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
			d.failed.Store(nil)
			return g, nil
		}
	}
	d.failed.Store(&err)
	return nil, err
}

// lookUp returns all addresses of a host with the port, in random order.
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
	limit  time.Time // of the handshake; zero for nats.go's own
	stop   func() bool
	read   atomic.Int64 // time of the latest read, in ns since 1970
	login  login
}

// SetDeadline is called by nats.go with the limit of the handshake, and after the
// handshake with the zero time. The limit of the attempt applies, too.
func (c *socket) SetDeadline(t time.Time) error {
	c.login.over.Store(t.IsZero())
	return c.Conn.SetDeadline(c.within(t))
}

// SetReadDeadline is called by nats.go for the WebSocket handshake.
func (c *socket) SetReadDeadline(t time.Time) error { return c.Conn.SetReadDeadline(c.within(t)) }

func (c *socket) within(t time.Time) time.Time {
	if !t.IsZero() && !c.limit.IsZero() && c.limit.Before(t) {
		return c.limit
	}
	return t
}

// Write fails if no byte was written for a while. The deadline of nats.go covers a whole
// write, which may take longer over a slow link. Write retries in short intervals because
// the system may report progress late. While a write blocks, nats.go sends no pings, so
// Write also fails if the server has been silent for as long as a ping may be unanswered.
func (c *socket) Write(p []byte) (n int, err error) {
	const (
		waited = 10 * time.Millisecond // a write that does not block is faster
		bulk   = 4 << 10               // smaller writes, such as pings, are slow only on a busy machine
		hung   = time.Second           // a write that was blocked for so long will not go on at once
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
			return len(p), nil // the reader gets what the server sent before, or its error
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return n, err
		}
		still, quiet := now.Sub(moved), now.Sub(time.Unix(0, c.read.Load()))
		if still >= c.dialer.Silence || still >= hung && quiet >= c.dialer.Bears {
			_ = c.Conn.Close() // nats.go ignores errors of writes, but its reader notices this
			return n, err
		}
	}
}

// Read records the time of the read.
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
