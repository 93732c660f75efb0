package conn_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// A wire leads to a server over a network that is slow in one way or another.
type wire struct {
	delay time.Duration // each way
	rate  int           // bytes a second towards the server, 0 for any number

	url  string
	far  string
	mu   sync.Mutex
	open []net.Conn
}

// start has the wire carry connections to s until the test ends.
func (w *wire) start(t *testing.T, s *brokertest.Server) *wire {
	t.Helper()
	listener := listen(t)
	w.url, w.far = "nats://"+listener.Addr().String(), strings.TrimPrefix(s.URL, "nats://")
	var carrying sync.WaitGroup
	carrying.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", w.far)
			if err != nil {
				_ = near.Close()
				continue
			}
			_ = near.(*net.TCPConn).SetReadBuffer(32 << 10) // else the system takes megabytes at once
			w.mu.Lock()
			w.open = append(w.open, near, far)
			w.mu.Unlock()
			carrying.Go(func() { w.carry(far, near, w.rate) })
			carrying.Go(func() { w.carry(near, far, 0) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.cut()
		carrying.Wait()
	})
	return w
}

// cut ends the connections that are there. New ones work at once.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		_ = c.Close()
	}
	w.open = nil
}

func (w *wire) carry(to, from net.Conn, rate int) {
	type part struct {
		due  time.Time
		data []byte
	}
	parts := make(chan part, 1024)
	var sending sync.WaitGroup
	sending.Go(func() {
		for p := range parts {
			<-time.After(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close()
			}
		}
		_ = to.Close()
	})
	buffer := make([]byte, 8<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			parts <- part{time.Now().Add(w.delay), append([]byte(nil), buffer[:n]...)}
		}
		if rate > 0 {
			<-time.After(time.Duration(n) * time.Second / time.Duration(rate))
		}
		if err != nil {
			break
		}
	}
	close(parts)
	sending.Wait()
	_ = from.Close()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// hole returns host and port of what takes connections and says nothing, as an
// address that can't be reached from here does.
func hole(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	var taking sync.WaitGroup
	taking.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			taking.Go(func() {
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		taking.Wait()
	})
	return listener.Addr().String()
}
