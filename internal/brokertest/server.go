// Package brokertest runs real servers for tests: each in a process of its
// own, so that it can be killed, frozen and started again, and so that a
// test's goroutines are its client's alone.
//
// The package's rule: it is imported by tests, and by nothing else.
package brokertest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// Config says what a server is like. The zero value is NATS Streaming with
// the cluster "ticketing" and a file store.
type Config struct {
	Cluster string // ID of the NATS Streaming cluster; default "ticketing"
	Plain   bool   // a NATS server without NATS Streaming
	Memory  bool   // keep events in memory: a restart loses them
	TLS     bool   // the URL is tls://; Extra must hold the tls block
	Extra   string // more lines of the configuration file
	// StreamingExtra is more lines of its streaming block.
	StreamingExtra string
}

// A Server is a running server, or one that was stopped.
type Server struct {
	URL     string // client URL, without credentials
	Monitor string // URL of the monitoring port

	t      testing.TB
	config Config
	dir    string

	mu      sync.Mutex
	starts  int
	process *exec.Cmd
	stdin   io.WriteCloser // the process ends when it closes, so also with the test
	exited  chan struct{}
}

const configEnv = "BROKERTEST_CONFIG"

// Start starts a server on free loopback ports, with a store in a folder of
// the test, and waits until it takes clients. It ends with the test.
func Start(t testing.TB, config Config) *Server {
	t.Helper()
	if config.Cluster == "" {
		config.Cluster = "ticketing"
	}
	s := &Server{t: t, config: config, dir: t.TempDir()}
	client, monitor := freePort(t), freePort(t)
	scheme := "nats"
	if config.TLS {
		scheme = "tls"
	}
	s.URL = fmt.Sprintf("%s://127.0.0.1:%d", scheme, client)
	s.Monitor = fmt.Sprintf("http://127.0.0.1:%d", monitor)
	streaming := ""
	if !config.Plain {
		store := "store: file\n  dir: \"" + filepath.ToSlash(filepath.Join(s.dir, "stan")) + "\""
		if config.Memory {
			store = "store: memory"
		}
		streaming = fmt.Sprintf("streaming {\n  id: %s\n  %s\n  %s\n}\n", config.Cluster, store, config.StreamingExtra)
	}
	text := fmt.Sprintf("listen: 127.0.0.1:%d\nhttp: 127.0.0.1:%d\n%s\n%s", client, monitor, config.Extra, streaming)
	if err := os.WriteFile(s.configFile(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	s.Restart()
	return s
}

func (s *Server) configFile() string { return filepath.Join(s.dir, "server.conf") }

// Restart starts a server that was stopped, on the same ports and store.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	kind := "streaming"
	if s.config.Plain {
		kind = "plain"
	}
	p := exec.Command(self)
	p.Env = append(os.Environ(), configEnv+"="+kind+":"+s.configFile())
	p.Stdout, p.Stderr = log, log
	if s.stdin, err = p.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = p.Wait()
		close(exited)
	}()
	s.process, s.exited = p, exited
	s.waitReady(exited)
}

func (s *Server) waitReady(exited <-chan struct{}) {
	s.t.Helper()
	ready := "Streaming Server is ready"
	if s.config.Plain {
		ready = "Server is ready"
	}
	s.starts++
	Eventually(s.t, "the server takes clients", func() bool {
		select {
		case <-exited:
			s.t.Fatalf("the server ended:\n%s", s.Log())
		default:
		}
		return strings.Count(s.Log(), ready) == s.starts
	})
}

// Kill ends the server at once, as kill -9 does. It may be called again.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	<-s.exited
	_ = s.stdin.Close()
	s.process = nil
}

// Log returns what the server wrote so far.
func (s *Server) Log() string {
	log, err := os.ReadFile(filepath.Join(s.dir, "server.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(log)
}

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

// Eventually waits until done returns true, at most 30 s.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited too long until %s", what)
		}
	}
}

// AwaitLine reads lines until one contains text, and returns it. It fails the
// test if the input ends before.
func AwaitLine(t testing.TB, in *bufio.Scanner, text string) string {
	t.Helper()
	for in.Scan() {
		if strings.Contains(in.Text(), text) {
			return in.Text()
		}
	}
	t.Fatalf("the output ended before a line with %q", text)
	return ""
}

// Nats connects to the server as any NATS client.
func (s *Server) Nats(opts ...nats.Option) *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect(s.URL, opts...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
