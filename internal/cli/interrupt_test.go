//go:build unix

package cli_test

import (
	"context"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go/pb"

	"nats-test/internal/brokertest"
	"nats-test/internal/cli"
	"nats-test/internal/cli/console"
	"nats-test/internal/cli/publish"
)

// silentPort takes connections and says nothing. came returns once there is one more.
func silentPort(t *testing.T) (address string, came func()) {
	t.Helper()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = port.Close() })
	return port.Addr().String(), func() {
		c, err := port.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
}

// No command is done when it is interrupted while connecting: exit code 0 would be
// wrong.
func TestInterruptedWhileConnecting(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		says string
		args []string
	}{
		{"interrupted: nothing was sent", []string{"publish", channel, "--sample"}},
		{"interrupted: nothing was sent", []string{"publish", channel, "--sample", "-i"}},
		{"interrupted before it was connected to nats://127", []string{"listen", channel}},
		{"interrupted before it was connected to nats://127", []string{"listen", channel, "-g", "g", "--idle", "1m"}},
		{"interrupted before it was connected to nats://127", []string{"listen", channel, "--until-end"}},
		{"interrupted before all steps were checked", []string{"listen", "doctor"}},
		{"interrupted before all steps were checked", []string{"listen", "doctor", channel, "-o", "json"}},
		{"interrupted before the state was read", []string{"listen", "status"}},
		{"interrupted before the state was read", []string{"listen", "status", "--watch", "-o", "json"}},
		{`interrupted: client "x" was not closed`, []string{"listen", "evict", "x"}},
		{"interrupted: nothing was forgotten", []string{"listen", "forget", channel, "-g", "g", "-y"}},
	} {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			address, came := silentPort(t)
			p := runProcess(t, "nats://"+address, append(c.args, "--timeout", "1m")...)
			came()
			p.signal(signal)
			p.endsWith(130, 30*time.Second)
			p.awaitSaying(c.says)
		}
	}
}

// The same where the broker answers, and its monitoring port does not.
func TestInterruptedWhileLooking(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	for _, c := range []struct {
		says string
		args []string
	}{
		{"interrupted before the state was read", []string{"status"}},
		{"interrupted before the state was read", []string{"status", "--watch", "-o", "json"}},
		{`interrupted: client "x" was not closed`, []string{"evict", "x"}},
		{`interrupted: client "x" was not closed`, []string{"evict", "x", "--force"}},
		{"interrupted: nothing was forgotten", []string{"forget", channel, "-g", "g", "-y"}},
		{"interrupted before all steps were checked", []string{"doctor"}},
	} {
		address, came := silentPort(t)
		p := runProcess(t, server.URL, append([]string{"listen"}, append(c.args, "--timeout", "1m", "--monitor", "http://"+address)...)...)
		came()
		p.signal(syscall.SIGTERM)
		p.endsWith(130, 30*time.Second)
		p.awaitSaying(c.says)
	}
}

// Whether the server executed an unanswered request is unknown.
func TestInterruptedEviction(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true}) // this test answers for the cluster
	nc := server.Nats()
	welcome, err := (&pb.ConnectResponse{CloseRequests: "_STAN.close"}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	closing, err := nc.SubscribeSync("_STAN.close")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe("_STAN.discover.ticketing", func(m *nats.Msg) { _ = m.Respond(welcome) }); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe("_STAN.discover.ticketing.pings", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	p := runProcess(t, server.URL, "listen", "evict", "x", "--force", "--backend", "stan", "--timeout", "1m")
	if _, err := closing.NextMsg(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGINT)
	p.endsWith(130, 30*time.Second)
	p.awaitSaying(`interrupted: whether client "x" was closed is not known`)
}

// A watch that has shown a report ends successfully.
func TestInterruptedWatch(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	p := runProcess(t, server.URL, "listen", "status", "--watch", "-o", "json", "--monitor", server.Monitor)
	p.awaitLines(1)
	p.signal(syscall.SIGTERM)
	p.endsWith(0, 30*time.Second)
	x := onTerminal(t, server, []string{"NATS_MONITOR_URL=" + server.Monitor}, "listen", "status", "--watch")
	x.await(1, "nothing is stuck")
	x.typed("\x03")
	x.exits(0)
	address, came := silentPort(t)
	for _, end := range []func(*terminal){
		func(x *terminal) { x.typed("\x03") },
		func(x *terminal) { _ = x.cmd.Process.Signal(syscall.SIGTERM) },
	} {
		x := onTerminal(t, server, []string{"NATS_MONITOR_URL=http://" + address, "NATS_TIMEOUT=1m"}, "listen", "status", "--watch")
		came()
		x.await(1, "looking ...")
		end(x)
		x.exits(130)
	}
}

// Commands that only read files end on a signal, too, even if their output is not
// read.
func TestInterruptedCatalogue(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"events"}, {"events", channel}, {"events", "export", t.TempDir() + "/new", "--as", "proto"}} {
		unread, blocked := io.Pipe()
		var said strings.Builder
		ctx, stop := context.WithCancel(t.Context())
		stop()
		s := &console.System{Stdin: strings.NewReader(""), Stdout: blocked, Stderr: &said, Getenv: func(string) string { return "" }}
		code := cli.Run(ctx, s, publish.New(s), args)
		if code != 130 || !strings.Contains(said.String(), "interrupted before publish events") {
			t.Errorf("%v: exit code %d: %s", args, code, said.String())
		}
		_ = unread.Close()
	}
}
