package cli

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fatih/color"

	"nats-test/internal/cli/console"
	"nats-test/internal/cli/record"
	"nats-test/internal/cli/stdio"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
)

// An eventHandler checks and prints every event.
type eventHandler struct {
	tell   *console.Console
	o      *listenOptions
	out    *stdio.Timed
	format record.Format
	group  *groupWatch
	mine   map[string]map[uint64]time.Time // of each subject, when events were left unacked here
	buffer []byte                          // output of events that were handled since the last flush

	joined  bool
	noAcks  bool         // the broker wants none
	handled atomic.Int64 // written, or about to be; and acked unless --no-ack
	written atomic.Int64 // of these, up to the last flush
	refused atomic.Int64 // broke their contract
}

func newEventHandler(s *System, tell *console.Console, o *listenOptions) *eventHandler {
	shade := func(a ...color.Attribute) func(...any) string { return tell.Paint(a...).Sprint }
	h := &eventHandler{tell: tell, o: o, out: &stdio.Timed{Writer: s.Stdout}, mine: make(map[string]map[uint64]time.Time)}
	h.format = record.FormatOf(o.output, s.StdoutTTY, record.Style{
		Number: shade(color.Faint), Subject: shade(color.FgCyan), Again: shade(color.FgYellow),
	})
	return h
}

// Handle checks one event and buffers its output.
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
		time.Sleep(h.o.delay) // this is the work, which a shutdown waits for
	}
	if h.o.noAck {
		h.leave(m)
	}
	if h.handled.Add(1) == int64(h.o.count) {
		return conn.ErrEnough
	}
	return nil
}

// leave remembers when events are left unacked, to know them again.
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

// Blocked returns for how long a write to stdout has blocked.
func (h *eventHandler) Blocked() time.Duration { return h.out.Blocked() }

func (h *eventHandler) summary() {
	if h.Blocked() > 0 { // and so it stays
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

// left says in which state events that broke their contract were left.
func (h *eventHandler) left() string {
	if h.noAcks {
		return "skipped"
	}
	return "left unacked"
}

// interrupted is the error of a run that a signal ended before its end.
func (h *eventHandler) interrupted() error {
	n := int(h.handled.Load())
	if h.o.count > 0 {
		return fmt.Errorf("%w: %d of %d events handled", console.ErrInterrupted, n, h.o.count)
	}
	return fmt.Errorf("%w before the end: %d %s handled", console.ErrInterrupted, n, console.Plural(n, "event"))
}

// verdict is the error of a run that came to its end.
func (h *eventHandler) verdict() error {
	if n := h.refused.Load(); n > 0 {
		return console.Broken("%d deliveries broke their contract and were %s", n, h.left())
	}
	return nil
}
