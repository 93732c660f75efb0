// Package brokertest runs real servers for tests. Each has its own process, so that
// it can be killed, frozen and restarted, and so that a test's goroutines belong to
// its client only.
//
// The package's rule: only tests import it, and programs for tests only
// (internal/soak).
package brokertest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"nats-test/internal/brokertest/netsim"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config configures a server. The zero value is NATS Streaming with the cluster
// "ticketing" and a file store.
type Config struct {
	Cluster string // ID of the NATS Streaming cluster; default "ticketing"
	Plain   bool   // a NATS server without NATS Streaming
	// JetStream is on, with its store in the server's folder; in the same process
	// as NATS Streaming, unless Plain is set.
	JetStream bool
	// Memory keeps the events of NATS Streaming in memory, and removes JetStream's
	// folder before each start: a restart loses all of them.
	Memory bool
	TLS    bool   // the URL is tls://; Extra must hold the tls block
	Extra  string // more lines of the configuration file
	// StreamingExtra is more lines of its streaming block.
	StreamingExtra string
}

// A Server is a server, running or stopped.
type Server struct {
	Name    string // in a [Cluster]: n1, n2, …; else empty
	URL     string // client URL, without credentials
	Monitor string // URL of the monitoring port

	t      T
	config Config
	ports  []int // for clients, for monitoring
	dir    string

	mu      sync.Mutex
	process *process // nil while it is stopped
}

// A process is one run of a server.
type process struct {
	*exec.Cmd
	stdin  io.WriteCloser // closing it ends the process, so it also ends with the test
	logged int            // length of the log at the start
	exited chan struct{}
	frozen bool // guarded by the server's mu
}

const configEnv = "BROKERTEST_CONFIG"

// Start starts a server on free loopback ports, with its store in a folder of the
// test, and waits until it accepts clients. It stops with the test.
func Start(t T, config Config) *Server {
	t.Helper()
	var s *Server
	onFreePorts(t, 2, func(ports []int) (err error) {
		s, err = start(t, config, ports)
		return err
	})
	return s
}

func start(t T, config Config, ports []int) (*Server, error) {
	t.Helper()
	s := prepare(t, config, ports)
	s.launch()
	return s, s.awaitReady()
}

// prepare makes a server's folder and configuration. The first port is for clients,
// the second for monitoring.
func prepare(t T, config Config, ports []int) *Server {
	t.Helper()
	if config.Cluster == "" {
		config.Cluster = "ticketing"
	}
	s := &Server{t: t, config: config, dir: t.TempDir(), ports: ports}
	scheme := "nats"
	if config.TLS {
		scheme = "tls"
	}
	s.URL = fmt.Sprintf("%s://127.0.0.1:%d", scheme, ports[0])
	s.Monitor = fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	s.configure()
	t.Cleanup(s.Kill)
	return s
}

// configure writes the configuration file.
func (s *Server) configure() {
	s.t.Helper()
	config := s.config
	text := fmt.Sprintf("listen: 127.0.0.1:%d\nhttp: 127.0.0.1:%d\n%s\n", s.ports[0], s.ports[1], config.Extra)
	if config.JetStream {
		text += fmt.Sprintf("jetstream {\n  store_dir: \"%s\"\n}\n", s.folder("jetstream"))
	}
	if !config.Plain {
		store := "store: file\n  dir: \"" + s.folder("stan") + "\""
		if config.Memory {
			store = "store: memory"
		}
		text += fmt.Sprintf("streaming {\n  id: %s\n  %s\n  %s\n}\n", config.Cluster, store, config.StreamingExtra)
	}
	if err := os.WriteFile(s.configFile(), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// folder is the path of a store, with slashes as the configuration has them.
func (s *Server) folder(store string) string { return filepath.ToSlash(filepath.Join(s.dir, store)) }

func (s *Server) configFile() string { return filepath.Join(s.dir, "server.conf") }

// Restart starts a stopped server on the same ports and store, and waits until it
// accepts clients. A server of a cluster may not have rejoined it by then: see
// [Cluster.AwaitReady].
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.launch()
	if err := s.awaitReady(); err != nil {
		s.t.Fatal(err)
	}
}

// RestartStreaming restarts the server with or without NATS Streaming; NATS and
// JetStream keep their address.
func (s *Server) RestartStreaming(on bool) {
	s.t.Helper()
	s.Kill()
	s.config.Plain = !on
	s.configure()
	s.Restart()
}

// launch starts the server's process without waiting for it.
func (s *Server) launch() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config.Memory {
		if err := os.RemoveAll(s.folder("jetstream")); err != nil {
			s.t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	kind := "streaming"
	if s.config.Plain {
		kind = "plain"
	}
	p := &process{Cmd: exec.Command(self), logged: len(s.Log()), exited: make(chan struct{})}
	p.Env = append(os.Environ(), configEnv+"="+kind+":"+s.configFile())
	p.Stdout, p.Stderr = log, log
	if p.stdin, err = p.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		unlabelled() // may outlive the test's check for leaks
		_ = p.Wait()
		close(p.exited)
	}()
	s.process = p
}

// awaitReady waits until a launched server accepts clients. JetStream is ready by
// then: the server opens its client port last.
func (s *Server) awaitReady() (err error) {
	s.t.Helper()
	ready := "Streaming Server is ready"
	if s.config.Plain {
		ready = "Server is ready"
	}
	Eventually(s.t, "the server takes clients", func() bool {
		var log string
		log, err = s.alive()
		return err != nil || strings.Contains(log, ready)
	})
	return err
}

// alive returns the server's log since its start, or why it ended.
func (s *Server) alive() (log string, err error) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return "", fmt.Errorf("the server %s was stopped", s.Name)
	}
	select {
	case <-s.process.exited:
		err = errors.New("the server ended")
	default:
	}
	log = s.Log()[s.process.logged:]
	if err != nil && strings.Contains(log, "address already in use") {
		err = errPortTaken
	}
	if err != nil {
		err = fmt.Errorf("%w:\n%s", err, log)
	}
	return log, err
}

// Kill ends the server at once, like kill -9. Further calls do nothing.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	<-s.process.exited
	_ = s.process.stdin.Close()
	s.process = nil
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "server.log") }

// Log returns the server's log so far.
func (s *Server) Log() string {
	log, err := os.ReadFile(s.logFile())
	if err != nil {
		s.t.Fatal(err)
	}
	return string(log)
}

// Eventually waits up to 30 s for done to return true.
func Eventually(t T, what string, done func() bool) {
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

// AwaitLine reads lines until one contains text, and returns it. It fails the test
// at the end of the input.
func AwaitLine(t T, in *bufio.Scanner, text string) string {
	t.Helper()
	for in.Scan() {
		if strings.Contains(in.Text(), text) {
			return in.Text()
		}
	}
	t.Fatalf("the output ended before a line with %q", text)
	return ""
}

// Nats connects to the server as an ordinary NATS client.
func (s *Server) Nats(opts ...nats.Option) *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect(s.URL, opts...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// JetStream returns the server's JetStream, over a connection of an ordinary NATS
// client.
func (s *Server) JetStream(opts ...nats.Option) jetstream.JetStream {
	s.t.Helper()
	js, err := jetstream.New(s.Nats(opts...))
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}

// Network returns a new network to the server, without faults at first. It ends
// with the test.
func (s *Server) Network() *netsim.Network {
	s.t.Helper()
	return netsim.New(s.t, fmt.Sprintf("127.0.0.1:%d", freePort(s.t)), s.URL, !s.config.TLS)
}
