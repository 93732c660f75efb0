// Package doctor checks a connection step by step, and explains each result and how to fix
// a fault. Its texts may name flags and commands.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/conn/link/wire"
)

// A Finding is the result of one step. Its texts may quote the server, but never contain a
// secret.
type Finding struct {
	Step   Step
	Server string // URL
	ID     string // server ID; set in StepNATS, after the greeting
	State  State
	What   string // a sentence
	Short  string // a few words for a summary; may be empty
	Hint   string // what to type next, if it is more specific than the hint for Err
	Err    error  // set for a fault; wraps an error of [conn.Dial]
}

// A Step is a step of connecting.
type Step string

// The steps, in order. If TLS comes before the greeting, StepNATS follows StepTLS.
const (
	StepSettings  Step = "settings" // reported only as a fault or a note
	StepName      Step = "name"
	StepTCP       Step = "tcp"
	StepNATS      Step = "nats"
	StepTLS       Step = "tls"
	StepAuth      Step = "auth"
	StepCluster   Step = "cluster"
	StepJetStream Step = "jetstream"
	StepStream    Step = "stream"
)

// A State is the outcome of a step.
type State string

// The states.
const (
	StateOK      State = "ok"
	StateFault   State = "fault"
	StateNone    State = "none"    // absent and not needed
	StateNote    State = "note"    // works, with a caveat
	StateUnknown State = "unknown" // could not be determined
)

// A Diagnosis is the overall result.
type Diagnosis struct {
	Backend broker.Backend // backend that would be used; "" if none
	Server  string         // URL of the server that would be used
	Servers []string       // IDs of the servers that greeted

	// Fault is the first fault that keeps publishing and listening from working, or
	// nil. A fault of one of several servers does not count if another server works.
	Fault *Finding
}

// Diagnose goes through the steps of connecting to each server of o, and through the
// remaining steps at the first that works. It passes each finding to found, and changes
// nothing at the server. Each step takes at most o.Timeout; ctx interrupts all.
//
// Without subjects, it stops once the backend is known. Otherwise it also opens a session
// with NATS Streaming, or looks for the JetStream streams.
func Diagnose(ctx context.Context, o link.Options, subjects []string, found func(Finding)) Diagnosis {
	o = o.Or(link.Defaults)
	o.ClientID = cmp.Or(o.ClientID, broker.NewClientID("client"))
	o.NoReconnect, o.CreateStream = true, false
	o.Notify, o.NotifyError = func(string) {}, nil // the errors have what matters
	d := &diagnosing{report: found}
	o, err := check(ctx, o)
	if err != nil {
		d.fault(Finding{Step: StepSettings, What: err.Error(), Err: err})
		return d.Diagnosis
	}
	for _, file := range o.OpenFiles() {
		d.tell(Finding{Step: StepSettings, State: StateNote, What: fmt.Sprintf("others on this machine can read %q, which holds a secret", file),
			Hint: fmt.Sprintf("chmod go= %s", link.QuotedPath(file))})
	}
	for s := range strings.SplitSeq(o.Servers, ",") {
		if ctx.Err() != nil {
			break
		}
		one := o
		one.Servers = strings.TrimSpace(s)
		d.server = link.ShownURL(s)
		l := d.reach(ctx, one)
		switch {
		case l == nil:
		case d.link == nil:
			d.link, d.Server = l, d.server
		default:
			l.Abandon()
		}
	}
	if d.link == nil {
		return d.Diagnosis
	}
	defer d.link.Abandon()
	d.Fault, d.server = nil, d.Server // faults of other servers don't count
	if ctx.Err() == nil {
		d.broker(ctx, subjects)
	}
	return d.Diagnosis
}

// check checks the options without a server, and returns o as Dial uses it. Its error is
// that of Dial.
func check(ctx context.Context, o link.Options) (link.Options, error) {
	o, err := o.Normal()
	if err != nil {
		return o, err
	}
	opts, err := o.NATSOptions(&wire.Dialer{Ctx: ctx, Timeout: o.Timeout, Silence: o.Timeout, Bears: o.Timeout})
	if err != nil {
		return o, err
	}
	for _, set := range opts { // some options read files
		if err := explainOption(set(&nats.Options{})); err != nil {
			return o, err
		}
	}
	return o, nil
}

// explainOption wraps an error of an option for nats.go in its reason.
func explainOption(err error) error {
	if err == nil {
		return nil
	}
	if e := wire.Explain(err); errors.Is(e, broker.ErrTLS) {
		return e
	}
	return broker.Because(broker.ErrConfig, err)
}

// diagnosing is a diagnosis in progress.
type diagnosing struct {
	Diagnosis
	report func(Finding)
	server string     // URL of the current server
	link   *link.Link // link to the first server that works
}

func (d *diagnosing) found(step Step, state State, short, format string, args ...any) {
	d.tell(Finding{Step: step, State: state, Short: short, What: fmt.Sprintf(format, args...)})
}

func (d *diagnosing) tell(f Finding) {
	f.Server = d.server
	d.report(f)
}

// fault reports a fault, and keeps it if it is the first.
func (d *diagnosing) fault(f Finding) {
	f.State = StateFault
	f.Err = fmt.Errorf("%s: %w", f.doing(d.server), f.Err)
	f.Server = d.server
	if d.Fault == nil {
		d.Fault = &f
	}
	d.report(f)
}

// doing describes the step, for an error.
func (f Finding) doing(server string) string {
	switch f.Step {
	case StepSettings:
		return "reading the settings"
	case StepName:
		return "looking up the name of " + server
	case StepTLS:
		return "securing the connection to " + server
	case StepAuth:
		return "logging in to " + server
	case StepCluster:
		return "asking for NATS Streaming at " + server
	case StepJetStream:
		return "asking for JetStream at " + server
	case StepStream:
		return "looking for streams at " + server
	}
	return "connecting to " + server
}

// words returns an error's text without its reason, cut to 300 bytes.
func words(err error) string {
	const most = 300
	if f, ok := errors.AsType[*broker.Failure](err); ok {
		err = f.Cause
	}
	text := broker.Plain(err)
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
