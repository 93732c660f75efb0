package listen

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"nats-test/internal/cli/console"
	"nats-test/internal/cli/stdio"
	"nats-test/internal/cli/work"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
	"nats-test/internal/monitor/streaming"
)

var errRestart = errors.New("restarted by rs")

// run listens until the end set by flags, or a signal.
func run(ctx context.Context, s *console.System, tell *console.Console, o *options) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	compiled := o.compile(ctx, stop)
	h := newEventHandler(s, tell, o)
	restart := make(chan struct{})
	if s.StdinTTY {
		go readRestarts(s.Stdin, restart)
	}
	for again := false; ; again = true {
		err := o.listenOnce(ctx, s, tell, h, restart, again)
		if !errors.Is(err, errRestart) {
			if broken := compiled(); broken != nil {
				err = broken
			}
			switch {
			case h.joined && h.run != nil:
				h.run.Summary()
			case h.joined:
				h.summary()
			}
			return err
		}
		tell.Say("restarting")
		if !o.ClientIDGiven {
			o.Options.ClientID = "" // choose another random one
		}
	}
}

// compile compiles the contracts while the listener connects. An invalid one ends
// the listener through stop. The returned function waits for the result.
func (o *options) compile(ctx context.Context, stop context.CancelCauseFunc) (compiled func() error) {
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

// listenOnce runs one listener until it ends or is restarted (errRestart). With
// again, it retries if it can't join at once.
func (o *options) listenOnce(parent context.Context, s *console.System, tell *console.Console, h *eventHandler, restart <-chan struct{}, again bool) error {
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
	defer stdio.WhenClosed(h.out.Writer, func() { cancel(stdio.ErrClosed) })()
	if o.Options.ClientID == "" {
		o.Options.ClientID = o.ClientID()
	}

	o.Options.Notify, o.Options.NotifyError = func(line string) { tell.Warn("%s", line) }, tell.WarnOf
	h.group = newGroupWatch(tell, o)
	if o.work.On() {
		h.run = o.work.Begin(s, tell, work.Listener{
			Broker: o.Broker, Subjects: o.subjects, Group: cmp.Or(o.Durable, o.Group), AckWait: o.ackWait, Count: o.count,
			MaxInFlight: o.workInFlight(), JSON: o.output == "json", Check: h.check, Encode: o.encode, Stop: func(err error) { cancel(err) },
		})
	}
	var traits *broker.Traits // set once the broker is reached
	var listener *conn.Listener
	listener = &conn.Listener{
		Options:  o.Options,
		Subjects: o.subjects,
		Subscription: broker.Subscription{
			Group: o.Group, Durable: o.Durable, Start: o.start, AckWait: o.ackWait, MaxInFlight: o.inFlight(),
		},
		NoAck: o.noAck, UntilEnd: o.untilEnd, Idle: o.idle, Persist: again, Rest: o.rest,
		Reached: func(b broker.Backend, t broker.Traits, again bool) {
			traits = &t
			if again {
				return
			}
			o.TellBackend(tell, b)
			h.noAcks = !t.LoneAcks && o.Group == "" && o.Durable == ""
			if h.noAcks && (o.noAck || o.ackWaitGiven) {
				tell.Say("--no-ack and --ack-wait are ignored: without a group or durable, this broker wants no acks")
			}
			if t.Clients {
				o.tellPosition(ctx, tell)
			}
			if h.run != nil {
				if err := h.run.Reached(ctx, t, h.noAcks); err != nil {
					cancel(err)
				}
			}
		},
		Joined: func(places []broker.Place, again bool) {
			h.joined = true
			o.tellJoined(tell, places, again)
			h.group.joined(ctx, listener, traits.Clients, places)
		},
	}
	if h.run != nil {
		served, err := h.run.Serve(listener.Listening)
		if err != nil {
			return err
		}
		defer served()
	}
	end, err := o.run(ctx, listener, h)
	if h.run != nil {
		n := h.run.Counts()
		h.handled.Store(int64(n.Acked + n.Dead))
	}
	h.group.end()
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errRestart):
		if err != nil { // nothing is lost by continuing
			tell.Warn("%v", err)
		}
		return errRestart
	case parent.Err() != nil && !h.joined && traits == nil:
		return fmt.Errorf("%w before it was connected to %s: nothing was handled", console.ErrInterrupted, o.Options.Where())
	case parent.Err() != nil && !h.joined:
		return fmt.Errorf("%w before it listened to %s: nothing was handled", console.ErrInterrupted, strings.Join(o.subjects, ", "))
	case err != nil && h.joined:
		return o.AskMonitor(parent, err, nil)
	case h.run != nil && err == nil && (h.run.Err() != nil || cause != nil && parent.Err() == nil): // it stopped by itself
		return o.AskMonitor(parent, cmp.Or(h.run.Err(), cause), nil)
	case errors.Is(err, broker.ErrNoStream) && !errors.Is(err, broker.ErrNoSuchStream):
		return console.Hinted(err, "%s; to listen to a mirror, or to a stream with sources, name it with --stream", console.HintFor(err))
	case err != nil:
		return o.Explain(parent, err)
	case errors.Is(cause, stdio.ErrClosed):
		return cause
	case parent.Err() != nil && o.hasEnd():
		return h.interrupted()
	case parent.Err() != nil:
		return nil // a signal, and a clean close
	case end == conn.EndIdle && (o.untilEnd || o.count > 0 && int(h.handled.Load()) < o.count):
		return console.ErrIdle
	}
	return h.verdict()
}

// run hands the events to h, or to its worker.
func (o *options) run(ctx context.Context, l *conn.Listener, h *eventHandler) (conn.End, error) {
	if h.run != nil {
		return l.RunTasks(ctx, h.run)
	}
	return l.Run(ctx, h)
}

// hasEnd reports whether flags set an end; a run interrupted before it is
// incomplete.
func (o *options) hasEnd() bool { return o.untilEnd || o.count > 0 }

// rest asks the monitoring port how many events are left for a group or durable of
// NATS Streaming; no other source has that.
func (o *options) rest(ctx context.Context, sub broker.Subscription, client string) (broker.Rest, error) {
	r, err := streaming.RestOf(ctx, o.MonitorURL(), sub.Subject, sub.Group, sub.Durable, client)
	return broker.Rest{Waiting: r.Waiting, Next: r.Next, Unacked: r.Unacked, Here: r.Own, Sent: r.Sent}, err
}

// inFlight returns the number of unacked events a subscription may hold. Unless
// --max-in-flight is given, it is limited to what can be handled in half the ack
// wait, since later events would be redelivered to others, and to little more than
// --count, to leave the rest to others.
func (o *options) inFlight() int {
	const spare = 64 // for events that break their contract, which are not counted
	n := o.maxInFlight
	switch {
	case o.inFlightGiven:
		return n
	case o.work.On():
		return o.work.InFlight()
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

// encode checks an event that a handler emitted, as publish does.
func (o *options) encode(subject string, data []byte) ([]byte, error) {
	if o.all == nil {
		return data, nil
	}
	contract, err := o.all.Lookup(subject)
	if err != nil {
		return nil, err
	}
	return contract.Encode(data)
}

// workInFlight is --max-in-flight, if it is given; else 0.
func (o *options) workInFlight() int {
	if o.inFlightGiven {
		return o.maxInFlight
	}
	return 0
}

func (o *options) tellJoined(tell *console.Console, places []broker.Place, again bool) {
	as := ""
	switch {
	case o.Group != "" && o.Durable != "":
		as = fmt.Sprintf(" in group %s, durable %s,", o.Group, o.Durable)
	case o.Group != "":
		as = fmt.Sprintf(" in group %s, not durable,", o.Group)
	case o.Durable != "":
		as = fmt.Sprintf(" with durable %s", o.Durable)
	}
	verb := "listening"
	if again {
		verb = "joined again, listening"
	}
	o.tellPlaces(tell, places, again)
	tell.Say("%s to %s%s as client %s", verb, strings.Join(o.subjects, ", "), as, o.Options.ClientID)
}

// tellPlaces prints the stream and consumer of each subject in one line, and
// whether an existing consumer makes --deliver ineffective.
func (o *options) tellPlaces(tell *console.Console, places []broker.Place, again bool) {
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
				tell.Say("%s", note)
			}
		}
		mapping = append(mapping, fmt.Sprintf("stream %s, %s, filter %s", p.Stream, consumer, p.Subject))
		if again && !p.Resumed && o.Durable != "" {
			tell.Warn("the consumer %s was gone, and with it the position on %s: it begins anew", p.Consumer, p.Subject)
		}
		if p.Resumed && o.deliverGiven && !again {
			tell.Say("resuming %s after #%d: the consumer %s exists, --deliver is ignored", p.Subject, p.Position, p.Consumer)
		}
	}
	tell.Say("%s", strings.Join(mapping, "; "))
}

// tellPosition prints whether an existing durable makes --deliver ineffective.
func (o *options) tellPosition(ctx context.Context, tell *console.Console) {
	if o.Durable == "" || !o.deliverGiven {
		return
	}
	for _, subject := range o.subjects {
		last, found, err := streaming.DurablePosition(ctx, o.MonitorURL(), subject, o.Group, o.Durable, o.Options.ClientID)
		if err != nil {
			tell.Say("if the durable %s exists on %s, --deliver is ignored: "+
				"the monitoring port, which could tell, does not answer (--monitor)", o.Durable, subject)
		} else if found {
			tell.Say("resuming %s after #%d: the durable %s exists, --deliver is ignored", subject, last, o.Durable)
		}
	}
}
