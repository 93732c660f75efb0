package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"nats-test/internal/events"
)

// A teller says on stderr what happens. It may be used by several goroutines.
type teller struct {
	mu      sync.Mutex
	out     io.Writer
	program string
	quiet   bool
	before  func() // clears what stands on the terminal's line; may be nil

	bad, hint *color.Color
}

func newTeller(s *System, cmd *cobra.Command) *teller {
	t := &teller{out: s.Stderr, program: cmd.Root().Name()}
	mode, _ := cmd.Root().PersistentFlags().GetString("color")
	t.bad = paint(s, mode, s.StderrTTY, color.FgRed)
	t.hint = paint(s, mode, s.StderrTTY, color.FgYellow)
	t.quiet, _ = cmd.Root().PersistentFlags().GetBool("quiet")
	return t
}

// paint returns a colour that is off where mode, NO_COLOR or a stream that is
// no terminal ask for that.
func paint(s *System, mode string, tty bool, attributes ...color.Attribute) *color.Color {
	c := color.New(attributes...)
	if mode == "always" || mode != "never" && tty && s.Getenv("NO_COLOR") == "" {
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
	if c, ok := errors.AsType[*checked](err); ok && !t.quiet {
		lines = append(lines, printable(c.line))
	}
	if h := hintFor(err); h != "" {
		lines = append(lines, t.hint.Sprint("hint: "+printable(h)))
	}
	t.lines(lines)
}

// faultLines are the lines of an error: a head and a line for each fault, if it
// lists several.
func faultLines(err error) []string {
	text, head, faults := err.Error(), "", []string(nil)
	if load, ok := errors.AsType[*events.LoadError](err); ok {
		head, _, _ = strings.Cut(text, load.Error())
		head += fmt.Sprintf("the catalogue %s:", load.Path)
		for _, f := range load.Faults {
			faults = append(faults, "  "+f.Error())
		}
	} else if invalid, ok := errors.AsType[*events.InvalidError](err); ok {
		head, _, _ = strings.Cut(text, invalid.Error())
		head += fmt.Sprintf("the data is no %q event:", invalid.Subject)
		for _, f := range invalid.Faults {
			faults = append(faults, "  "+f.String())
		}
	}
	if len(faults) < 2 {
		return []string{text}
	}
	return append([]string{head}, faults...)
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

// printable escapes what could move the cursor, hide text or end the line:
// control characters, bytes that are not UTF-8, and marks that are not seen
// themselves, such as those that change the direction of text. In JSON, what it
// escapes means the same as before.
func printable(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unprintable(r):
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

func unprintable(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}
