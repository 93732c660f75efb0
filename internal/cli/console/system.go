package console

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mattn/go-colorable"
	"github.com/mattn/go-isatty"
	"golang.org/x/term"

	"nats-test/internal/cli/stdio"
)

// A System is the process from a command's point of view.
type System struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string

	StdinShut, StdoutShut bool // closed by a shell (<&-, >&-)

	// Whether each is a terminal.
	StdinTTY, StdoutTTY, StderrTTY bool
	// Width is the number of columns of stdout, 0 if it is not a terminal.
	Width int
}

// Process returns the System of this process. Once ctx is done and stderr is
// blocked, it ends the process, since no more can be reported.
func Process(ctx context.Context) *System {
	stdio.AllowBackground()
	tty := func(f *os.File) bool { return isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()) }
	s := &System{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		StdinShut: stdio.Shut(os.Stdin), StdoutShut: stdio.Shut(os.Stdout),
		StdinTTY: tty(os.Stdin), StdoutTTY: tty(os.Stdout), StderrTTY: tty(os.Stderr),
	}
	if s.StdoutTTY {
		s.Width, _, _ = term.GetSize(int(os.Stdout.Fd())) // 0 if unknown
	}
	if s.StdoutTTY { // Windows needs this for colours
		s.Stdout = colorable.NewColorable(os.Stdout)
	}
	if s.StderrTTY {
		s.Stderr = colorable.NewColorable(os.Stderr)
	}
	stderr := &stdio.Timed{Writer: s.Stderr}
	s.Stderr = stderr
	go stdio.WhenUnread(ctx, stderr, nil, func() { os.Exit(ExitFailed) })
	return s
}

// Secret returns a user, password or token from the environment. Secrets mounted
// from files often end in a newline, which is never part of them.
func (s *System) Secret(name string) string { return strings.TrimRight(s.Getenv(name), "\r\n") }

// Path returns a file name with ~ expanded to the home folder: shells expand it
// only at the beginning of a word.
func (s *System) Path(name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok && s.Getenv("HOME") != "" {
		return filepath.Join(s.Getenv("HOME"), rest)
	}
	return name
}
