// Package doctor goes through the steps of a connection, and says in words what it
// finds at each and what to do about a fault: it may name flags.
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

// A Finding is the result of one step of a diagnosis. Its texts may hold what
// a server said, but never a secret.
type Finding struct {
	Step   Step
	Server string // URL
	ID     string // of the server, in StepNATS, once it greeted
	State  State
	What   string // a sentence
	Short  string // a few words; empty where there is nothing to tell in short
	Hint   string // what to type next, where more is known than Err tells
	Err    error  // of a fault: one of those that [conn.Dial] returns
}

// A Step is one that a connection goes through.
type Step string

// The steps, in their order. With a handshake before the greeting, NATS comes
// after TLS.
const (
	StepSettings  Step = "settings" // found only as a fault or a note
	StepName      Step = "name"
	StepTCP       Step = "tcp"
	StepNATS      Step = "nats"
	StepTLS       Step = "tls"
	StepAuth      Step = "auth"
	StepCluster   Step = "cluster"
	StepJetStream Step = "jetstream"
	StepStream    Step = "stream"
)

// A State is how a step went.
type State string

// The states.
const (
	StateOK      State = "ok"
	StateFault   State = "fault"
	StateNone    State = "none"    // not there, and not needed
	StateNote    State = "note"    // works, but not as one might expect
	StateUnknown State = "unknown" // could not be found out
)

// A Diagnosis is what all findings amount to.
type Diagnosis struct {
	Backend broker.Backend // that would be used; "" if there is none
	Server  string         // URL of the server that would be used
	Servers []string       // IDs of the servers that greeted

	// Fault is the first that keeps a publish or a listen from working; nil if
	// they would work. What is wrong with one of several servers does not count
	// while another works.
	Fault *Finding
}

// Diagnose goes through the steps of a connection to each server of o, and
// through what is behind the first that works, and hands each finding to
// found. It changes nothing there. Each step takes at most o.Timeout, and ctx
// ends it all.
//
// Without subjects, it looks no further than which broker is there. Else it
// opens a session of NATS Streaming, and looks for the streams of JetStream.
func Diagnose(ctx context.Context, o link.Options, subjects []string, found func(Finding)) Diagnosis {
	o = o.Or(link.Defaults)
	o.ClientID = cmp.Or(o.ClientID, broker.NewClientID("client"))
	o.NoReconnect, o.CreateStream = true, false
	o.Notify = func(string) {} // what matters is found in the errors
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
	d.Fault, d.server = nil, d.Server // another one's is none
	if ctx.Err() == nil {
		d.broker(ctx, subjects)
	}
	return d.Diagnosis
}

// check looks at what needs no server, and returns o as Dial uses it. Its error
// is that of Dial.
func check(ctx context.Context, o link.Options) (link.Options, error) {
	o, err := o.Normal()
	if err != nil {
		return o, err
	}
	opts, err := o.NATSOptions(&wire.Dialer{Ctx: ctx, Timeout: o.Timeout, Silence: o.Timeout, Bears: o.Timeout})
	if err != nil {
		return o, err
	}
	for _, set := range opts { // some read files
		if err := explainOption(set(&nats.Options{})); err != nil {
			return o, err
		}
	}
	return o, nil
}

// explainOption finds the reason behind an error of an option for nats.go.
func explainOption(err error) error {
	if err == nil {
		return nil
	}
	if e := wire.Explain(err); errors.Is(e, broker.ErrTLS) {
		return e
	}
	return broker.Because(broker.ErrConfig, err)
}

// diagnosing is a diagnosis under way.
type diagnosing struct {
	Diagnosis
	report func(Finding)
	server string     // the one that is looked at
	link   *link.Link // to the first that works
}

func (d *diagnosing) found(step Step, state State, short, format string, args ...any) {
	d.tell(Finding{Step: step, State: state, Short: short, What: fmt.Sprintf(format, args...)})
}

func (d *diagnosing) tell(f Finding) {
	f.Server = d.server
	d.report(f)
}

// fault tells of a fault, and notes it if it is the first.
func (d *diagnosing) fault(f Finding) {
	f.State = StateFault
	f.Err = fmt.Errorf("%s: %w", f.doing(d.server), f.Err)
	f.Server = d.server
	if d.Fault == nil {
		d.Fault = &f
	}
	d.report(f)
}

// doing says what a step attempts, for an error.
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

// words is a library's error without the reason that stands before it, and
// without an end if it has none.
func words(err error) string {
	const most = 300
	if f, ok := errors.AsType[*broker.Failure](err); ok {
		err = f.Cause
	}
	text := err.Error()
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
