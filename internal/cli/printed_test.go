//go:build unix

package cli_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"nats-test/internal/brokertest"
	"nats-test/internal/cli"
	"nats-test/internal/cli/console"
	"nats-test/internal/cli/publish"
)

// A fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: errors.New("no space left")}
}

// A failed write to stdout gives an exit code, and a report of the events stored
// nevertheless.
func TestStdoutTakesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		for _, c := range []struct{ args, says string }{
			{"--help", ""},
			{"help", ""},
			{"events --help", ""},
			{"--version", ""},
			{"events", ""},
			{"completion bash", ""},
			{channel + " --sample --create-stream", "publish: 1 event acked before the error\n"},
			{channel + " --sample --quiet", "publish: 1 event acked before the error\n"},
			{channel + " --sample -n 3", "of 3 events acked before the error\n"},
		} {
			var said strings.Builder
			s := &console.System{Stdin: strings.NewReader(""), Stdout: fullDisk{}, Stderr: &said, Getenv: func(string) string { return "" }}
			code := cli.Run(t.Context(), s, publish.New(s), append(strings.Fields(c.args), "--server", server.URL))
			if code != 1 || !strings.Contains(said.String(), "publish: writing to stdout: no space left\n") || !strings.Contains(said.String(), c.says) {
				t.Errorf("publish %s: exit code %d: %s", c.args, code, said.String())
			}
		}
	})
}
