package kubetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/coder/websocket"
	"github.com/moby/spdystream"
)

const (
	protocol = "portforward.k8s.io"
	// overWebSocket is the first choice of kubectl 1.31 and later: SPDY inside a
	// WebSocket.
	overWebSocket = "SPDY/3.1+" + protocol
)

// portForward turns a connection into a tunnel to a pod: SPDY, with two streams per
// forwarded connection, for data and for an error.
func (c *Cluster) portForward(w http.ResponseWriter, r *http.Request, namespace, name string) {
	p := c.pod(namespace, name)
	webSocket := r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") &&
		r.Header.Get("Sec-WebSocket-Protocol") == overWebSocket
	switch {
	case p == nil:
		notFound(w, "pods", name)
		return
	case !webSocket && (r.Method != http.MethodPost || r.Header.Get("Upgrade") != "SPDY/3.1" || r.Header.Get("X-Stream-Protocol-Version") != protocol):
		c.unknown(w, r)
		return
	}
	c.conns.isTunnel(r, webSocket)
	conn, err := upgrade(w, r, webSocket)
	if err != nil {
		return // kubectl has gone
	}
	conn = &closedOnce{Conn: conn}
	defer func() { _ = conn.Close() }()
	spdy, err := spdystream.NewConnection(conn, true)
	if err != nil {
		c.t.Error(err)
		return
	}
	t := &tunnel{c: c, pod: p, ended: make(chan struct{}), pairs: make(map[string]*pair)}
	spdy.Serve(t.stream)
	close(t.ended)
	t.work.Wait()
}

// upgrade returns the connection upgraded to SPDY.
func upgrade(w http.ResponseWriter, r *http.Request, webSocket bool) (net.Conn, error) {
	if webSocket {
		socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{overWebSocket}})
		if err != nil {
			return nil, err
		}
		socket.SetReadLimit(-1)
		return &socketConn{websocket.NetConn(context.Background(), socket, websocket.MessageBinary), socket}, nil
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: %s\r\n\r\n", protocol)
	return conn, err
}

// A socketConn closes at once, since kubectl does not answer a close frame.
type socketConn struct {
	net.Conn
	socket *websocket.Conn
}

func (c *socketConn) Close() error { return c.socket.CloseNow() }

// A closedOnce ignores further Close calls: spdystream also closes when kubectl
// says goodbye, and would then wait for a reader of its error.
type closedOnce struct {
	net.Conn
	once sync.Once
}

func (c *closedOnce) Close() (err error) {
	c.once.Do(func() { err = c.Conn.Close() })
	return err
}

// A tunnel is the tunnel of one kubectl port-forward.
type tunnel struct {
	c     *Cluster
	pod   *Pod
	ended chan struct{}
	work  sync.WaitGroup

	mu    sync.Mutex
	pairs map[string]*pair // by request, until both streams exist
}

// A pair is the streams of one connection, in any order.
type pair struct{ data, complaint *spdystream.Stream }

// stream handles a new stream.
func (t *tunnel) stream(s *spdystream.Stream) {
	if err := s.SendReply(http.Header{}, false); err != nil {
		return
	}
	request, kind := s.Headers().Get("requestID"), s.Headers().Get("streamType")
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.pairs[request]
	if p == nil {
		p = &pair{}
		t.pairs[request] = p
	}
	switch {
	case kind == "error" && p.complaint == nil:
		p.complaint = s
	case kind == "data" && p.data == nil:
		p.data = s
	default:
		t.c.t.Errorf("kubetest does not know a stream with the headers %v", s.Headers())
	}
	if p.data == nil || p.complaint == nil {
		return
	}
	delete(t.pairs, request)
	t.work.Go(func() {
		defer func() { _ = p.complaint.Close() }()
		if err := t.carry(p.data); err != nil {
			_, _ = p.complaint.Write([]byte(err.Error()))
		}
	})
}

// carry forwards one connection to the pod, until either side ends it.
func (t *tunnel) carry(s *spdystream.Stream) error {
	far, err := t.dial(s.Headers().Get("port"))
	if err != nil {
		_ = s.Reset()
		return fmt.Errorf("error forwarding port %s to pod %s: %w", s.Headers().Get("port"), t.pod.Name, err)
	}
	defer func() { _ = far.Close() }()
	received := make(chan struct{})
	t.work.Go(func() {
		_, _ = io.Copy(far, s)
		_ = far.CloseWrite()
	})
	t.work.Go(func() {
		defer close(received)
		_, _ = io.Copy(s, far)
		_ = s.Close()
	})
	select {
	case <-received: // the server has ended the connection; kubectl ends its own then
	case <-t.pod.gone: // kubectl gets no reason
		_ = s.Reset()
	case <-t.ended:
	}
	return nil
}

// dial connects to the address behind a port of the pod.
func (t *tunnel) dial(port string) (*net.TCPConn, error) {
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	select {
	case <-t.pod.gone:
		return nil, errors.New("its network namespace is closed")
	default:
	}
	address := t.pod.ports[number]
	if address == "" || t.pod.refuses(number) {
		return nil, errors.New("connection refused")
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}
