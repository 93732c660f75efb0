package listen

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fatih/color"

	"nats-test/internal/cli/console"
	"nats-test/internal/cli/record"
	"nats-test/internal/cli/stdio"
	"nats-test/internal/cli/work"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
)

// An eventHandler checks and prints every event.
type eventHandler struct {
	tell   *console.Console
	o      *options
	out    *stdio.Timed
	format record.Format
	group  *groupWatch
	mine   map[string]map[uint64]time.Time // by subject: when events were left unacked here
	buffer []byte                          // output of events that were handled since the last flush
	run    *work.Run                       // handles the events by a command; nil to show them

	joined  bool
	noAcks  bool         // the broker wants none
	handled atomic.Int64 // written, or about to be; acked unless --no-ack
	written atomic.Int64 // of these, written by the last flush
	refused atomic.Int64 // broke their contract
}

func newEventHandler(s *console.System, tell *console.Console, o *options) *eventHandler {
	shade := func(a ...color.Attribute) func(...any) string { return tell.Paint(a...).Sprint }
	h := &eventHandler{tell: tell, o: o, out: &stdio.Timed{Writer: s.Stdout}, mine: make(map[string]map[uint64]time.Time)}
	h.format = record.FormatOf(o.output, s.StdoutTTY, record.Style{
		Number: shade(color.Faint), Subject: shade(color.FgCyan), Again: shade(color.FgYellow),
	})
	return h
}

// Handle checks an event and buffers its output.
func (h *eventHandler) Handle(m *broker.Message) error {
	if m.Deliveries > 1 {
		h.group.cameAgain(m, h.mine[m.Subject][m.Sequence])
	}
	if contract := h.o.contracts[m.Subject]; contract != nil {
		data, err := contract.Decode(m.Data)
		if err != nil {
			h.refused.Add(1)
			h.leave(m)
			verb, rest := "leaving", " unacked"
			if h.noAcks {
				verb, rest = "skipping", ""
			}
			h.tell.Fail(fmt.Errorf("%s #%d of %s%s: %w", verb, m.Sequence, m.Subject, rest, err))
			return conn.ErrLeave
		}
		h.buffer = h.format(h.buffer, m, data)
	} else if record.IsJSON(m.Data) {
		h.buffer = h.format(h.buffer, m, record.Compact(m.Data))
	} else {
		h.buffer = h.format(h.buffer, m, nil)
	}
	if h.o.delay > 0 {
		if err := h.Flush(); err != nil {
			return err
		}
		time.Sleep(h.o.delay) // simulated work; a shutdown waits for it
	}
	if h.o.noAck {
		h.leave(m)
	}
	if h.handled.Add(1) == int64(h.o.count) {
		return conn.ErrEnough
	}
	return nil
}

// check returns an event's data as compact JSON where it is JSON, or why it breaks its
// contract.
func (h *eventHandler) check(m *broker.Message) ([]byte, error) {
	if contract := h.o.contracts[m.Subject]; contract != nil {
		return contract.Decode(m.Data)
	}
	return m.Data, nil
}

// leave records when an event was left unacked, to recognise its redelivery.
func (h *eventHandler) leave(m *broker.Message) {
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

// Flush writes the output of Handle. Only then may the events be acked.
func (h *eventHandler) Flush() error {
	if len(h.buffer) == 0 {
		return nil
	}
	_, err := h.out.Write(h.buffer)
	h.buffer = h.buffer[:0]
	if err != nil {
		h.handled.Store(h.written.Load())
		if h.noAcks {
			return stdio.Unwritten(err)
		}
		return fmt.Errorf("%w (what was not written stays unacked)", stdio.Unwritten(err))
	}
	h.written.Store(h.handled.Load())
	return nil
}

// Blocked returns how long a write to stdout has been blocked.
func (h *eventHandler) Blocked() time.Duration { return h.out.Blocked() }

func (h *eventHandler) summary() {
	if h.Blocked() > 0 { // no more writes
		h.handled.Store(h.written.Load())
	}
	unacked := ""
	if h.o.noAck && !h.noAcks {
		unacked = ", none acked (--no-ack)"
	}
	if n := h.refused.Load(); n > 0 {
		unacked += fmt.Sprintf(", %d deliveries %s because they break their contract", n, h.left())
	}
	handled := int(h.handled.Load())
	h.tell.Say("handled %d %s%s", handled, console.Plural(handled, "event"), unacked)
}

// left describes how events that break their contract were left.
func (h *eventHandler) left() string {
	if h.noAcks {
		return "skipped"
	}
	return "left unacked"
}

// interrupted returns the error of a run that a signal ended early.
func (h *eventHandler) interrupted() error {
	n := int(h.handled.Load())
	if h.o.count > 0 {
		return fmt.Errorf("%w: %d of %d events handled", console.ErrInterrupted, n, h.o.count)
	}
	return fmt.Errorf("%w before the end: %d %s handled", console.ErrInterrupted, n, console.Plural(n, "event"))
}

// verdict returns the error of a complete run.
func (h *eventHandler) verdict() error {
	if n := h.refused.Load(); n > 0 {
		return console.Broken("%d deliveries broke their contract and were %s", n, h.left())
	}
	return nil
}
