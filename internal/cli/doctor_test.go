//go:build unix

package cli_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"nats-test/internal/brokertest"
)

// A finding is one record of listen doctor -o json.
type finding struct{ Step, Server, State, Found, Hint string }

// examine runs listen doctor and returns its records by step.
func examine(t *testing.T, url string, code int, args ...string) (map[string]finding, *process) {
	t.Helper()
	p := runProcess(t, url, append([]string{"listen", "doctor", "-o", "json"}, args...)...)
	p.endsWith(code, 30*time.Second)
	steps := make(map[string]finding)
	for _, line := range p.out.lines() {
		var f finding
		if err := json.Unmarshal([]byte(line), &f); err != nil || f.Step == "" || f.Found == "" {
			t.Fatalf("%v: %s", err, line)
		}
		steps[f.Step] = f
	}
	return steps, p
}

// mute returns the URL of a server that says text to each client, and then
// nothing.
func mute(t *testing.T, text string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, text)
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
		for _, c := range open {
			_ = c.Close()
		}
	})
	return "nats://" + listener.Addr().String()
}

// Whatever answers in place of the monitoring port is identified, and publish and
// listen would still work.
func TestDoctorLooksAtTheMonitoringPort(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	other := brokertest.Start(t, brokertest.Config{Plain: true})
	answers := func(answer http.HandlerFunc) string {
		s := httptest.NewServer(answer)
		t.Cleanup(s.Close)
		return s.URL
	}
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
	}
	about := fmt.Sprintf(`{"server_id":%q,"server_name":"n"}`, server.Nats().ConnectedServerId())
	const foreign, hint = "no monitoring port of a NATS server", "--monitor URL"
	for name, test := range map[string]struct{ url, state, words, hint string }{
		"right":    {server.Monitor, "ok", server.Monitor + " belongs to this server", ""},
		"closed":   {"http://127.0.0.1:1", "none", "does not answer (connection refused)", hint},
		"another":  {other.Monitor, "none", "belongs to another server, \"", "--monitor"},
		"clients'": {"http" + strings.TrimPrefix(server.URL, "nats"), "none", foreign + ": it speaks no HTTP", hint},
		"redirect": {answers(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, server.Monitor+"/varz", http.StatusFound)
		}), "none", foreign, hint},
		"HTML":    {answers(text("<html>\x1b[31m")), "none", foreign, hint},
		"half":    {answers(text(about[:20])), "none", foreign, hint},
		"endless": {answers(text(strings.Repeat(" ", 9<<20))), "none", foreign, hint},
		"a name":  {answers(text(`{"server_id":"X","server_name":"` + strings.Repeat(`\u001b[31m`, 1000) + `"}`)), "none", "another server", "--monitor"},
		"no streaming": {answers(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/varz" {
				_, _ = io.WriteString(w, about)
				return
			}
			http.NotFound(w, r)
		}), "ok", "has nothing about NATS Streaming", hint},
	} {
		t.Run(name, func(t *testing.T) {
			steps, p := examine(t, server.URL, 0, "--monitor", test.url)
			f := steps["monitoring"]
			if f.State != test.state || !strings.Contains(f.Found, test.words) || !strings.Contains(f.Hint, test.hint) || (f.Hint == "") != (test.hint == "") {
				t.Errorf("%+v", f)
			}
			if len(f.Found) > 3000 || strings.Contains(p.out.all()+p.errors.all(), "\x1b") {
				t.Errorf("%q", p.out.all())
			}
		})
	}
}

// A server that hangs delays the programs only for a limited time, and is reported
// in the short diagnosis, too.
func TestDoctorMeetsAHungServer(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	server.Freeze()
	defer server.Thaw()
	begin := time.Now()
	steps, p := examine(t, server.URL, 3, "--timeout", "400ms")
	if f := steps["nats"]; f.State != "fault" || !strings.Contains(f.Found, "says nothing") || !p.says("hint: the server may be stopped or overloaded") {
		t.Errorf("%+v", f)
	}
	for _, args := range [][]string{{"publish", "ticket:created", "--sample"}, {"listen", "ticket:created"}} {
		q := runProcess(t, server.URL, append(args, "--timeout", "400ms")...)
		q.endsWith(3, 30*time.Second)
		if !q.says("checked: name 127.0.0.1 ok, TCP ok, NATS silent (`listen doctor` shows more)") || !q.says("hint: the server may be stopped or overloaded") {
			t.Errorf("%s says %s", q, q.errors.all())
		}
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

// Ctrl-C ends a diagnosis at once, whether it was asked for or not.
func TestDoctorIsInterrupted(t *testing.T) {
	t.Parallel()
	url := mute(t, "")
	p := runProcess(t, url, "listen", "doctor", "--timeout", "5m")
	p.awaitLines(2)
	p.signal(syscall.SIGINT)
	p.endsWith(130, 10*time.Second)
	if p.says("hint:") {
		t.Error(p.errors.all())
	}
}

// A listener that waits for its server is not diagnosed at each attempt.
func TestWaitingListenerIsNotDiagnosed(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	p := runProcess(t, server.URL, "listen", "ticket:created")
	p.awaitSaying("listening to ticket:created")
	server.Kill()
	brokertest.Eventually(t, "it tried again and again", func() bool { return strings.Count(p.errors.all(), "joining again in") >= 3 })
	p.signal(syscall.SIGINT)
	p.endsWith(0, 10*time.Second)
	if p.says("checked:") {
		t.Error(p.errors.all())
	}
}

// Text from the server moves no cursor, and is wrapped on a narrow terminal.
func TestDoctorOnATerminal(t *testing.T) {
	t.Parallel()
	hostile := mute(t, `INFO {"server_id":"X","version":"\u001b]0;owned\u0007","server_name":"`+strings.Repeat("long name ", 30)+"\u202e\"}\r\n")
	garbage := mute(t, "\x1b]0;owned\x07\xc2\x9b31m\r\n")
	for _, output := range []string{"text", "json"} {
		for _, url := range []string{hostile, garbage} {
			x := onTerminal(t, &brokertest.Server{URL: url}, []string{"NO_COLOR=1"}, "listen", "doctor", "--timeout", "300ms", "-o", output)
			x.exits(3)
			for _, bad := range []string{"\x1b", "\x07", "\u009b", "\u202e"} {
				if strings.Contains(x.seen(), bad) {
					t.Errorf("-o %s: %q gets through: %q", output, bad, x.seen())
				}
			}
			if !strings.Contains(x.seen(), "owned") {
				t.Errorf("nothing to see: %q", x.seen())
			}
		}
	}
	server := brokertest.Start(t, brokertest.Config{JetStream: true})
	x := onTerminal(t, server, nil, "listen", "doctor", "--backend", "jetstream")
	x.exits(3)
	for _, want := range []string{"\x1b[32mok\x1b[0m      TCP         connected to", "\x1b[31mfault\x1b[0m   stream      no stream stores ticket:created"} {
		if !strings.Contains(x.seen(), want) {
			t.Errorf("no %q in\n%s", want, x.seen())
		}
	}
}

func TestDoctorOnANarrowTerminal(t *testing.T) {
	t.Parallel()
	const columns = 40
	server := brokertest.Start(t, brokertest.Config{JetStream: true})
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	// Only stdout is the terminal: stderr is not wrapped.
	cmd := exec.Command(filepath.Join(bin, "listen"), "doctor", "--backend", "jetstream", "--server", server.URL)
	cmd.Env = []string{"HOME=" + t.TempDir(), "NO_COLOR=1"}
	cmd.Stderr = io.Discard
	tty, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tty.Close() }()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = terminal
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = terminal.Close()
	seen, err := io.ReadAll(tty)
	if err != nil && !errors.Is(err, syscall.EIO) { // EIO is how a terminal ends
		t.Fatal(err)
	}
	_ = cmd.Wait()
	lines := strings.Split(strings.TrimRight(string(seen), "\r\n"), "\r\n")
	if len(lines) < 12 || !strings.HasPrefix(lines[0], "ok name: 127.0.0.1 is an address") {
		t.Errorf("%q", lines)
	}
	for _, line := range lines {
		if len(line) > columns {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
}

// A reader that has had enough ends the doctor.
func TestDoctorWithoutAReader(t *testing.T) {
	t.Parallel()
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	cmd := exec.Command(filepath.Join(bin, "listen"), "doctor", "--timeout", "5m", "--server", mute(t, ""))
	cmd.Stdout = write
	var said strings.Builder
	cmd.Stderr = &said
	_ = cmd.Run()
	_ = write.Close()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(said.String(), "listen: writing to stdout: ") {
		t.Errorf("exit code %d: %s", code, said.String())
	}
}
