package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
	"nats-test/internal/monitor/streaming"
)

var (
	errRestart = errors.New("restarted by rs")
	errClosed  = errors.New("writing to stdout: it was closed at the other end")
)

// listenRun listens until an end that the flags name, or a signal.
func listenRun(ctx context.Context, s *System, tell *teller, o *listenOptions) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	compiled := o.compile(ctx, stop)
	h := newHandling(s, tell, o)
	restart := make(chan struct{})
	if s.StdinTTY {
		go readRestarts(s.Stdin, restart)
	}
	for again := false; ; again = true {
		err := o.listenOnce(ctx, tell, h, restart, again)
		if !errors.Is(err, errRestart) {
			if broken := compiled(); broken != nil {
				err = broken
			}
			if h.joined {
				h.summary()
			}
			return err
		}
		tell.say("restarting")
		if !o.clientIDGiven {
			o.options.ClientID = "" // a new one
		}
	}
}

// compile compiles the contracts while the listener connects. A broken one ends
// the listener by stop; the function it returns waits, and returns its error.
func (o *listenOptions) compile(ctx context.Context, stop context.CancelCauseFunc) (compiled func() error) {
	done := make(chan error, 1)
	go func() {
		defer fault.Exit()
		var err error
		for _, subject := range o.subjects {
			if k := o.contracts[subject]; k != nil && err == nil && ctx.Err() == nil {
				err = k.Compile()
			}
		}
		if err != nil {
			stop(err)
		}
		done <- err
	}()
	return func() error { return <-done }
}

// readRestarts sends on restart for every line "rs". It ends with the input,
// or with the process.
func readRestarts(in io.Reader, restart chan<- struct{}) {
	defer fault.Exit()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "rs" {
			restart <- struct{}{}
		}
	}
}

// listenOnce is one listener's life, up to errRestart. One that lived before
// does not give up when it can't join at once.
func (o *listenOptions) listenOnce(parent context.Context, tell *teller, h *handling, restart <-chan struct{}, again bool) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		defer fault.Exit()
		select {
		case <-restart:
			cancel(errRestart)
		case <-ctx.Done():
		}
	}()
	defer func() { <-watching }()
	defer cancel(nil)
	defer whenClosed(h.out.Writer, func() { cancel(errClosed) })()
	if o.options.ClientID == "" {
		o.options.ClientID = o.clientID()
	}

	o.options.Notify = func(line string) { tell.warn("%s", line) }
	h.company = newCompany(tell, o)
	var backend broker.Backend
	var listener *conn.Listener
	listener = &conn.Listener{
		Options:  o.options,
		Subjects: o.subjects,
		Subscription: broker.Subscription{
			Group: o.group, Durable: o.durable, Start: o.start, AckWait: o.ackWait, MaxInFlight: o.inFlight(),
		},
		NoAck: o.noAck, UntilEnd: o.untilEnd, Idle: o.idle, Persist: again, Rest: o.rest,
		Reached: func(b broker.Backend, again bool) {
			backend = b
			if again {
				return
			}
			o.tellBackend(tell, b)
			h.noAcks = b == broker.JetStream && o.group == "" && o.durable == ""
			if h.noAcks && (o.noAck || o.ackWaitGiven) {
				tell.say("--no-ack and --ack-wait are ignored: without a group or durable, JetStream wants no acks")
			}
			if b == broker.STAN {
				o.tellPosition(ctx, tell)
			}
		},
		Joined: func(places []broker.Place, again bool) {
			h.joined = true
			o.tellJoined(tell, places, again)
			h.company.joined(ctx, listener, backend, places)
		},
	}
	end, err := listener.Run(ctx, h)
	h.company.end()
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errRestart):
		if err != nil { // there is nothing to be lost by going on
			tell.warn("%v", err)
		}
		return errRestart
	case parent.Err() != nil && !h.joined && backend == "":
		return fmt.Errorf("%w before it was connected to %s: nothing was handled", errInterrupted, o.options.Where())
	case parent.Err() != nil && !h.joined:
		return fmt.Errorf("%w before it listened to %s: nothing was handled", errInterrupted, strings.Join(o.subjects, ", "))
	case err != nil && h.joined:
		return o.askMonitor(parent, err, nil)
	case errors.Is(err, broker.ErrNoStream) && !errors.Is(err, broker.ErrNoSuchStream):
		return hinted(err, "%s; to listen to a mirror, or to a stream with sources, name it with --stream", hintFor(err))
	case err != nil:
		return o.explain(parent, err)
	case errors.Is(cause, errClosed):
		return cause
	case parent.Err() != nil && o.hasEnd():
		return h.interrupted()
	case parent.Err() != nil:
		return nil // a signal, and closed cleanly
	case end == conn.EndIdle && (o.untilEnd || o.count > 0 && int(h.handled.Load()) < o.count):
		return errIdle
	}
	return h.verdict()
}

// hasEnd reports whether the flags say when to stop: until then, not all that
// was asked for is done.
func (o *listenOptions) hasEnd() bool { return o.untilEnd || o.count > 0 }

// rest asks the monitoring port what is left of a group or durable of NATS
// Streaming: nobody else can tell.
func (o *listenOptions) rest(ctx context.Context, sub broker.Subscription, client string) (broker.Rest, error) {
	r, err := streaming.RestOf(ctx, o.monitorURL(), sub.Subject, sub.Group, sub.Durable, client)
	return broker.Rest{Waiting: r.Waiting, Next: r.Next, Unacked: r.Unacked, Here: r.Own, Sent: r.Sent}, err
}

// inFlight is what a subscription may hold. If not told otherwise, it is not
// more than can be handled in half the ack wait (what waits longer is delivered
// to others meanwhile), and not much more than --count asks for: others should
// get the rest.
func (o *listenOptions) inFlight() int {
	const spare = 64 // events may break their contract, and then don't count
	n := o.maxInFlight
	if o.inFlightGiven {
		return n
	}
	if o.delay > 0 {
		perSubject := o.ackWait / 2 / o.delay / time.Duration(len(o.subjects))
		n = min(n, max(1, int(perSubject)))
	}
	if o.count > 0 {
		n = min(n, o.count+spare)
	}
	return n
}

func (o *listenOptions) tellJoined(tell *teller, places []broker.Place, again bool) {
	as := ""
	switch {
	case o.group != "" && o.durable != "":
		as = fmt.Sprintf(" in group %s, durable %s,", o.group, o.durable)
	case o.group != "":
		as = fmt.Sprintf(" in group %s, not durable,", o.group)
	case o.durable != "":
		as = fmt.Sprintf(" with durable %s", o.durable)
	}
	verb := "listening"
	if again {
		verb = "joined again, listening"
	}
	o.tellPlaces(tell, places, again)
	tell.say("%s to %s%s as client %s", verb, strings.Join(o.subjects, ", "), as, o.options.ClientID)
}

// tellPlaces says, in one line, what JetStream made of the subjects; and where
// a consumer that exists makes --deliver void.
func (o *listenOptions) tellPlaces(tell *teller, places []broker.Place, again bool) {
	var mapping []string
	for _, p := range places {
		if p.Stream == "" { // NATS Streaming
			return
		}
		consumer := "consumer " + p.Consumer
		if p.Consumer == "" {
			consumer = "a consumer of its own, ordered, without acks"
		}
		if !again {
			for _, note := range p.Notes {
				tell.say("%s", note)
			}
		}
		mapping = append(mapping, fmt.Sprintf("stream %s, %s, filter %s", p.Stream, consumer, p.Subject))
		if again && !p.Resumed && o.durable != "" {
			tell.warn("the consumer %s was gone, and with it the position on %s: it begins anew", p.Consumer, p.Subject)
		}
		if p.Resumed && o.deliverGiven && !again {
			tell.say("resuming %s after #%d: the consumer %s exists, --deliver is ignored", p.Subject, p.Position, p.Consumer)
		}
	}
	tell.say("%s", strings.Join(mapping, "; "))
}

// tellPosition says so where a durable that exists makes --deliver void.
func (o *listenOptions) tellPosition(ctx context.Context, tell *teller) {
	if o.durable == "" || !o.deliverGiven {
		return
	}
	for _, subject := range o.subjects {
		last, found, err := streaming.DurablePosition(ctx, o.monitorURL(), subject, o.group, o.durable, o.options.ClientID)
		if err != nil {
			tell.say("if the durable %s exists on %s, --deliver is ignored: "+
				"the monitoring port, which could tell, does not answer (--monitor)", o.durable, subject)
		} else if found {
			tell.say("resuming %s after #%d: the durable %s exists, --deliver is ignored", subject, last, o.durable)
		}
	}
}
