// Package netsim is a network for tests, which fails on demand.
package netsim

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Direction is one of the two ways through a [Network].
type Direction int

const (
	Up   Direction = iota // from the client to the server
	Down                  // from the server to the client
)

// A Network lies between programs and a server, and fails on demand while both
// live. All methods may be called at any time, by several goroutines, and
// concern what passes from then on. Together with a server that is frozen or killed
// it does to a program what real networks do.
//
// A cluster's servers advertise each other's addresses to clients, which do not
// lead through a Network: set "cluster { no_advertise: true }" there.
type Network struct {
	URL string // client URL of the server, through this network

	t       T
	address string
	server  string // host and port
	framed  bool   // whole protocol messages pass, and can be lost
	running sync.WaitGroup

	mu          sync.Mutex
	changed     chan struct{} // closed, and replaced, when one of these changes:
	listener    net.Listener  // nil while connections are refused
	hole        bool
	delay       time.Duration
	limits      [2]*rate.Limiter // nil: none
	match       func(message []byte) bool
	toLose      int
	lost        int
	lie         func(message []byte) []byte // nil: the truth
	passed      [2]int64
	connections map[*connection]bool
	closed      bool
}

// T is who uses a network, such as a *testing.T.
type T interface {
	Helper()
	Fatal(args ...any)
	Cleanup(f func())
}

// New returns a network that listens at an address and leads to the server at
// url, at first without fault. It ends with the test. framed tells that what
// passes is the clear text of the protocol, so that messages can be lost.
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

// Cut breaks all connections. New ones are made as before.
func (n *Network) Cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.connections {
		c.cut()
	}
}

// Delay lets everything arrive later, by d in each direction. Order and
// throughput stay what they are.
func (n *Network) Delay(d time.Duration) { n.change(func() { n.delay = d }) }

// Throttle limits what all connections together carry in each direction, in
// bytes per second; 0 is no limit. Little is buffered: who sends faster must wait.
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

// BlackHole lets nothing pass while it is on, and tells neither side:
// connections stay, new ones are accepted and hang. When it is off again, what
// was held back arrives, as TCP sends it again.
func (n *Network) BlackHole(on bool) { n.change(func() { n.hole = on }) }

// HalfClose closes one direction of every connection: its receiver reads an
// end, and what is sent there is dropped. The other direction stays.
func (n *Network) HalfClose(d Direction) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.connections {
		c.halfClose(d)
	}
}

// Lose drops the next count messages of the server that match: each a whole
// message of the NATS protocol, with its line and payload, so that the
// connection goes on. It replaces an earlier call; see [Network.Lost].
func (n *Network) Lose(match func(message []byte) bool, count int) {
	if !n.framed {
		n.t.Fatal("messages inside TLS can't be told apart")
	}
	n.change(func() { n.match, n.toLose = match, count })
}

// Holds matches messages that hold text, for [Network.Lose].
func Holds(text string) func(message []byte) bool {
	return func(message []byte) bool { return bytes.Contains(message, []byte(text)) }
}

// Refuse refuses new connections while it is on, as a host does where nothing
// listens. Those that are there stay.
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

// Lost returns the number of messages that were dropped by Lose.
func (n *Network) Lost() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lost
}

// Open returns the number of connections that reach the server.
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

// Passed returns the number of bytes that arrived so far in a direction: a test
// waits for it to act in the midst of something.
func (n *Network) Passed(d Direction) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.passed[d]
}

// change changes the state, and lets everybody who waits look at it again.
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

// add notes a new connection, unless the network has ended.
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
