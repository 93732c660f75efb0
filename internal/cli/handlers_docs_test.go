package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"nats-test/internal/brokertest"
)

// What docs/handlers.md has is run here, as it stands there.

// readme returns its block of code that has a line which begins with text.
func readme(text string) (block string, err error) {
	all, err := os.ReadFile(filepath.Join("..", "..", "docs", "handlers.md"))
	if err != nil {
		return "", err
	}
	found := 0
	for i, part := range strings.Split("\n"+string(all), "\n```") { // a block is every second
		if _, code, _ := strings.Cut(part, "\n"); i%2 == 1 && strings.Contains("\n"+code, "\n"+text) {
			block = code + "\n"
			found++
		}
	}
	if found != 1 {
		return "", fmt.Errorf("%d blocks of docs/handlers.md have a line %q…, want 1", found, text)
	}
	return block, nil
}

func cmdReadme(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: readme LINE FILE")
	}
	block, err := readme(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(block), 0o700))
}

// onBothBrokers runs a test on a server of each kind.
func onBothBrokers(t *testing.T, test func(t *testing.T, s *brokertest.Server)) {
	for name, config := range map[string]brokertest.Config{"stan": {}, "jetstream": {Plain: true, JetStream: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, brokertest.Start(t, config))
		})
	}
}

// shellChild runs a command of a page in dir, with the programs on its path.
func shellChild(t *testing.T, s *brokertest.Server, dir, command string) *child {
	t.Helper()
	return startChild(t, "sh", "-c", `cd "$1" && PATH=$2:$PATH NATS_URL=$3 NATS_MONITOR_URL=$4 && export PATH NATS_URL NATS_MONITOR_URL && eval "exec $5"`,
		"sh", dir, filepath.Dir(programPath(t, "listen")), s.URL, s.Monitor, command)
}

// The long-lived handlers in three languages do the same, with one event at a time
// and with several.
func TestReadmeLoops(t *testing.T) {
	t.Parallel()
	for file, h := range map[string]struct{ name, tool, command string }{
		"mailer.sh":  {"# mailer.sh", "sh", "./mailer.sh"},
		"mailer.mjs": {"// mailer.mjs", "node", "node mailer.mjs"},
		"mailer.py":  {"# mailer.py", "python3", "python3 mailer.py"},
	} {
		for _, flags := range []string{"", " --max-in-flight 4 --workers 2"} {
			t.Run(file+flags, func(t *testing.T) {
				t.Parallel()
				needTools(t, h.tool)
				program, err := readme(h.name)
				if err != nil {
					t.Fatal(err)
				}
				if n := strings.Count(program, "\n"); n >= 15 {
					t.Errorf("%s has %d lines", file, n)
				}
				onBothBrokers(t, func(t *testing.T, s *brokertest.Server) {
					dir := t.TempDir()
					if err := os.WriteFile(filepath.Join(dir, file), []byte(program), 0o700); err != nil {
						t.Fatal(err)
					}
					runLoop(t, s, dir, h.command, flags)
				})
			})
		}
	}
}

// runLoop has a handler handle five events. The outbox can't be written at first, and
// one event is free.
func runLoop(t *testing.T, s *brokertest.Server, dir, command, flags string) {
	outbox := filepath.Join(dir, "outbox")
	if err := os.Mkdir(outbox, 0o700); err != nil {
		t.Fatal(err)
	}
	publisher := shellChild(t, s, dir, "publish ticket:created --create-stream --data -")
	var events strings.Builder
	for i, title := range []string{"Concert", `O'Brien \"q\" \\ $(x)`, "東京 \u2028 \u2029 \u0085", "free", strings.Repeat("x", 100_000)} {
		fmt.Fprintf(&events, `{"id":"%d","title":"%s","price":%d,"userId":"u"}`+"\n", i, title, len(title)-len("free"))
	}
	publisher.write(events.String())
	publisher.mustEnd()

	listener := shellChild(t, s, dir, "listen ticket:created --group mailer --until-end --create-stream"+flags+" --exec-loop '"+command+"'")
	listener.await("the handler asked for it in 1s")
	if err := os.Remove(outbox); err != nil {
		t.Fatal(err)
	}
	listener.mustEnd()
	if !strings.Contains(listener.stderr.text(), "handled 4 events, ") || !strings.Contains(listener.stderr.text(), ", 1 dead letter\n") {
		t.Errorf("%s says:\n%s", listener.name, listener.stderr.text())
	}
	written, err := os.ReadFile(outbox)
	if err != nil {
		t.Fatal(err)
	}
	for event := range strings.Lines(events.String()) {
		want := 1
		if strings.Contains(event, "free") {
			want = 0
		}
		if got := strings.Count(string(written), `"data":`+strings.TrimSpace(event)+"}\n"); got != want {
			t.Errorf("%.60s is in the outbox %d times, want %d", event, got, want)
		}
	}
}

// The page's curl posts each event to a service, and an error of the service is a
// failed run.
func TestReadmeHTTP(t *testing.T) {
	t.Parallel()
	needTools(t, "curl")
	if out, err := exec.Command("curl", "--json", "", "--version").CombinedOutput(); err != nil {
		leaveOut(t, "curl is too old, 7.82 is needed: "+string(out))
	}
	command, err := readme("listen ticket:created --group hook")
	if err != nil {
		t.Fatal(err)
	}
	onBothBrokers(t, func(t *testing.T, s *brokertest.Server) {
		var mu sync.Mutex
		var posts []string
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			posts = append(posts, fmt.Sprintf("%s %s, %s: %s %v", r.Method, r.URL, r.Header.Get("Content-Type"), body, err))
			if len(posts) == 1 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}))
		t.Cleanup(service.Close)
		const event = `{"id":"1","title":"東京 \"q\" @x","price":1.50,"userId":"u"}`
		publisher := shellChild(t, s, ".", "publish ticket:created --create-stream --data -")
		publisher.write(event + "\n" + event)
		publisher.mustEnd()
		here := strings.Replace(strings.TrimSpace(command), "http://127.0.0.1:8080", service.URL, 1)
		if !strings.Contains(here, service.URL) {
			t.Fatalf("the page's command is %q", command)
		}
		listener := shellChild(t, s, ".", here+" --until-end --create-stream --backoff 10ms..20ms")
		listener.mustEnd()
		if errors := listener.stderr.text(); !strings.Contains(errors, ": exit 22; run 1 of 6") || !strings.Contains(errors, "handled 2 events, 1 retry, 0 dead letters\n") {
			t.Errorf("listen says:\n%s", errors)
		}
		if want := "POST /tickets, application/json: " + event + " <nil>"; len(posts) != 3 || posts[0] != want || posts[1] != want || posts[2] != want {
			t.Errorf("the service got %q, want three of %q", posts, want)
		}
	})
}
