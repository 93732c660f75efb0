package cli

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/fatih/color"
	"github.com/spf13/cobra"
)

// A teller prints lines on stderr, each with the program's name. It may be used by several goroutines.
type teller struct {
	mu      sync.Mutex
	out     io.Writer
	program string
	quiet   bool
	before  func() // clears what stands on the terminal's line; may be nil

	system    *System
	mode      string // --color
	bad, hint *color.Color
}

// addConsoleFlags puts the flags on a root command that say how much it says, and how.
func addConsoleFlags(cmd *cobra.Command) {
	mode := "auto"
	f := cmd.PersistentFlags()
	addChoice(cmd, f, &mode, "color", "", "colour: ", "auto", "always", "never (NO_COLOR turns auto off)")
	f.BoolP("quiet", "q", false, "errors and warnings only on stderr")
}

func newTeller(s *System, cmd *cobra.Command) *teller {
	t := &teller{out: s.Stderr, program: cmd.Root().Name(), system: s}
	t.mode, _ = cmd.Root().PersistentFlags().GetString("color")
	t.bad = t.shade(s.StderrTTY, color.FgRed)
	t.hint = t.shade(s.StderrTTY, color.FgYellow)
	t.quiet, _ = cmd.Root().PersistentFlags().GetBool("quiet")
	return t
}

// paint returns a colour for stdout. It is off where --color or NO_COLOR ask for
// that, or where stdout is no terminal.
func (t *teller) paint(attributes ...color.Attribute) *color.Color {
	return t.shade(t.system.StdoutTTY, attributes...)
}

func (t *teller) shade(tty bool, attributes ...color.Attribute) *color.Color {
	c := color.New(attributes...)
	if t.mode == "always" || t.mode != "never" && tty && t.system.Getenv("NO_COLOR") == "" {
		c.EnableColor()
	} else {
		c.DisableColor()
	}
	return c
}

// say prints a line, unless --quiet is given.
func (t *teller) say(format string, args ...any) {
	if !t.quiet {
		t.print(fmt.Sprintf(format, args...))
	}
}

// warn prints a line in any case.
func (t *teller) warn(format string, args ...any) { t.print(fmt.Sprintf(format, args...)) }

// fail prints err, each fault of a broken contract on a line of its own, and
// the hint for it.
func (t *teller) fail(err error) {
	lines := faultLines(err)
	for i, l := range lines {
		lines[i] = t.bad.Sprint(printable(l))
	}
	if c, ok := errors.AsType[*diagnosedError](err); ok && !t.quiet {
		lines = append(lines, printable(c.line))
	}
	if h := hintFor(err); h != "" {
		lines = append(lines, t.hint.Sprint("hint: "+printable(h)))
	}
	t.lines(lines)
}

func (t *teller) print(line string) { t.lines([]string{printable(line)}) }

func (t *teller) lines(lines []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before != nil {
		t.before()
	}
	for _, l := range lines {
		_, _ = fmt.Fprintf(t.out, "%s: %s\n", t.program, l) // there is nobody to tell
	}
}
