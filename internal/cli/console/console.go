// Package console is the terminal and the command line: streams, messages, colours,
// escaping, kinds of flags, and the one table of errors, exit codes and hints.
//
// The package's rule: only this package prints errors. Exit codes, and hints for
// known errors, are in one table (reasons.go).
package console

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/fatih/color"
	"github.com/spf13/cobra"
)

// A Console prints lines on stderr, each with the program's name. It may be used
// by several goroutines.
type Console struct {
	Quiet  bool   // errors and warnings only
	Before func() // clears the line in progress on the terminal; may be nil

	mu        sync.Mutex
	out       io.Writer
	program   string
	system    *System
	mode      string // --color
	bad, hint *color.Color
}

// AddFlags puts --color and --quiet on a root command.
func AddFlags(cmd *cobra.Command) {
	mode := "auto"
	f := cmd.PersistentFlags()
	AddChoice(cmd, f, &mode, "color", "", "colour: ", "auto", "always", "never (NO_COLOR turns auto off)")
	f.BoolP("quiet", "q", false, "errors and warnings only on stderr")
}

// New returns the console of a running command, with its --color and --quiet.
func New(s *System, cmd *cobra.Command) *Console {
	c := &Console{out: s.Stderr, program: cmd.Root().Name(), system: s}
	c.mode, _ = cmd.Root().PersistentFlags().GetString("color")
	c.bad = c.shade(s.StderrTTY, color.FgRed)
	c.hint = c.shade(s.StderrTTY, color.FgYellow)
	c.Quiet, _ = cmd.Root().PersistentFlags().GetBool("quiet")
	return c
}

// Paint returns a colour for stdout. It is off if --color or NO_COLOR turn it off,
// or if stdout is not a terminal.
func (c *Console) Paint(attributes ...color.Attribute) *color.Color {
	return c.shade(c.system.StdoutTTY, attributes...)
}

func (c *Console) shade(tty bool, attributes ...color.Attribute) *color.Color {
	shade := color.New(attributes...)
	if c.mode == "always" || c.mode != "never" && tty && c.system.Getenv("NO_COLOR") == "" {
		shade.EnableColor()
	} else {
		shade.DisableColor()
	}
	return shade
}

// Say prints a line, unless --quiet is given.
func (c *Console) Say(format string, args ...any) {
	if !c.Quiet {
		c.print(fmt.Sprintf(format, args...))
	}
}

// Warn prints a line, also with --quiet.
func (c *Console) Warn(format string, args ...any) { c.print(fmt.Sprintf(format, args...)) }

// WarnOf prints err, which does not end the command, and the hint for it.
func (c *Console) WarnOf(err error) {
	lines := []string{Printable(err.Error())}
	if h := HintFor(err); h != "" {
		lines = append(lines, c.hint.Sprint("hint: "+Printable(h)))
	}
	c.lines(lines)
}

// Fail prints err with its hint. Each fault of an invalid event has a line of its
// own.
func (c *Console) Fail(err error) {
	lines := faultLines(err)
	for i, l := range lines {
		lines[i] = c.bad.Sprint(Printable(l))
	}
	if d, ok := errors.AsType[*diagnosedError](err); ok && !c.Quiet {
		lines = append(lines, Printable(d.line))
	}
	if h := HintFor(err); h != "" {
		lines = append(lines, c.hint.Sprint("hint: "+Printable(h)))
	}
	c.lines(lines)
}

func (c *Console) print(line string) { c.lines([]string{Printable(line)}) }

func (c *Console) lines(lines []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Before != nil {
		c.Before()
	}
	for _, l := range lines {
		_, _ = fmt.Fprintf(c.out, "%s: %s\n", c.program, l) // an error of stderr can't be reported
	}
}
