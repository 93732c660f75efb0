//go:build unix

package cli_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/nats-io/nats.go"

	"nats-test/internal/brokertest"
)

// Under timeout, or behind &, the terminal belongs to others: a watch draws there
// and leaves its modes alone.
func TestWatchInTheBackground(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	pid := filepath.Join(t.TempDir(), "pid")
	cmd := exec.Command("sh", "-c", `set -m; listen status --watch & echo $! >"$0"; wait $!; echo "ended with $?"`, pid)
	cmd.Env = []string{"TERM=xterm-256color", "HOME=" + t.TempDir(), "PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"NATS_URL=" + server.URL, "NATS_MONITOR_URL=" + server.Monitor}
	x := runOnTerminal(t, 100, cmd)
	watching := 0
	brokertest.Eventually(t, "the watch has begun", func() bool {
		text, err := os.ReadFile(pid)
		watching, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil && watching > 0
	})
	t.Cleanup(func() { _ = syscall.Kill(watching, syscall.SIGKILL) }) // also where it was stopped
	x.await(1, "nothing is stuck")
	x.await(1, "as of ")
	if err := syscall.Kill(watching, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	x.await(1, "ended with 0")
}

func TestWatchOnATerminal(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		store(t, server, 3)
		p, id := member(t, server)
		p.awaitLines(3)
		for how, end := range map[string]func(x *terminal){
			"q":       func(x *terminal) { x.typed("q") },
			"Ctrl-C":  func(x *terminal) { x.typed("\x03") },
			"SIGTERM": func(x *terminal) { _ = x.cmd.Process.Signal(syscall.SIGTERM) },
		} {
			x := onTerminal(t, server, []string{"NATS_MONITOR_URL=" + server.Monitor}, "listen", "status", "--watch")
			x.await(1, "\x1b[?1049h") // the alternate screen
			x.await(1, "nothing is stuck")
			x.await(1, id[:10])
			x.await(1, "q quits, arrows scroll")
			end(x)
			x.exits(0)
			if !strings.Contains(x.seen(), "\x1b[?1049l") {
				t.Errorf("%s: the terminal is not as it was", how)
			}
		}
		// Changes are shown without a key press.
		x := onTerminal(t, server, []string{"NATS_MONITOR_URL=" + server.Monitor}, "listen", "status", "--watch")
		x.await(1, "nothing is stuck")
		p.kill()
		store(t, server, 2)
		x.await(1, "stuck: ")
		x.typed("q")
		x.exits(0)
	})
}

// Where there are few lines, arrows show the rest; few columns make a list.
func TestWatchScrolls(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	for _, subject := range []string{"a.one", "b.two", "c.three", "d.four", "e.five", "f.six", "g.seven", "h.eight"} {
		publishNow(t, server, subject, "--raw", "--data", "x")
	}
	x := onTerminal(t, server, []string{"NATS_MONITOR_URL=" + server.Monitor}, "listen", "status", "--watch")
	x.await(1, "h.eight")
	if err := pty.Setsize(x.tty, &pty.Winsize{Rows: 8, Cols: 40}); err != nil {
		t.Fatal(err)
	}
	x.await(1, "lines 1-7 of") // of a foot that is cut
	before := strings.Count(x.seen(), "h.eight")
	x.typed("\x1b[F") // End
	x.await(before+1, "h.eight")
	x.typed("\x1b[H\x1b[B\x1b[A") // Home, down, up
	x.typed("q")
	x.exits(0)
	for _, line := range strings.Split(x.seen(), "\n") {
		if strings.Contains(line, "DATA RACE") {
			t.Error(line)
		}
	}
}

func TestStatusOnANarrowTerminal(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	store(t, server, 7)
	p, _ := member(t, server, "--max-in-flight", "3", "--no-ack")
	p.awaitLines(3)
	p.signal(syscall.SIGTERM)
	p.endsWith(0, 30*time.Second)
	for _, columns := range []uint16{40, 80, 200} {
		x := onTerminalOf(t, columns, server, []string{"NO_COLOR=1", "NATS_MONITOR_URL=" + server.Monitor}, "listen", "status")
		x.exits(1)
		for line := range strings.Lines(x.seen()) {
			if width := len([]rune(strings.TrimRight(line, "\r\n"))); width > int(columns) && !strings.HasPrefix(line, "listen: ") {
				t.Errorf("%d columns on %d: %q", width, columns, line)
			}
		}
		if text := strings.Join(strings.Fields(x.seen()), " "); !strings.Contains(text, "group g is offline and 7 events behind on ticket:created") {
			t.Errorf("on %d columns: %s", columns, x.seen())
		}
	}
}

// A stream of reports continues while the server is down.
func TestWatchAsJSON(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		p := runProcess(t, server.URL, "listen", "status", "--watch", "-o", "json", "--monitor", server.Monitor, "--timeout", "500ms")
		p.awaitLines(2)
		server.Kill()
		p.awaitSaying("hint: ")
		server.Restart()
		p.awaitLines(len(p.out.lines()) + 2)
		p.signal(syscall.SIGINT)
		p.endsWith(0, 30*time.Second)
		for _, line := range p.out.lines() {
			var j judged
			if err := json.Unmarshal([]byte(line), &j); err != nil || !j.Healthy {
				t.Errorf("%v: %s", err, line)
			}
		}
	})
}

// A server's names of channels and clients are escaped on a terminal.
func TestStatusOfHostileNames(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	const bad = `\u001b]0;owned\u0007\u009b31m\u202e`
	answers := map[string]string{
		"/streaming/serverz":  `{"cluster_id":"ticketing"}`,
		"/streaming/storez":   `{}`,
		"/streaming/clientsz": `{"total":1,"clients":[{"id":"me` + bad + `","hb_inbox":"_INBOX.x"}]}`,
		"/streaming/channelsz": `{"total":1,"channels":[{"name":"c` + bad + `","last_seq":9,"first_seq":1,"subscriptions":[
			{"client_id":"me` + bad + `","queue_name":"d:g` + bad + `","is_durable":true,"pending_count":3}]}]}`,
	}
	monitor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(answers[r.URL.Path])) }))
	defer monitor.Close()
	// A NATS server which answers for the cluster.
	nc := server.Nats()
	if _, err := nc.Subscribe("_STAN.discover.ticketing.pings", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"-o", "json"}, {"--watch"}} {
		x := onTerminal(t, server, []string{"NO_COLOR=1", "NATS_MONITOR_URL=" + monitor.URL},
			"listen", append([]string{"status", "--backend", "stan"}, args...)...)
		x.await(1, `\u202e`)
		if len(args) == 1 {
			x.typed("q")
			x.exits(0)
		} else {
			x.exits(1)
		}
		for _, bad := range []string{"\x1b]0;owned", "\x07", "\u009b", "\u202e"} {
			if strings.Contains(x.seen(), bad) {
				t.Errorf("%v: %q gets through: %q", args, bad, x.seen())
			}
		}
	}
}

// In a loop that reads lines, these are not keys.
func TestWatchLeavesStdinAlone(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	lines, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lines.Close() }()
	if _, err := feed.WriteString("q\n"); err != nil {
		t.Fatal(err)
	}
	_ = feed.Close()
	cmd := exec.Command(filepath.Join(bin, "listen"), "status", "--watch")
	cmd.Env = []string{"TERM=xterm-256color", "NATS_URL=" + server.URL, "NATS_MONITOR_URL=" + server.Monitor}
	cmd.Stdin, cmd.SysProcAttr = lines, &syscall.SysProcAttr{Ctty: 1} // its terminal is stdout
	x := runOnTerminal(t, 100, cmd)
	x.await(1, "nothing is stuck")
	store(t, server, 1)
	x.await(1, subject)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	x.exits(0)
	if left, err := io.ReadAll(lines); err != nil || string(left) != "q\n" {
		t.Errorf("left are %q, %v", left, err)
	}
}
