package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/fatih/color"

	"nats-test/internal/conn"
)

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
