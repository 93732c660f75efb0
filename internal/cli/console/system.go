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

// A System is the process as a command sees it.
type System struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string

	StdinShut, StdoutShut bool // a shell closed it (<&-, >&-)

	// Which of them is a terminal.
	StdinTTY, StdoutTTY, StderrTTY bool
	// Width is how many columns stdout has, 0 if it is no terminal.
	Width int
}

// Process returns this process's System. Once ctx is done and nobody reads
// stderr, the process ends: nothing more can be said.
func Process(ctx context.Context) *System {
	stdio.AllowBackground()
	tty := func(f *os.File) bool { return isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()) }
	s := &System{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		StdinShut: stdio.Shut(os.Stdin), StdoutShut: stdio.Shut(os.Stdout),
		StdinTTY: tty(os.Stdin), StdoutTTY: tty(os.Stdout), StderrTTY: tty(os.Stderr),
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
	stderr := &stdio.Timed{Writer: s.Stderr}
	s.Stderr = stderr
	go stdio.WhenUnread(ctx, stderr, nil, func() { os.Exit(ExitFailed) })
	return s
}

// Secret is a user, password or token in the environment. A secret mounted from
// a file ends in a newline, often, and none of them holds one.
func (s *System) Secret(name string) string { return strings.TrimRight(s.Getenv(name), "\r\n") }

// Path is that of a file, with ~ for the home folder: a shell replaces it only
// where it begins a word.
func (s *System) Path(name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok && s.Getenv("HOME") != "" {
		return filepath.Join(s.Getenv("HOME"), rest)
	}
	return name
}
