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
	"net/url"
	"slices"
	"strings"

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

// stepMonitoring is the last step, which is not part of a connection.
const stepMonitoring steps.Step = "monitoring"

// A doctor is one run of listen doctor.
type doctor struct {
	flags *connect.Flags
	*connect.Broker
	*catalog.Catalogue

	output string
	show   func(steps.Finding) error
	stop   context.CancelFunc
	broken error // of stdout
	faults int   // so far
	first  error // that of the first
	hints  map[error]string

	reached []string // IDs of the servers that greeted
}

// New returns the command listen doctor.
func New(s *console.System, flags *connect.Flags, k *catalog.Catalogue) *cobra.Command {
	d := &doctor{flags: flags, output: "text", Catalogue: k, hints: make(map[error]string)}
	cmd := &cobra.Command{
		Use:   "doctor [SUBJECT...]",
		Short: "say step by step how the connection goes, and what to type where it does not",
		Long: `doctor goes through the steps of a connection and says what it finds: the
server's name, TCP, its greeting, TLS, the log-in, the NATS Streaming cluster,
JetStream, the streams of the subjects (without any: all of the catalogue), and
the monitoring port. It changes nothing at the broker.

Each step is ok, a fault, none (not there, and not needed) or unknown (could
not be found out). The exit code is 0 if a publish and a listen would work; else
it is theirs, and the first fault is told again, with what to type.
With several servers each is told, and one that works is enough.`,
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
					if f.Err != nil && d.faults == 1 { // its hint is told in the end
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

// subjects are those asked for, or those of the catalogue. Any legal one will
// do: whether the catalogue has it makes no difference to a broker.
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
		if strings.Contains(a, "*") && !strings.ContainsAny(a, `>?[\`) {
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
	case ctx.Err() != nil && d.first != nil: // its hint was to be told in the end
		return console.Hinted(fmt.Errorf("%w before all steps were looked at; the first fault: %s", console.ErrInterrupted, d.first.Error()), "%s", d.hints[d.first])
	case ctx.Err() != nil:
		return fmt.Errorf("%w before all steps were looked at: whether a publish and a listen would work is not known", console.ErrInterrupted)
	}
	if d.first != nil && (found.Fault == nil || !errors.Is(found.Fault.Err, d.first)) {
		tell.Fail(console.Hinted(d.first, "%s", d.hints[d.first])) // of a server that another one stands in for
	}
	if found.Fault == nil {
		tell.Say("a publish and a listen would work: %s at %s", title(found.Backend), found.Server)
		return nil
	}
	return console.Hinted(found.Fault.Err, "%s", d.hints[found.Fault.Err])
}

func title(b broker.Backend) string {
	if b == broker.JetStream {
		return "JetStream"
	}
	return "NATS Streaming"
}

// tell prints one finding. It stops the diagnosis once stdout fails.
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
const howToMonitor = "open it with -m 8222 at the server's start, forward it from Kubernetes with make pf MONITOR=1, " +
	"or say where it is with --monitor URL (NATS_MONITOR_URL)"

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
		f.What, f.Hint = base+" shows a certificate whose authority is not trusted here", "name the file with its authority: --tlsca FILE (NATS_CA)"
	case err != nil:
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		f.What, f.Hint = fmt.Sprintf("%s does not answer (%v): publish and listen do without, `listen status` on NATS Streaming does not", base, err), ""
		if reached { // else there is something else to mend first
			f.Hint = howToMonitor
		}
	case !reached:
		f.State = steps.StateUnknown
		f.What = fmt.Sprintf("%s is that of the server %q; whether it is this one can't be told", base, console.Clipped(about.Name))
	case !slices.Contains(found.Servers, about.ID):
		f.What = fmt.Sprintf("%s is that of another server, %q", base, console.Clipped(about.Name))
		f.Hint = "check --monitor (NATS_MONITOR_URL) and --server: both should lead to the same server"
	case found.Backend == broker.STAN && about.Streaming == "":
		f.State = steps.StateOK
		f.What = base + " belongs to this server, but tells nothing of NATS Streaming, whose own monitoring port is elsewhere; `listen status` needs that"
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
