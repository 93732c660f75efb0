package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/fatih/color"

	"nats-test/internal/conn"
)

// A sheet shows findings to people, a line each.
type sheet struct {
	out     io.Writer
	width   int // columns, 0 for no limit
	several bool
	server  string // the one of the last line
	colors  map[conn.State]*color.Color
}

func newSheet(s *System, tell *teller, several bool) *sheet {
	shade := tell.paint
	return &sheet{out: s.Stdout, width: s.Width, several: several, colors: map[conn.State]*color.Color{
		conn.StateOK: shade(color.FgGreen), conn.StateFault: shade(color.FgRed),
		conn.StateNone: shade(color.Faint), conn.StateUnknown: shade(color.FgYellow),
		conn.StateNote: shade(color.FgYellow),
	}}
}

// The columns of a sheet: state and step. On a narrow terminal there are none.
const (
	stateColumn = len("unknown") + 1
	stepColumn  = len("monitoring") + 2
	narrow      = 60
)

// names are the steps as people write them.
var names = map[conn.Step]string{
	conn.StepTCP: "TCP", conn.StepNATS: "NATS", conn.StepTLS: "TLS", conn.StepJetStream: "JetStream",
}

// show writes a finding, and its hint on a line of its own. Its state is a word, so that nothing hangs on colour.
func (s *sheet) show(f conn.Finding) error {
	var b strings.Builder
	if s.several && f.Server != "" && f.Server != s.server {
		s.server = f.Server
		b.WriteString(printable(f.Server) + ":\n")
	}
	step := cmp.Or(names[f.Step], string(f.Step))
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
