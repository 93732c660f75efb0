package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fatih/color"

	"nats-test/internal/conn"
	"nats-test/internal/monitor"
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
		select {
		case <-restart:
			cancel(errRestart)
		case <-ctx.Done():
		}
	}()
	defer func() { <-watching }()
	defer cancel(nil)
	defer whenClosed(h.out, func() { cancel(errClosed) })()
	if o.options.ClientID == "" {
		o.options.ClientID = o.clientID()
	}

	o.options.Notify = func(line string) { tell.warn("%s", line) }
	h.company = newCompany(tell, o)
	var backend conn.Backend
	var listener *conn.Listener
	listener = &conn.Listener{
		Options:  o.options,
		Subjects: o.subjects,
		Subscription: conn.Subscription{
			Group: o.group, Durable: o.durable, Start: o.start, AckWait: o.ackWait, MaxInFlight: o.inFlight(),
		},
		NoAck: o.noAck, UntilEnd: o.untilEnd, Idle: o.idle, Persist: again,
		Reached: func(b conn.Backend, again bool) {
			backend = b
			if again {
				return
			}
			o.tellBackend(tell, b)
			h.noAcks = b == conn.JetStream && o.group == "" && o.durable == ""
			if h.noAcks && (o.noAck || o.ackWaitGiven) {
				tell.say("--no-ack and --ack-wait are ignored: without a group or durable, JetStream wants no acks")
			}
			if b == conn.STAN {
				o.tellPosition(ctx, tell)
			}
		},
		Joined: func(places []conn.Place, again bool) {
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
	case err != nil && h.joined:
		return o.askMonitor(parent, err)
	case err != nil:
		return o.explain(parent, err)
	case errors.Is(cause, errClosed):
		return cause
	case parent.Err() != nil:
		return nil // a signal, and closed cleanly
	case end == conn.EndIdle && o.count > 0 && h.handled < o.count:
		return errIdle
	}
	return h.verdict()
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

func (o *listenOptions) tellJoined(tell *teller, places []conn.Place, again bool) {
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
func (o *listenOptions) tellPlaces(tell *teller, places []conn.Place, again bool) {
	var mapping []string
	for _, p := range places {
		if p.Stream == "" { // NATS Streaming
			return
		}
		consumer := "consumer " + p.Consumer
		if p.Consumer == "" {
			consumer = "a consumer of its own, ordered, without acks"
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
		last, found, err := monitor.DurablePosition(ctx, o.monitorURL(), subject, o.group, o.durable, o.options.ClientID)
		if err != nil {
			tell.say("if the durable %s exists on %s, --deliver is ignored: "+
				"the monitoring port, which could tell, does not answer (--monitor)", o.durable, subject)
		} else if found {
			tell.say("resuming %s after #%d: the durable %s exists, --deliver is ignored", subject, last, o.durable)
		}
	}
}

// handling is what happens to every event.
type handling struct {
	tell    *teller
	o       *listenOptions
	out     io.Writer
	format  format
	company *company
	mine    map[string]map[uint64]time.Time // of each subject, when events were left unacked here
	buffer  []byte                          // output of events that were handled since the last flush

	joined  bool
	noAcks  bool // the broker wants none
	handled int  // written, or about to be; and acked unless --no-ack
	written int  // of these, up to the last flush
	refused int  // broke their contract
}

func newHandling(s *System, tell *teller, o *listenOptions) *handling {
	shade := func(a ...color.Attribute) func(...any) string { return paint(s, o.color, s.StdoutTTY, a...).Sprint }
	h := &handling{tell: tell, o: o, out: s.Stdout, mine: make(map[string]map[uint64]time.Time)}
	h.format = formatOf(o.output, s.StdoutTTY, style{
		number: shade(color.Faint), subject: shade(color.FgCyan), again: shade(color.FgYellow),
	})
	return h
}

// Handle checks one event and notes its output.
func (h *handling) Handle(m *conn.Message) error {
	if m.Deliveries > 1 {
		h.company.cameAgain(m, h.mine[m.Subject][m.Sequence])
	}
	if contract := h.o.contracts[m.Subject]; contract != nil {
		data, err := contract.Decode(m.Data)
		if err != nil {
			h.refused++
			h.leave(m)
			verb, rest := "leaving", " unacked"
			if h.noAcks {
				verb, rest = "skipping", ""
			}
			h.tell.fail(fmt.Errorf("%s #%d of %s%s: %w", verb, m.Sequence, m.Subject, rest, err))
			return conn.ErrLeave
		}
		h.buffer = h.format(h.buffer, m, data)
	} else if isJSON(m.Data) {
		h.buffer = h.format(h.buffer, m, compact(m.Data))
	} else {
		h.buffer = h.format(h.buffer, m, nil)
	}
	if h.o.delay > 0 {
		if err := h.Flush(); err != nil {
			return err
		}
		time.Sleep(h.o.delay) // this is the work, which a shutdown waits for
	}
	if h.o.noAck {
		h.leave(m)
	}
	h.handled++
	if h.handled == h.o.count {
		return conn.ErrEnough
	}
	return nil
}

// leave remembers when events are left unacked, to know them again.
func (h *handling) leave(m *conn.Message) {
	const most = 1 << 16
	left := h.mine[m.Subject]
	if left == nil {
		left = make(map[uint64]time.Time)
		h.mine[m.Subject] = left
	}
	if _, known := left[m.Sequence]; known || len(left) < most {
		left[m.Sequence] = time.Now()
	}
}

// Flush writes what Handle noted. Only then may the events be acked.
func (h *handling) Flush() error {
	if len(h.buffer) == 0 {
		return nil
	}
	_, err := h.out.Write(h.buffer)
	h.buffer = h.buffer[:0]
	if err != nil {
		h.handled = h.written
		return fmt.Errorf("writing to stdout: %w (what was not written stays unacked)", err)
	}
	h.written = h.handled
	return nil
}

func (h *handling) summary() {
	unacked := ""
	if h.o.noAck && !h.noAcks {
		unacked = ", none acked (--no-ack)"
	}
	if h.refused > 0 {
		unacked += fmt.Sprintf(", %d deliveries %s because they break their contract", h.refused, h.left())
	}
	h.tell.say("handled %d %s%s", h.handled, plural(h.handled, "event"), unacked)
}

// left is what happened to events that broke their contract.
func (h *handling) left() string {
	if h.noAcks {
		return "skipped"
	}
	return "left unacked"
}

// verdict is the error of a run that came to its end.
func (h *handling) verdict() error {
	if h.refused > 0 {
		return broken("%d deliveries broke their contract and were %s", h.refused, h.left())
	}
	return nil
}
