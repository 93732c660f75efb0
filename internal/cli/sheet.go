package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/fatih/color"

	steps "nats-test/internal/conn/doctor"
)

// A sheet shows findings to people, a line each.
type sheet struct {
	out     io.Writer
	width   int // columns, 0 for no limit
	several bool
	server  string // the one of the last line
	colors  map[steps.State]*color.Color
}

func newSheet(s *System, mode string, several bool) *sheet {
	shade := func(a ...color.Attribute) *color.Color { return paint(s, mode, s.StdoutTTY, a...) }
	return &sheet{out: s.Stdout, width: s.Width, several: several, colors: map[steps.State]*color.Color{
		steps.StateOK: shade(color.FgGreen), steps.StateFault: shade(color.FgRed),
		steps.StateNone: shade(color.Faint), steps.StateUnknown: shade(color.FgYellow),
		steps.StateNote: shade(color.FgYellow),
	}}
}

// The columns of a sheet: state and step. On a narrow terminal there are none.
const (
	stateColumn = len("unknown") + 1
	stepColumn  = len("monitoring") + 2
	narrow      = 60
)

// names are the steps as people write them.
var names = map[steps.Step]string{
	steps.StepTCP: "TCP", steps.StepNATS: "NATS", steps.StepTLS: "TLS", steps.StepJetStream: "JetStream",
}

// show writes a finding, and its hint on a line of its own. Its state is a word, so that nothing hangs on colour.
func (s *sheet) show(f steps.Finding) error {
	var b strings.Builder
	if s.several && f.Server != "" && f.Server != s.server {
		s.server = f.Server
		b.WriteString(printable(f.Server) + ":\n")
	}
	step := firstOf(names[f.Step], string(f.Step))
	state, column := pad(string(f.State), stateColumn), pad(step, stepColumn)
	indent := stateColumn + stepColumn
	if s.width > 0 && s.width < narrow {
		state, column, indent = string(f.State)+" ", step+": ", 2
	}
	lines := wrap(column+printable(f.What), s.width-max(len(state), indent))
	fmt.Fprintf(&b, "%s%s\n", strings.Replace(state, string(f.State), s.colors[f.State].Sprint(string(f.State)), 1), lines[0])
	lines = lines[1:]
	if f.Hint != "" {
		lines = append(lines, wrap("hint: "+printable(f.Hint), s.width-indent)...)
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "%s%s\n", strings.Repeat(" ", indent), l)
	}
	_, err := io.WriteString(s.out, b.String())
	return err
}

func pad(s string, width int) string { return s + strings.Repeat(" ", max(0, width-len(s))) }

// wrap breaks text between words, and longer words, into lines of so many
// columns; 0 or less is no limit.
func wrap(text string, columns int) []string {
	if columns <= 0 {
		return []string{text}
	}
	return strings.Split(ansi.Wrap(text, columns, ""), "\n")
}
