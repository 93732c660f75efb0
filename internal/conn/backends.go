package conn

import (
	"context"
	"errors"
	"fmt"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/jetstream"
	"nats-test/internal/conn/link"
	"nats-test/internal/conn/stan"
)

// A kindOfBroker is a row in the table of backends.
type kindOfBroker struct {
	name   broker.Backend
	traits broker.Traits
	absent error // error of a broker that is not there
	silent error // error of one that does not answer; may be nil

	// called names the broker in errors of a session, asked in those of looking for it.
	called, asked func(link.Options) string

	// present returns nil if the broker is there. The error wraps absent if it is not, and
	// [broker.ErrAuth] if asking is not permitted.
	present func(context.Context, *link.Link) error
	// unasked: the broker may be used even if asking for it is not permitted.
	unasked bool

	// open opens a session. found is true if present has found the broker.
	open func(ctx context.Context, l *link.Link, found bool) (broker.Session, error)
	// opens: open detects an absent broker by itself, so present need not be called.
	opens bool
}

// kinds are the backends, in order of preference.
var kinds = []*kindOfBroker{
	{
		name: broker.STAN, traits: stan.Traits, absent: broker.ErrNoCluster, silent: broker.ErrSilentCluster,
		called:  func(o link.Options) string { return fmt.Sprintf("cluster %q", o.Cluster) },
		asked:   func(o link.Options) string { return fmt.Sprintf("the NATS Streaming cluster %q", o.Cluster) },
		present: stan.Present, open: stan.Open, opens: true,
	},
	{
		name: broker.JetStream, traits: jetstream.Traits, absent: broker.ErrNoJetStream,
		called: func(o link.Options) string {
			if o.Domain != "" {
				return fmt.Sprintf("JetStream of domain %q", o.Domain)
			}
			return "JetStream"
		},
		asked:   func(link.Options) string { return "JetStream" },
		present: jetstream.Present, unasked: true, open: jetstream.Open, opens: true,
	},
}

// find returns the backend that the options ask for, or the one that is there. If look is
// set, or open does not detect an absent broker, it checks that the broker is there.
func find(ctx context.Context, l *link.Link, look bool) (*kindOfBroker, error) {
	if l.Options.Backend == broker.Auto {
		return detect(ctx, l)
	}
	for _, k := range kinds {
		if k.name != l.Options.Backend {
			continue
		}
		if look || !k.opens {
			if err := k.present(ctx, l); err != nil && (!k.unasked || !errors.Is(err, broker.ErrAuth)) {
				return nil, err
			}
		}
		return k, nil
	}
	return nil, broker.Because(broker.ErrConfig, fmt.Errorf("there is no backend %s", broker.Clip(string(l.Options.Backend))))
}

// detect finds out which broker the server has. It asks once for each, and does not take
// silence for absence.
func detect(ctx context.Context, l *link.Link) (*kindOfBroker, error) {
	var answers []error
	for _, k := range kinds {
		err := k.present(ctx, l)
		if k.silent != nil && errors.Is(err, broker.ErrHung) {
			err = broker.Because(k.silent, err)
		}
		answers = append(answers, err)
		if err == nil || !errors.Is(err, broker.ErrAbsent) && !errors.Is(err, broker.ErrAuth) {
			break
		}
	}
	return choose(l.Options, answers)
}

// Choose returns the backend to use, given the results of asking for each in order, or
// the error if there is none.
func Choose(o link.Options, answers []error) (broker.Backend, error) {
	kind, err := choose(o, answers)
	if err != nil {
		return "", err
	}
	return kind.name, nil
}

// choose implements [Choose]. answers may be shorter than kinds.
func choose(o link.Options, answers []error) (*kindOfBroker, error) {
	var denied *kindOfBroker
	var denial error
	absent := 0
	for i, err := range answers {
		k := kinds[i]
		switch {
		case err == nil:
			return k, nil
		case errors.Is(err, broker.ErrAbsent):
			absent++
		case errors.Is(err, broker.ErrAuth):
			denied, denial = k, fmt.Errorf("asking for %s: %w", k.asked(o), err)
		default:
			return nil, fmt.Errorf("asking for %s: %w", k.asked(o), err)
		}
	}
	switch last := len(answers) - 1; {
	case absent == len(answers):
		err := answers[last]
		if errors.Is(err, broker.ErrNoDomain) { // a domain was asked for by name
			return nil, err
		}
		for i := last - 1; i >= 0; i-- {
			err = broker.Because(kinds[i].absent, err)
		}
		return nil, err
	case denied.unasked && absent == last: // perhaps only asking is not permitted
		return denied, nil
	}
	return nil, denial
}
