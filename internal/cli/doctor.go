package cli

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nats-test/internal/conn/broker"
	steps "nats-test/internal/conn/doctor"
	"nats-test/internal/conn/link"
	"nats-test/internal/events"
	"nats-test/internal/monitor/port"
)

// stepMonitoring is the step that is none of a connection.
const stepMonitoring steps.Step = "monitoring"

// A doctor is one run of listen doctor.
type doctor struct {
	*connection
	*catalogue

	output string
	show   func(steps.Finding) error
	stop   context.CancelFunc
	broken error // of stdout
	faults int   // so far
	first  error // that of the first
	hints  map[error]string

	reached []string // IDs of the servers that greeted
}

// newDoctor returns the command listen doctor.
func newDoctor(s *System, c *connection, k *catalogue) *cobra.Command {
	d := &doctor{connection: c, catalogue: k, hints: make(map[error]string)}
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
		ValidArgsFunction: k.complete(s, 0),
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := d.resolve(s, cmd); err != nil {
				return err
			}
			subjects, err := d.subjects(s, args)
			if err != nil {
				return err
			}
			switch d.output {
			case "text":
				sheet := newSheet(s, d.color, len(d.options.Hosts()) > 1)
				d.show = func(f steps.Finding) error {
					if f.Err != nil && d.faults == 1 { // its hint is told in the end
						f.Hint = ""
					}
					return sheet.show(f)
				}
			case "json":
				d.show = func(f steps.Finding) error { return showJSON(s, f) }
			default:
				return usage(cmd, "--output %q: must be text or json", d.output)
			}
			return d.run(cmd.Context(), newTeller(s, cmd), subjects)
		},
	}
	localFlags(cmd).StringVarP(&d.output, "output", "o", "text", "text, or json (a record per finding)")
	complete(cmd, "output", "text", "json")
	return cmd
}

// subjects are those asked for, or those of the catalogue. Any legal one will
// do: whether the catalogue has it makes no difference to a broker.
func (d *doctor) subjects(s *System, args []string) ([]string, error) {
	var subjects []string
	add := func(subject string) error {
		if !slices.Contains(subjects, subject) {
			subjects = append(subjects, subject)
		}
		return broker.CheckSubject(subject)
	}
	addAll := func(pattern string) error {
		all, err := d.load(s)
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

// run tells what it finds, and returns the error of the first fault.
func (d *doctor) run(ctx context.Context, tell *teller, subjects []string) error {
	looking, stop := context.WithCancel(ctx)
	defer stop()
	d.stop = stop
	found := steps.Diagnose(looking, d.options, subjects, func(f steps.Finding) { d.tell(looking, f) })
	if looking.Err() == nil && (found.Fault == nil || found.Fault.Step != steps.StepSettings) {
		d.tell(looking, d.monitoring(looking, found))
	}
	switch {
	case d.broken != nil:
		return d.broken
	case ctx.Err() != nil && d.first != nil: // its hint was to be told in the end
		return hinted(fmt.Errorf("%w before all steps were looked at; the first fault: %s", errInterrupted, d.first.Error()), "%s", d.hints[d.first])
	case ctx.Err() != nil:
		return fmt.Errorf("%w before all steps were looked at: whether a publish and a listen would work is not known", errInterrupted)
	}
	if d.first != nil && (found.Fault == nil || !errors.Is(found.Fault.Err, d.first)) {
		tell.fail(hinted(d.first, "%s", d.hints[d.first])) // of a server that another one stands in for
	}
	if found.Fault == nil {
		tell.say("a publish and a listen would work: %s at %s", title(found.Backend), found.Server)
		return nil
	}
	return hinted(found.Fault.Err, "%s", d.hints[found.Fault.Err])
}

func title(b broker.Backend) string {
	if b == broker.JetStream {
		return "JetStream"
	}
	return "NATS Streaming"
}

// tell shows one finding. Where nobody reads it, there is no use in more.
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
		d.first = firstOf(d.first, f.Err)
		d.faults++
	}
	if err := d.show(f); err != nil {
		d.broken = unwritten(err)
		d.stop()
	}
}

// hint is what to type after a finding, or "".
func (d *doctor) hint(ctx context.Context, f steps.Finding) string {
	if f.Hint != "" || f.State != steps.StateFault {
		return f.Hint
	}
	return hintFor(d.askMonitor(ctx, f.Err, d.reached))
}

// howToMonitor is what to type where there is no monitoring port.
const howToMonitor = "open it with -m 8222 at the server's start, forward it from Kubernetes with make pf MONITOR=1, " +
	"or say where it is with --monitor URL (NATS_MONITOR_URL)"

// monitoring asks whose monitoring port it is. No publish or listen needs it.
func (d *doctor) monitoring(ctx context.Context, found steps.Diagnosis) steps.Finding {
	base := d.monitorURL()
	about, err := port.About(ctx, base)
	base = link.ShownURL(base)
	f := steps.Finding{Step: stepMonitoring, Server: found.Server, State: steps.StateNone}
	reached := len(found.Servers) > 0
	switch {
	case errors.Is(err, port.ErrForeign):
		f.What, f.Hint = fmt.Sprintf("%s answers, but it is %s", base, clipped(err.Error())), howToMonitor
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
		f.What = fmt.Sprintf("%s is that of the server %q; whether it is this one can't be told", base, clipped(about.Name))
	case !slices.Contains(found.Servers, about.ID):
		f.What = fmt.Sprintf("%s is that of another server, %q", base, clipped(about.Name))
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

// clipped bounds what a server says of itself.
func clipped(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// showJSON writes a finding as a record on a line.
func showJSON(s *System, f steps.Finding) error {
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
		line = []byte(printable(string(line))) // \u escapes, legal in JSON strings
	}
	_, err = s.Stdout.Write(append(line, '\n'))
	return err
}
