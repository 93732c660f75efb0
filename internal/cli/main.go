// Package cli runs a command, publish or listen, as this process. Messages for people
// go to stderr; programs read stdout and the exit code.
//
// The package's rule: a command sees the process only through its [console.System],
// which console.Process makes, and errors are printed in one place.
package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"nats-test/internal/cli/console"
	"nats-test/internal/cli/stdio"
	"nats-test/internal/fault"
)

// Main runs the command that build makes in this process, and returns the
// exit code.
func Main(build func(*console.System) *cobra.Command) int {
	// Both programs allocate many short-lived events: with half as many collections
	// they are faster, at the cost of a few MiB (make bench).
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	// A closed pipe is an error of the write, not a silent end of the process in
	// the middle of an event.
	signal.Ignore(syscall.SIGPIPE)
	// net/http logs unsolicited responses of servers.
	log.SetOutput(io.Discard)
	ctx, stop := console.UntilSignal(context.Background())
	defer stop()
	defer fault.Exit()
	s := console.Process(ctx)
	cmd := build(s)
	tell := console.New(s, cmd)
	if s.StdoutShut {
		tell.Fail(errShut)
		return console.ExitCode(errShut)
	}
	strays := stdio.Divert(tell.Warn)
	code := Run(ctx, s, cmd, os.Args[1:])
	if err := strays.End(); err != nil && code == console.ExitDone {
		tell.Fail(err)
		code = console.ExitCode(err)
	}
	return code
}

var errShut = console.Explained(errors.New("stdout is closed: the output would be lost"), console.ErrUsage,
	"leave >&- out; `>"+os.DevNull+"` discards the output")

// Run runs cmd with args and returns the exit code.
func Run(ctx context.Context, s *console.System, cmd *cobra.Command, args []string) int {
	cmd.SetArgs(args)
	cmd.SetIn(s.Stdin)
	out := &printed{Writer: s.Stdout}
	cmd.SetOut(out)
	cmd.SetErr(s.Stderr)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(console.FlagError)
	onlyShells(cmd, args)
	err := oneDash(cmd, args)
	if err == nil {
		err = cmd.ExecuteContext(ctx)
	}
	if err == nil && out.err != nil {
		err = stdio.Unwritten(out.err)
	}
	if err == nil {
		return console.ExitDone
	}
	if write, ok := err.(*fs.PathError); ok && write.Path == "/dev/stdout" { //nolint:errorlint // from a command that only prints
		err = stdio.Unwritten(err)
	}
	console.New(s, cmd).Fail(err)
	return console.ExitCode(err)
}

// printed keeps the first error of writing help and the like, which cobra ignores.
type printed struct {
	io.Writer
	err error
}

func (p *printed) Write(b []byte) (int, error) {
	n, err := p.Writer.Write(b)
	if p.err == nil {
		p.err = err
	}
	return n, err
}
