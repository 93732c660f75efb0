// Package cli holds the two commands, publish and listen: flags become
// options, options become a run, and what happens is told to people on stderr
// and to programs on stdout and by the exit code.
//
// The package's rule: the process's globals are read in [Main] alone, and
// errors are printed in one place.
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

	"nats-test/internal/conn"
	"nats-test/internal/fault"
)

// Main runs the command that build makes in this process, and returns the
// exit code.
func Main(build func(*System) *cobra.Command) int {
	// Both programs turn over many small events and keep few: collecting half
	// as often makes them faster, for a few MiB (make bench).
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	// A closed pipe is an error of the write that meets it, not the silent
	// end of the process in the middle of an event.
	signal.Ignore(syscall.SIGPIPE)
	// net/http writes what a server says out of turn to Go's own log.
	log.SetOutput(io.Discard)
	ctx, stop := conn.UntilSignal(context.Background())
	defer stop()
	defer fault.Exit()
	s := process(ctx)
	cmd := build(s)
	if s.StdoutShut {
		newTeller(s, cmd).fail(errShut)
		return exitCode(errShut)
	}
	t := newTeller(s, cmd)
	strays := divert(t.warn)
	code := Run(ctx, s, cmd, os.Args[1:])
	if err := strays.end(); err != nil && code == exitDone {
		t.fail(err)
		code = exitCode(err)
	}
	return code
}

var errShut = explained(errors.New("stdout is closed: nobody would see what is written there"), errUsage,
	"leave >&- out; `>"+os.DevNull+"` discards the output")

// Run runs cmd with args and returns the exit code.
func Run(ctx context.Context, s *System, cmd *cobra.Command, args []string) int {
	cmd.SetArgs(args)
	cmd.SetIn(s.Stdin)
	cmd.SetOut(s.Stdout)
	cmd.SetErr(s.Stderr)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(flagError)
	onlyShells(cmd, args)
	err := oneDash(cmd, args)
	if err == nil {
		err = cmd.ExecuteContext(ctx)
	}
	if err == nil {
		return exitDone
	}
	if write, ok := err.(*fs.PathError); ok && write.Path == "/dev/stdout" { //nolint:errorlint // of a command that only prints
		err = unwritten(err)
	}
	t := newTeller(s, cmd)
	t.fail(err)
	return exitCode(err)
}
