package conn_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// A wire leads to a server over a network that is slow in one way or another.
type wire struct {
	delay time.Duration // each way
	rate  int           // bytes a second towards the server, 0 for any number

	tells string        // host and port that the server seems to tell of
	held  chan struct{} // when set: nothing more arrives until it is closed

	url  string
	far  string
	mu   sync.Mutex
	open []net.Conn
}

// start has the wire carry connections to s until the test ends.
func (w *wire) start(t *testing.T, s *brokertest.Server) *wire {
	t.Helper()
	return w.startAt(t, s, "127.0.0.1")
}

// startAt has the wire begin at another address of this machine.
func (w *wire) startAt(t *testing.T, s *brokertest.Server, host string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
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
			carrying.Go(func() { w.carry(far, near, w.rate, "") })
			carrying.Go(func() { w.carry(near, far, 0, w.tells) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.cut()
		carrying.Wait()
	})
	return w
}

// hold keeps what is sent from now on, in either direction, until the function
// that it returns is called.
func (w *wire) hold() (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := make(chan struct{})
	w.held = held
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.held = nil
		close(held)
	}
}

func (w *wire) holding() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held
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

func (w *wire) carry(to, from net.Conn, rate int, tells string) {
	type part struct {
		due  time.Time
		data []byte
	}
	parts := make(chan part, 1024)
	var sending sync.WaitGroup
	sending.Go(func() {
		for p := range parts {
			<-time.After(time.Until(p.due))
			if held := w.holding(); held != nil {
				<-held
			}
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
			data := bytes.Clone(buffer[:n])
			if tells != "" {
				data = bytes.Replace(data, []byte("INFO {"), fmt.Appendf(nil, `INFO {"connect_urls":[%q],`, tells), 1)
			}
			parts <- part{time.Now().Add(w.delay), data}
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
// address that can't be reached from here does, and how often it was tried.
func hole(t *testing.T) (address string, tries *atomic.Int32) {
	t.Helper()
	listener := listen(t)
	tries = new(atomic.Int32)
	var taking sync.WaitGroup
	taking.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			tries.Add(1)
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
	return listener.Addr().String(), tries
}
