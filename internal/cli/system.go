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

	"github.com/mattn/go-colorable"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nats-test/internal/conn"
	"nats-test/internal/fault"
)

// A System is what a command sees of the process it runs in.
type System struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string

	StdinShut bool // a shell closed it (<&-)

	// Which of them is a terminal.
	StdinTTY, StdoutTTY, StderrTTY bool
	// Width is how many columns stdout has, 0 if it is no terminal.
	Width int
}

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
	allowBackground()
	ctx, stop := conn.UntilSignal(context.Background())
	defer stop()
	defer fault.Exit()
	tty := func(f *os.File) bool { return isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()) }
	s := &System{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		StdinShut: shut(os.Stdin),
		StdinTTY:  tty(os.Stdin), StdoutTTY: tty(os.Stdout), StderrTTY: tty(os.Stderr),
	}
	if s.StdoutTTY {
		s.Width, _, _ = term.GetSize(int(os.Stdout.Fd())) // 0 if it can't be told
	}
	if s.StdoutTTY { // on Windows, these understand colours
		s.Stdout = colorable.NewColorable(os.Stdout)
	}
	if s.StderrTTY {
		s.Stderr = colorable.NewColorable(os.Stderr)
	}
	stderr := &timed{Writer: s.Stderr}
	s.Stderr = stderr
	go whenUnread(ctx, stderr, nil, func() { os.Exit(exitFailed) }) // nothing more can be said
	cmd := build(s)
	if shut(os.Stdout) {
		newTeller(s, cmd).fail(errShut)
		return exitCode(errShut)
	}
	t := newTeller(s, cmd)
	strays := divert(t)
	code := Run(ctx, s, cmd, os.Args[1:])
	if err := strays.end(); err != nil && code == exitDone {
		t.fail(err)
		code = exitCode(err)
	}
	return code
}

var errShut = &explained{errors.New("stdout is closed: nobody would see what is written there"), errUsage,
	"leave >&- out; `>" + os.DevNull + "` discards the output"}

// Run runs cmd with args and returns the exit code.
func Run(ctx context.Context, s *System, cmd *cobra.Command, args []string) int {
	cmd.SetArgs(args)
	cmd.SetIn(s.Stdin)
	out := &printed{Writer: s.Stdout}
	cmd.SetOut(out)
	cmd.SetErr(s.Stderr)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, "%w", err) })
	onlyShells(cmd, args)
	err := oneDash(cmd, args)
	if err == nil {
		err = cmd.ExecuteContext(ctx)
	}
	if err == nil && out.err != nil {
		err = unwritten(out.err)
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

// printed keeps the first error of writing what cobra prints by itself, such as
// help: cobra doesn't look at it.
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
