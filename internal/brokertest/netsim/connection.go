package netsim

import (
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A connection is a client's connection through a [Network], with its counterpart
// to the server.
type connection struct {
	network  *Network
	near     *net.TCPConn  // the client's
	far      *net.TCPConn  // the server's; nil until dialled; guarded by the network's mu
	ended    chan struct{} // closed by cut
	cutOnce  sync.Once
	up, down *line
}

// cut breaks the connection. The caller holds the network's mu.
func (c *connection) cut() {
	c.cutOnce.Do(func() {
		close(c.ended)
		_ = c.near.Close()
		if c.far != nil {
			_ = c.far.Close()
		}
	})
}

// carry runs the connection until both directions have ended, or one breaks. As
// with TCP, the directions end separately.
func (c *connection) carry() {
	defer c.network.remove(c)
	if !c.awaitPassable(time.Time{}) || !c.dial() {
		return
	}
	var lines sync.WaitGroup
	for _, l := range []*line{c.up, c.down} {
		lines.Go(l.read)
		lines.Go(l.write)
	}
	lines.Wait()
}

// dial connects to the server.
func (c *connection) dial() bool {
	far, err := net.Dial("tcp", c.network.server)
	if err != nil {
		return false
	}
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	select {
	case <-c.ended:
		_ = far.Close()
		return false
	default:
	}
	c.far = far.(*net.TCPConn)
	c.up.from, c.up.to = c.near, c.far
	c.down.from, c.down.to = c.far, c.near
	if c.network.limits != [2]*rate.Limiter{} {
		c.smallBuffers()
	}
	return true
}

// smallBuffers makes a throttled sender block: the kernel would buffer some MiB.
// The caller holds the network's mu.
func (c *connection) smallBuffers() {
	const size = 64 << 10
	_ = c.near.SetReadBuffer(size)
	if c.far != nil {
		_ = c.far.SetReadBuffer(size)
	}
}

// halfClose closes a direction. The caller holds the network's mu.
func (c *connection) halfClose(d Direction) {
	if c.far == nil {
		return
	}
	l := c.up
	if d == Down {
		l = c.down
	}
	l.shut.Store(true)
	_ = l.to.CloseWrite()
}

// awaitPassable waits until due, and while the network is a black hole. It returns
// false if the connection was cut.
func (c *connection) awaitPassable(due time.Time) bool {
	for {
		c.network.mu.Lock()
		hole, changed := c.network.hole, c.network.changed
		c.network.mu.Unlock()
		wait := time.Until(due)
		if !hole && wait <= 0 {
			select {
			case <-c.ended:
				return false
			default:
				return true
			}
		}
		if !c.wait(changed, wait, hole) {
			return false
		}
	}
}

// awaitRate waits for the rate limit. It returns how many of size bytes may pass,
// or 0 if the connection was cut.
func (c *connection) awaitRate(d Direction, size int) int {
	for {
		c.network.mu.Lock()
		limit, changed := c.network.limits[d], c.network.changed
		c.network.mu.Unlock()
		if limit == nil {
			return size
		}
		n := min(size, limit.Burst())
		reservation := limit.ReserveN(time.Now(), n)
		until := time.Now().Add(reservation.Delay())
		if !c.wait(changed, time.Until(until), false) {
			return 0
		}
		if time.Until(until) <= 0 {
			return n
		}
		reservation.Cancel() // the limits have changed
	}
}

// wait returns when the network changes, or after most unless forever is set. It
// returns false if the connection was cut.
func (c *connection) wait(changed <-chan struct{}, most time.Duration, forever bool) bool {
	var over <-chan time.Time
	if !forever {
		timer := time.NewTimer(most)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-changed:
	case <-over:
	case <-c.ended:
		return false
	}
	return true
}
