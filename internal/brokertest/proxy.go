package brokertest

import (
	"io"
	"net"
	"strings"
	"sync"
)

// Drop cuts every connection to the server that a client's proxy at the
// returned URL carries; see [Proxy].
type Drop func()

// Proxy returns a URL that leads to the server, and a function that cuts the
// connections made through it: a network that fails while the server lives.
func (s *Server) Proxy() (url string, drop Drop) {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	keep := func(c net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		open = append(open, c)
	}
	cut := func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			_ = c.Close()
		}
		open = nil
	}
	var copies sync.WaitGroup
	copies.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "nats://"))
			if err != nil {
				_ = near.Close()
				continue
			}
			keep(near)
			keep(far)
			pipe := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				_ = to.Close()
				_ = from.Close()
			}
			copies.Go(func() { pipe(near, far) })
			copies.Go(func() { pipe(far, near) })
		}
	})
	s.t.Cleanup(func() {
		_ = listener.Close()
		cut()
		copies.Wait()
	})
	return "nats://" + listener.Addr().String(), cut
}
