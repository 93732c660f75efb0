package kubetest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connections are the connections to the API server.
type connections struct {
	mu   sync.Mutex
	gate chan struct{} // closed unless they are frozen
	open map[*connection]bool
}

func newConnections() *connections {
	c := &connections{gate: make(chan struct{}), open: make(map[*connection]bool)}
	close(c.gate)
	return c
}

func (c *connections) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.gate:
		c.gate = make(chan struct{})
	default:
	}
}

func (c *connections) thaw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.gate:
	default:
		close(c.gate)
	}
}

func (c *connections) awaitThaw() {
	c.mu.Lock()
	gate := c.gate
	c.mu.Unlock()
	<-gate
}

func (c *connections) closeAll() { c.close(func(*connection) bool { return true }) }

func (c *connections) closeTunnels() {
	c.close(func(conn *connection) bool { return conn.tunnel })
}

// close closes the connections for which which returns true.
func (c *connections) close(which func(*connection) bool) {
	c.mu.Lock()
	var chosen []*connection
	for conn := range c.open {
		if which(conn) {
			chosen = append(chosen, conn)
		}
	}
	c.mu.Unlock()
	for _, conn := range chosen {
		_ = conn.Close()
	}
}

// A connKey is the context key of a request's connection.
type connKey struct{}

// inContext stores the connection of a request for isTunnel.
func inContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn.(*tls.Conn).NetConn())
}

// isTunnel marks the connection of a request as one of kubectl port-forward.
func (c *connections) isTunnel(r *http.Request, webSocket bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := r.Context().Value(connKey{}).(*connection)
	conn.tunnel, conn.webSocket = true, webSocket
}

// count counts the connections for which which returns true.
func (c *connections) count(which func(*connection) bool) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		if which(conn) {
			n++
		}
	}
	return n
}

// listen returns a listener that registers its connections here.
func (c *connections) listen(l net.Listener) net.Listener { return &listener{l, c} }

type listener struct {
	net.Listener
	all *connections
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	known := &connection{Conn: conn, all: l.all}
	l.all.open[known] = true
	return known, nil
}

// A connection blocks while connections are frozen.
type connection struct {
	net.Conn
	all *connections
	// Guarded by all.mu: whether it belongs to kubectl port-forward, and over a
	// WebSocket.
	tunnel, webSocket bool
}

func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.all.awaitThaw()
	return n, err
}

func (c *connection) Write(b []byte) (int, error) {
	c.all.awaitThaw()
	return c.Conn.Write(b)
}

func (c *connection) Close() error {
	c.all.mu.Lock()
	delete(c.all.open, c)
	c.all.mu.Unlock()
	return c.Conn.Close()
}
