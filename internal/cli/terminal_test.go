//go:build unix

package cli_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"nats-test/internal/brokertest"
)

// A terminal is a program on a pseudo-terminal, with its screen and keys.
type terminal struct {
	t   *testing.T
	tty *os.File
	cmd *exec.Cmd

	mu     sync.Mutex
	screen bytes.Buffer
	done   chan struct{}
}

func onTerminal(t *testing.T, server *brokertest.Server, env []string, program string, args ...string) *terminal {
	t.Helper()
	return onTerminalOf(t, 100, server, env, program, args...)
}

// onTerminalOf runs a program on a terminal with the given number of columns.
func onTerminalOf(t *testing.T, columns uint16, server *brokertest.Server, env []string, program string, args ...string) *terminal {
	t.Helper()
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, program), args...)
	cmd.Env = append([]string{"TERM=xterm-256color", "HOME=" + t.TempDir(), "NATS_URL=" + server.URL}, env...)
	return runOnTerminal(t, columns, cmd)
}

// runOnTerminal starts cmd there. A stdin that it has already stays.
func runOnTerminal(t *testing.T, columns uint16, cmd *exec.Cmd) *terminal {
	t.Helper()
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: columns})
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, tty: tty, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(x.done)
		_, err := io.Copy(x, tty)
		if err != nil && !errors.Is(err, syscall.EIO) { // EIO is how a terminal ends
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-x.done
		_ = tty.Close()
	})
	return x
}

func (x *terminal) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.Write(p)
}

func (x *terminal) seen() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.String()
}

func (x *terminal) await(n int, text string) {
	x.t.Helper()
	brokertest.Eventually(x.t, "the terminal shows "+text, func() bool { return strings.Count(x.seen(), text) >= n })
}

func (x *terminal) typed(keys string) {
	x.t.Helper()
	if _, err := x.tty.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) exits(code int) {
	x.t.Helper()
	<-x.done
	_ = x.cmd.Wait()
	if got := x.cmd.ProcessState.ExitCode(); got != code {
		x.t.Errorf("exit code %d, want %d:\n%s", got, code, x.seen())
	}
}

// publishNow runs publish to its end.
func publishNow(t *testing.T, server *brokertest.Server, args ...string) {
	t.Helper()
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "publish"), append(args, "--server", server.URL)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestListenOnATerminal(t *testing.T) {
	t.Parallel()
	for backend, config := range map[string]brokertest.Config{
		"stan":      {},
		"jetstream": {Plain: true, JetStream: true},
	} {
		t.Run(backend, func(t *testing.T) {
			server := brokertest.Start(t, config)
			publishNow(t, server, "ticket:created", "--sample", "--create-stream")
			x := onTerminal(t, server, nil, "listen", "ticket:created", "-g", "g")
			x.await(1, "\x1b[36mticket:created\x1b[0m") // in colour
			x.typed("what\nrs\n")
			x.await(1, "listen: restarting")
			x.await(2, "listening to ticket:created in group g")
			if ids := strings.Count(x.seen(), "client listen-"); ids != 2 {
				t.Errorf("%d client IDs", ids)
			}
			publishNow(t, server, "ticket:created", "--sample")
			x.await(1, "#2")
			x.typed("\x03") // Ctrl-C
			x.exits(0)
			if !strings.Contains(x.seen(), "handled 2 events") {
				t.Error(x.seen())
			}
		})
	}
}

// Events of any content and in any format reach a terminal without control
// sequences.
func TestTerminalIsSafe(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	hostile := "{\"orderId\":\"\x7f\u009b31m\u202e\"}"
	publishNow(t, server, "expiration:complete", "--data", hostile)
	publishNow(t, server, "expiration:complete", "--raw", "--data", "\x1b]0;owned\x07\r\nline")
	for _, output := range []string{"text", "json", "raw"} {
		for _, raw := range []string{"--raw=true", "--raw=false"} {
			x := onTerminal(t, server, []string{"NO_COLOR=1"}, "listen", "expiration:complete", "--until-end", "-o", output, raw)
			<-x.done
			_ = x.cmd.Wait()
			for _, bad := range []string{"\x1b", "\x07", "\x7f", "\u009b", "\u202e"} {
				if strings.Contains(x.seen(), bad) {
					t.Errorf("-o %s %s: %q gets through: %q", output, raw, bad, x.seen())
				}
			}
			if !strings.Contains(x.seen(), `\u202e`) {
				t.Errorf("-o %s %s: nothing to see: %q", output, raw, x.seen())
			}
		}
	}
}

func TestProgressBar(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	x := onTerminal(t, server, nil, "publish", "ticket:created", "--sample", "-n", "150", "--rate", "100")
	x.await(1, "publishing")
	x.exits(0)
	if !strings.Contains(x.seen(), "/150") || strings.Count(x.seen(), "Event published to subject ticket:created") != 150 {
		t.Error(x.seen())
	}
	quick := onTerminal(t, server, nil, "publish", "ticket:created", "--sample", "-n", "3")
	quick.exits(0)
	if strings.Contains(quick.seen(), "publishing") {
		t.Error("a bar for what takes no second")
	}
}
