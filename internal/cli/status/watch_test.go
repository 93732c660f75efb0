//go:build unix

package status

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/spf13/cobra"

	"nats-test/internal/cli/console"
)

const panicking = "STATUS_TEST_PANICKING"

func TestMain(m *testing.M) {
	if os.Getenv(panicking) != "" {
		os.Exit(watchThatPanics())
	}
	os.Exit(m.Run())
}

// watchThatPanics is a watch on this process's terminal.
func watchThatPanics() int {
	s := &console.System{Stdin: os.Stdin, Stdout: os.Stdout, Getenv: os.Getenv, StdinTTY: true, StdoutTTY: true, Width: 80}
	look := func(context.Context) (*report, error) { panic("odds") }
	if watch(context.Background(), s, paintReport(console.New(s, &cobra.Command{})), look) != nil {
		return console.ExitUsage
	}
	return console.ExitDone
}

// A watch that panics gives the terminal back, and says so in a line.
func TestPanicOfAWatch(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{panicking + "=1", "TERM=xterm-256color"}
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tty.Close() }()
	seen, _ := io.ReadAll(tty) // ends with an error when the program has ended
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	screen, said, _ := strings.Cut(string(seen), "\x1b[?1049l") // leaves the other screen
	if !strings.Contains(said, "a fault of this program: odds\r\n") || strings.Contains(said, "goroutine") {
		t.Errorf("after %q it says %q", screen, said)
	}
}
