package doctor

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/fatih/color"

	"nats-test/internal/cli/console"
	steps "nats-test/internal/conn/doctor"
)

// A textWriter prints findings for people, one per line.
type textWriter struct {
	out     io.Writer
	width   int // columns, 0 for no limit
	several bool
	server  string // of the previous line
	colors  map[steps.State]*color.Color
}

func newTextWriter(s *console.System, tell *console.Console, several bool) *textWriter {
	shade := tell.Paint
	return &textWriter{out: s.Stdout, width: s.Width, several: several, colors: map[steps.State]*color.Color{
		steps.StateOK: shade(color.FgGreen), steps.StateFault: shade(color.FgRed),
		steps.StateNone: shade(color.Faint), steps.StateUnknown: shade(color.FgYellow),
		steps.StateNote: shade(color.FgYellow),
	}}
}

// The columns for state and step. A narrow terminal has none.
const (
	stateColumn = len("unknown") + 1
	stepColumn  = len("monitoring") + 2
	narrow      = 60
)

// names are the displayed names of steps.
var names = map[steps.Step]string{
	steps.StepTCP: "TCP", steps.StepNATS: "NATS", steps.StepTLS: "TLS", steps.StepJetStream: "JetStream",
}

// show prints a finding, and its hint on a line of its own. The state is a word, so
// nothing depends on colour.
func (s *textWriter) show(f steps.Finding) error {
	var b strings.Builder
	if s.several && f.Server != "" && f.Server != s.server {
		s.server = f.Server
		b.WriteString(console.Printable(f.Server) + ":\n")
	}
	step := cmp.Or(names[f.Step], string(f.Step))
	state, column := console.Pad(string(f.State), stateColumn), console.Pad(step, stepColumn)
	indent := stateColumn + stepColumn
	if s.width > 0 && s.width < narrow {
		state, column, indent = string(f.State)+" ", step+": ", 2
	}
	lines := console.Wrap(column+console.Printable(f.What), s.width-max(len(state), indent))
	fmt.Fprintf(&b, "%s%s\n", strings.Replace(state, string(f.State), s.colors[f.State].Sprint(string(f.State)), 1), lines[0])
	lines = lines[1:]
	if f.Hint != "" {
		lines = append(lines, console.Wrap("hint: "+console.Printable(f.Hint), s.width-indent)...)
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "%s%s\n", strings.Repeat(" ", indent), l)
	}
	_, err := io.WriteString(s.out, b.String())
	return err
}
