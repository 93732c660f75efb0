// Package netsim simulates network faults in tests.
package netsim

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Direction is one direction through a [Network].
type Direction int

const (
	Up   Direction = iota // from the client to the server
	Down                  // from the server to the client
)

// A Network connects programs to a server, and fails on demand while both keep
// running. Its methods are safe for concurrent use at any time, and apply to data
// that passes from then on. Combined with a frozen or killed server, it behaves
// like a real faulty network.
//
// Servers of a cluster advertise each other's addresses to clients, which bypass a
// Network: set "cluster { no_advertise: true }".
type Network struct {
	URL string // client URL of the server, through this network

	t       T
	address string
	server  string // host and port
	framed  bool   // handles whole protocol messages, which can then be lost
	running sync.WaitGroup

	mu          sync.Mutex
	changed     chan struct{} // closed and replaced when one of these changes:
	listener    net.Listener  // nil while connections are refused
	hole        bool
	delay       time.Duration
	limits      [2]*rate.Limiter // nil: no limit
	match       func(message []byte) bool
	toLose      int
	lost        int
	lie         func(message []byte) []byte // nil: no lies
	passed      [2]int64
	connections map[*connection]bool
	closed      bool
}

// T is the user of a network, such as a *testing.T.
type T interface {
	Helper()
	Fatal(args ...any)
	Cleanup(f func())
}

// New returns a network that listens at address and connects to the server at url,
// without faults at first. It ends with the test. framed is set if the traffic is
// the protocol's clear text; then messages can be lost.
func New(t T, address, url string, framed bool) *Network {
	t.Helper()
	scheme, server, _ := strings.Cut(url, "://")
	n := &Network{
		URL: scheme + "://" + address, t: t, address: address, server: server, framed: framed,
		changed: make(chan struct{}), connections: make(map[*connection]bool),
	}
	n.listen()
	t.Cleanup(n.end)
	return n
}

// Cut breaks all connections. New ones are accepted.
func (n *Network) Cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.connections {
		c.cut()
	}
}

// Delay delays all data by d in each direction. Order and throughput stay the same.
func (n *Network) Delay(d time.Duration) { n.change(func() { n.delay = d }) }

// Throttle limits the total rate of all connections in each direction, in bytes per
// second; 0 is no limit. Buffers are small, so faster senders block.
func (n *Network) Throttle(up, down int) {
	limit := func(perSecond int) *rate.Limiter {
		if perSecond <= 0 {
			return nil
		}
		return rate.NewLimiter(rate.Limit(perSecond), max(perSecond/20, 512))
	}
	n.change(func() {
		n.limits = [2]*rate.Limiter{limit(up), limit(down)}
		for c := range n.connections {
			c.smallBuffers()
		}
	})
}

// BlackHole stops all data while it is on, without closing connections; new ones
// are accepted, and hang. Once it is off, the data held back arrives, like TCP's
// retransmissions.
func (n *Network) BlackHole(on bool) { n.change(func() { n.hole = on }) }

// HalfClose closes one direction of every connection: its receiver reads EOF, and
// further data is dropped. The other direction stays open.
func (n *Network) HalfClose(d Direction) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.connections {
		c.halfClose(d)
	}
}

// Lose drops the next count messages of the server that match. Each is a whole
// message of the NATS protocol, with its payload, so the connection continues. It
// replaces an earlier call; see [Network.Lost].
func (n *Network) Lose(match func(message []byte) bool, count int) {
	if !n.framed {
		n.t.Fatal("messages inside TLS can't be told apart")
	}
	n.change(func() { n.match, n.toLose = match, count })
}

// Holds matches messages that contain text, for [Network.Lose].
func Holds(text string) func(message []byte) bool {
	return func(message []byte) bool { return bytes.Contains(message, []byte(text)) }
}

// Refuse refuses new connections while it is on, like a host without a listener.
// Existing ones stay open.
func (n *Network) Refuse(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case on && n.listener != nil:
		_ = n.listener.Close()
		n.listener = nil
	case !on && n.listener == nil && !n.closed:
		n.listen()
	}
}

// Lost returns the number of messages dropped by Lose.
func (n *Network) Lost() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lost
}

// Open returns the number of connections to the server.
func (n *Network) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	open := 0
	for c := range n.connections {
		if c.far != nil {
			open++
		}
	}
	return open
}

// Passed returns the number of bytes delivered so far in a direction. Tests wait
// for it to act in the middle of a transfer.
func (n *Network) Passed(d Direction) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.passed[d]
}

// change changes the state, and wakes everything that waits for a change.
func (n *Network) change(set func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	set()
	close(n.changed)
	n.changed = make(chan struct{})
}

// listen accepts connections until the listener closes.
func (n *Network) listen() {
	listener, err := net.Listen("tcp", n.address)
	if err != nil {
		n.t.Fatal(err)
	}
	n.listener = listener
	n.running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			c := &connection{network: n, near: near.(*net.TCPConn), ended: make(chan struct{})}
			c.down, c.up = newLine(c, Down), newLine(c, Up)
			if n.add(c) {
				n.running.Go(c.carry)
			}
		}
	})
}

// add registers a new connection, unless the network has ended.
func (n *Network) add(c *connection) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		_ = c.near.Close()
		return false
	}
	n.connections[c] = true
	return true
}

func (n *Network) remove(c *connection) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c.cut()
	delete(n.connections, c)
}

// cut breaks one connection.
func (n *Network) cut(c *connection) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c.cut()
}

func (n *Network) count(d Direction, bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.passed[d] += int64(bytes)
}

// loses reports whether a message of the server is to be dropped.
func (n *Network) loses(message []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.toLose == 0 || !n.match(message) {
		return false
	}
	n.toLose--
	n.lost++
	return true
}

func (n *Network) end() {
	n.Refuse(true)
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.Cut()
	n.running.Wait()
}
