// Package doctor holds the command listen doctor, which shows the steps of a
// connection and a hint for each that fails.
//
// The package's rule: it changes nothing at the broker.
package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"nats-test/internal/cli/catalog"
	"nats-test/internal/cli/connect"
	"nats-test/internal/cli/console"
	"nats-test/internal/cli/stdio"
	"nats-test/internal/conn/broker"
	steps "nats-test/internal/conn/doctor"
	"nats-test/internal/conn/link"
	"nats-test/internal/events"
	"nats-test/internal/monitor/port"
)

// stepMonitoring is the last step; it is not part of a connection.
const stepMonitoring steps.Step = "monitoring"

// A doctor is one run of listen doctor.
type doctor struct {
	flags *connect.Flags
	*connect.Broker
	*catalog.Catalogue

	output string
	show   func(steps.Finding) error
	stop   context.CancelFunc
	broken error // the error of stdout
	faults int   // so far
	first  error // the first fault
	hints  map[error]string

	reached []string // IDs of the servers that greeted
}

// New returns the command listen doctor.
func New(s *console.System, flags *connect.Flags, k *catalog.Catalogue) *cobra.Command {
	d := &doctor{flags: flags, output: "text", Catalogue: k, hints: make(map[error]string)}
	cmd := &cobra.Command{
		Use:   "doctor [SUBJECT...]",
		Short: "check the connection step by step, and say how to fix each fault",
		Long: `doctor goes through the steps of a connection and shows the result of each: the
server's name, TCP, its greeting, TLS, the log-in, the NATS Streaming cluster,
JetStream, the streams of the subjects (default: all of the catalogue), and the
monitoring port. It changes nothing at the broker.

Each step is ok, a fault, none (missing, but not needed) or unknown (could not be
checked). The exit code is 0 if publish and listen would work; otherwise it is
theirs, and the first fault is repeated with a hint. With several servers, each is
shown, and one that works is enough.`,
		Example: `  listen doctor
  listen doctor ticket:created --server nats://127.0.0.1:4222 --cluster ticketing
  listen doctor --context production -o json | jq 'select(.state == "fault")'
  listen --raw -- doctor     # the events of a subject of that name`,
		ValidArgsFunction: k.Complete(s, 0),
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if d.Broker, err = d.flags.Resolve(s, cmd); err != nil {
				return err
			}
			subjects, err := d.subjects(s, args)
			if err != nil {
				return err
			}
			tell := console.New(s, cmd)
			if d.output == "json" {
				d.show = func(f steps.Finding) error { return showJSON(s, f) }
			} else {
				sheet := newTextWriter(s, tell, len(d.Options.Hosts()) > 1)
				d.show = func(f steps.Finding) error {
					if f.Err != nil && d.faults == 1 { // its hint is printed at the end
						f.Hint = ""
					}
					return sheet.show(f)
				}
			}
			return d.run(cmd.Context(), tell, subjects)
		},
	}
	console.AddChoice(cmd, console.LocalFlags(cmd), &d.output, "output", "o", "", "text", "json (a record per finding)")
	return cmd
}

// subjects returns the subjects given, or those of the catalogue. They need not be
// in the catalogue, since that makes no difference to a broker.
func (d *doctor) subjects(s *console.System, args []string) ([]string, error) {
	var subjects []string
	add := func(subject string) error {
		if !slices.Contains(subjects, subject) {
			subjects = append(subjects, subject)
		}
		return broker.CheckSubject(subject)
	}
	addAll := func(pattern string) error {
		all, err := d.Load(s)
		if err != nil {
			return err
		}
		var found []*events.Contract
		if found, err = all.Match(pattern); err != nil {
			return err
		}
		for _, k := range found {
			if err := add(k.Subject); err != nil {
				return err
			}
		}
		return nil
	}
	if len(args) == 0 {
		args = []string{"*"}
	}
	for _, a := range args {
		next := add
		if broker.IsPattern(a) {
			next = addAll
		}
		if err := next(a); err != nil {
			return nil, err
		}
	}
	return subjects, nil
}

// run prints the findings, and returns the error of the first fault.
func (d *doctor) run(ctx context.Context, tell *console.Console, subjects []string) error {
	looking, stop := context.WithCancel(ctx)
	defer stop()
	d.stop = stop
	found := steps.Diagnose(looking, d.Options, subjects, func(f steps.Finding) { d.tell(looking, f) })
	if looking.Err() == nil && (found.Fault == nil || found.Fault.Step != steps.StepSettings) {
		d.tell(looking, d.monitoring(looking, found))
	}
	switch {
	case d.broken != nil:
		return d.broken
	case ctx.Err() != nil && d.first != nil: // its hint was due at the end
		return console.Hinted(fmt.Errorf("%w before all steps were checked; the first fault: %s", console.ErrInterrupted, d.first.Error()), "%s", d.hints[d.first])
	case ctx.Err() != nil:
		return fmt.Errorf("%w before all steps were checked: whether a publish and a listen would work is not known", console.ErrInterrupted)
	}
	if d.first != nil && (found.Fault == nil || !errors.Is(found.Fault.Err, d.first)) {
		tell.Fail(console.Hinted(d.first, "%s", d.hints[d.first])) // the fault of a server that another one replaced
	}
	if found.Fault == nil {
		tell.Say("a publish and a listen would work: %s at %s", connect.Title(found.Backend), found.Server)
		return nil
	}
	return console.Hinted(found.Fault.Err, "%s", d.hints[found.Fault.Err])
}

// tell prints a finding. It stops the diagnosis if stdout fails.
func (d *doctor) tell(ctx context.Context, f steps.Finding) {
	if d.broken != nil {
		return
	}
	if f.ID != "" {
		d.reached = append(d.reached, f.ID)
	}
	f.Hint = d.hint(ctx, f)
	if f.Err != nil {
		d.hints[f.Err] = f.Hint
		d.first = cmp.Or(d.first, f.Err)
		d.faults++
	}
	if err := d.show(f); err != nil {
		d.broken = stdio.Unwritten(err)
		d.stop()
	}
}

// hint returns the hint for a finding, or "".
func (d *doctor) hint(ctx context.Context, f steps.Finding) string {
	if f.Hint != "" || f.State != steps.StateFault {
		return f.Hint
	}
	return console.HintFor(d.AskMonitor(ctx, f.Err, d.reached))
}

// howToMonitor is the hint for a missing monitoring port.
const howToMonitor = "start the server with -m 8222, forward the port from Kubernetes with make pf MONITOR=1, " +
	"or set --monitor URL (NATS_MONITOR_URL)"

// monitoring checks which server the monitoring port belongs to. Neither publish
// nor listen needs one.
func (d *doctor) monitoring(ctx context.Context, found steps.Diagnosis) steps.Finding {
	base := d.MonitorURL()
	about, err := port.About(ctx, base)
	base = link.ShownURL(base)
	f := steps.Finding{Step: stepMonitoring, Server: found.Server, State: steps.StateNone}
	reached := len(found.Servers) > 0
	switch {
	case errors.Is(err, port.ErrForeign):
		f.What, f.Hint = fmt.Sprintf("%s answers, but it is %s", base, console.Clipped(err.Error())), howToMonitor
	case errors.As(err, new(x509.UnknownAuthorityError)):
		f.What, f.Hint = base+" has a certificate from a CA that is not trusted here", "name the file with the CA: --tlsca FILE (NATS_CA)"
	case err != nil:
		f.What, f.Hint = fmt.Sprintf("%s does not answer (%s): publish and listen do without, `listen status` on NATS Streaming does not", base, port.Reason(err)), ""
		if reached { // else there is something else to mend first
			f.Hint = howToMonitor
		}
	case !reached:
		f.State = steps.StateUnknown
		f.What = fmt.Sprintf("%s belongs to the server %q; whether that is this one is not known", base, console.Clipped(about.Name))
	case !slices.Contains(found.Servers, about.ID):
		f.What = fmt.Sprintf("%s belongs to another server, %q", base, console.Clipped(about.Name))
		f.Hint = "check --monitor (NATS_MONITOR_URL) and --server: both should lead to the same server"
	case found.Backend == broker.STAN && about.Streaming == "":
		f.State = steps.StateOK
		f.What = base + " belongs to this server, but has nothing about NATS Streaming, which has a monitoring port of its own; `listen status` needs that one"
		f.Hint = howToMonitor
	default:
		f.State, f.What = steps.StateOK, base+" belongs to this server"
	}
	return f
}

// showJSON writes a finding as a record on a line.
func showJSON(s *console.System, f steps.Finding) error {
	line, err := json.Marshal(struct {
		Step   steps.Step  `json:"step"`
		Server string      `json:"server,omitempty"`
		State  steps.State `json:"state"`
		Found  string      `json:"found"`
		Hint   string      `json:"hint,omitempty"`
	}{f.Step, f.Server, f.State, f.What, f.Hint})
	if err != nil {
		return err
	}
	if s.StdoutTTY {
		line = []byte(console.Printable(string(line))) // \u escapes, legal in JSON strings
	}
	_, err = s.Stdout.Write(append(line, '\n'))
	return err
}
