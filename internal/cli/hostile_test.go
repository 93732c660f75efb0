//go:build unix

package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
)

// Text from others, with all classes of control and invisible characters.
const (
	controls = "\a\b\x7f\u0085\u009b31m"                                                            // C0, DEL and C1
	escapes  = "\x1b[2J\x1b]0;owned\a\x1b]8;;http://example.org\x1b\\link\x1b]52;c;aGk=\x1b\\"      // CSI, OSC 0, 8 and 52
	unseen   = "\u202e\u2066\u061c\u200b\u200d\u2060\ufeff\u00ad\u3164\U000e0041\u2028\u2029\u034f" // bidi, zero width, line ends
)

// odd is unseen as far as a server accepts it in a stream's name and returns it in
// JSON.
var odd = strings.ReplaceAll(unseen, "\U000e0041", "")

// safe fails the test if control sequences or invisible characters reached a
// terminal.
func safe(t *testing.T, what, screen string) {
	t.Helper()
	for _, r := range strings.ReplaceAll(screen, "\r\n", "\n") {
		hidden := unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == '\u3164' || r == '\u034f'
		if r != '\n' && unicode.IsControl(r) || hidden {
			t.Errorf("%s: %q gets through: %q", what, r, screen)
			return
		}
	}
}

// onScreen runs a program to its end, and returns its terminal output.
func onScreen(t *testing.T, server *brokertest.Server, env, args []string) string {
	t.Helper()
	x := onTerminal(t, server, append([]string{"NO_COLOR=1"}, env...), args[0], args[1:]...)
	select {
	case <-x.done:
		_ = x.cmd.Wait()
	case <-time.After(30 * time.Second):
		t.Errorf("%q does not end: %q", args, x.seen())
	}
	return x.seen()
}

// hostileBroker has a stream, a consumer, a member and events that others named.
func hostileBroker(t *testing.T) *brokertest.Server {
	t.Helper()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	js := server.JetStream()
	t.Cleanup(js.Conn().Close)
	for _, s := range []struct{ name, subject string }{{"odd" + odd, "odd" + odd}, {"expiration", "expiration:complete"}} {
		config := conn.NewStream(s.subject, 1)
		config.Name, config.Description = s.name, controls+escapes+unseen
		stream, err := js.CreateStream(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
			Durable: "durable" + odd, AckPolicy: jetstream.AckExplicitPolicy, Description: controls + escapes + unseen,
			Metadata: map[string]string{"note": controls + escapes + unseen},
		}); err != nil {
			t.Fatal(err)
		}
		order, _ := json.Marshal(controls + escapes + unseen) // a string always marshals
		for _, data := range []string{fmt.Sprintf(`{"orderId":%s}`, order), fmt.Sprintf(`{"orderId":"%s","odd%s":1}`, unseen, unseen), controls + escapes + unseen} {
			if _, err := js.Publish(t.Context(), s.subject, []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return server
}

// Text from any source reaches a terminal without control sequences and invisible
// characters.
func TestNothingHostileReachesATerminal(t *testing.T) {
	t.Parallel()
	server := hostileBroker(t)
	dir := t.TempDir()
	catalogue := hostileCatalogue(t, dir)
	file := filepath.Join(dir, "file"+unseen+escapes[:4])
	must(t, os.WriteFile(file, []byte(`{"`+unseen+`":1}`), 0o600))
	contexts := filepath.Join(dir, "nats", "context")
	must(t, os.MkdirAll(contexts, 0o700))
	for name, text := range map[string]string{
		"unreadable": unseen + controls + escapes,
		"url":        jsonOf(t, map[string]string{"url": "nats://" + unseen + ":1", "description": unseen}),
		"creds":      jsonOf(t, map[string]string{"url": server.URL, "creds": "/nowhere/" + unseen + controls}),
		"domain":     jsonOf(t, map[string]string{"url": server.URL, "jetstream_domain": "domain" + unseen}),
	} {
		must(t, os.WriteFile(filepath.Join(contexts, name+".json"), []byte(text), 0o600))
	}
	shown, rows := 0, 0
	for _, args := range [][]string{
		{"listen", "expiration:complete", "--until-end"},
		{"listen", "expiration:complete", "--until-end", "--raw"},
		{"listen", "expiration:complete", "--until-end", "--raw", "-o", "json"},
		{"listen", "expiration:complete", "--until-end", "--raw", "-o", "raw"},
		{"listen", "odd" + odd, "--until-end", "--raw"},
		{"listen", "odd" + odd, "--until-end", "--raw", "-o", "json"},
		{"listen", "nowhere" + unseen, "--raw"},
		{"listen", "nowhere" + unseen},
		{"listen", "expiration:complete", "--group", "g" + unseen, "--until-end"},
		{"listen", "expiration:complete", "--durable", "durable" + odd, "--stream", "nowhere" + odd},
		{"listen", "expiration:complete", "--deliver", unseen + escapes},
		{"listen", "status"},
		{"listen", "status", "-o", "json"},
		{"listen", "status", "odd" + odd},
		{"listen", "status", "nowhere" + odd},
		{"listen", "doctor", "nowhere" + odd, "odd" + odd},
		{"listen", "doctor", "nowhere" + odd, "-o", "json"},
		{"listen", "forget", "--group", "durable" + odd, "nowhere" + odd, "--yes"},
		{"publish", "odd" + odd, "--raw", "--data", "x"},
		{"publish", "odd" + odd, "--raw", "--data", "x", "-o", "json", "--id", "id" + odd},
		{"publish", "odd" + odd, "--raw", "--data", unseen + escapes, "--dry-run"},
		{"publish", "ticket:created", "--data", "@" + file},
		{"publish", "ticket:created", "--data", `{"odd` + unseen + `":1}`},
		{"publish", "ticket:created", "--data", `{"id":"` + unseen + escapes + `"`},
		{"publish", "ticket:created", "--data", "@/nowhere/" + unseen + escapes},
		{"publish", "ticket:created", "--sample", "--header", unseen + ": x"},
		{"publish", "nowhere" + unseen + escapes, "--sample"},
		{"publish", "--" + unseen + escapes},
		{"publish", "events", unseen + escapes},
		{"publish", "events", "--catalog", catalogue},
		{"publish", "events", "odd", "--catalog", catalogue},
		{"publish", "events", "check", catalogue},
		{"publish", "events", "check", filepath.Join(dir, "nowhere"+unseen+escapes)},
		{"publish", "events", "diff", catalogue, filepath.Join(dir, "nowhere"+unseen+escapes)},
		{"publish", "events", "export", filepath.Join("/proc", unseen+escapes), "--as", "proto"},
		{"publish", "ticket:created", "--sample", "--context", "unreadable" + unseen},
		{"publish", "ticket:created", "--sample", "--context", "url"},
		{"publish", "ticket:created", "--sample", "--context", "creds"},
		{"publish", "ticket:created", "--sample", "--context", "domain"},
		{"listen", "doctor", "--context", "url"},
		{"listen", "doctor", "--server", "nats://" + unseen + ",nats://127.0.0.1:1"},
		{"listen", "status", "--server", "nats://" + unseen},
		{"publish", "ticket:created", "--sample", "--tlsca", "/nowhere/" + unseen + escapes},
		{"publish", "ticket:created", "--sample", "--cluster", "c" + unseen},
		{"publish", "ticket:created", "--sample", "--client-id", "c" + unseen, "--backend", "stan"},
		{"publish", "ticket:created", "--sample", "--timeout", "1" + unseen},
	} {
		env := []string{"XDG_CONFIG_HOME=" + dir}
		if slices.Contains(args, "--context") {
			env = append(env, "NATS_URL=")
		}
		screen := onScreen(t, server, env, args)
		safe(t, fmt.Sprintf("%q", args), screen)
		if rows++; strings.Contains(screen, `\u202e`) {
			shown++
		} else {
			t.Logf("%q shows none of it: %q", args, screen)
		}
	}
	// The watch moves the cursor itself.
	x := onTerminal(t, server, []string{"NO_COLOR=1"}, "listen", "status", "--watch")
	x.await(1, `\u202e`)
	x.typed("q")
	x.exits(0)
	if screen := x.seen(); strings.ContainsAny(screen, unseen+"\u0085\u009b\a") || strings.Contains(screen, "\x1b]52") {
		t.Errorf("the watch: %q", screen)
	}
	if shown < rows*9/10 {
		t.Errorf("only %d of %d screens show what was hostile, escaped", shown, rows)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return string(text)
}

// hostileCatalogue has an event called odd, and faults.
func hostileCatalogue(t *testing.T, dir string) string {
	t.Helper()
	folder := filepath.Join(dir, "catalogue")
	must(t, os.MkdirAll(folder, 0o700))
	schema := jsonOf(t, map[string]any{"type": "object", "description": unseen + escapes, "properties": map[string]any{"p" + unseen: map[string]any{"type": "string"}}})
	must(t, os.WriteFile(filepath.Join(folder, "odd.json"), []byte(schema), 0o600))
	quote := strconv.QuoteToASCII // YAML knows its escapes
	manifest := fmt.Sprintf("events:\n  odd:\n    description: %s\n    contract: odd.json\n    example: %s\n  %s:\n    contract: %s\n",
		quote(controls+escapes+unseen), quote(`{"p`+unseen+`": 1}`), quote("odd"+unseen), quote("none"+unseen+".json"))
	must(t, os.WriteFile(filepath.Join(folder, "events.yaml"), []byte(manifest), 0o600))
	return folder
}
