package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"nats-test/internal/cli/console"
	"nats-test/internal/cli/stdio"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// A result is the record of an acked event, as publish -o json writes it.
type result struct {
	Subject   string `json:"subject"`
	ID        string `json:"id"`
	Stream    string `json:"stream,omitempty"`
	Sequence  uint64 `json:"sequence,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
}

// results writes a line per acked event. The lines are written by a goroutine
// of their own: acks must not wait for a reader of stdout that is slow.
type results struct {
	tell *console.Console
	o    *options
	out  *stdio.Timed
	safe bool // stdout is a terminal
	bar  *progress

	broken  chan struct{} // closed when stdout takes no more
	written chan struct{} // closed when the writer has ended

	mu      sync.Mutex
	changed *sync.Cond
	pending []byte // lines that wait to be written
	due     bool   // they should wait no longer
	ended   bool   // no more lines come
	repeats int    // acked events that had been stored before
	err     error  // why stdout takes no more
}

// Lines are buffered up to minWrite bytes while more are expected. From maxPending
// bytes on, sending waits.
const (
	minWrite   = 16 << 10
	maxPending = 256 << 10
)

func newResults(s *console.System, tell *console.Console, o *options) *results {
	r := &results{
		tell: tell, o: o, out: &stdio.Timed{Writer: s.Stdout}, safe: s.StdoutTTY, bar: newProgress(s, tell, o),
		broken: make(chan struct{}), written: make(chan struct{}),
	}
	r.changed = sync.NewCond(&r.mu)
	if s.StdoutTTY {
		r.out.Writer = above{s.Stdout, r.bar}
	}
	go r.write()
	return r
}

func (r *results) write() {
	defer close(r.written)
	defer fault.Exit()
	var lines []byte
	for {
		r.mu.Lock()
		for !r.due && !r.ended {
			r.changed.Wait()
		}
		lines, r.pending, r.due = r.pending, lines[:0], false
		r.mu.Unlock()
		if len(lines) == 0 {
			return
		}
		_, err := r.out.Write(lines)
		r.mu.Lock()
		if err != nil {
			r.err = stdio.Unwritten(err)
			close(r.broken)
		}
		r.changed.Broadcast()
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// acked notes the line of an acked event, and has it written if it is the last
// in flight, or many have come together. It never blocks.
func (r *results) acked(receipt broker.Receipt, last bool) {
	r.bar.add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if receipt.Duplicate {
		r.repeats++
	}
	if r.err == nil {
		r.pending = r.appendAck(r.pending, receipt)
		r.due = r.due || last || len(r.pending) >= minWrite
		if r.due {
			r.changed.Broadcast()
		}
	}
}

func (r *results) appendAck(out []byte, receipt broker.Receipt) []byte {
	if r.o.output == "json" {
		// Strings, numbers and truths always marshal.
		line, _ := json.Marshal(result{r.o.subject, receipt.ID, receipt.Stream, receipt.Sequence, receipt.Duplicate})
		if r.safe {
			line = []byte(console.Printable(string(line)))
		}
		return append(append(out, line...), '\n')
	}
	out = append(append(out, "Event published to subject "...), console.Printable(r.o.subject)...)
	if receipt.Stream != "" {
		out = append(out, " ("...)
		if receipt.Duplicate {
			out = append(out, "already stored: "...)
		}
		out = append(out, '#')
		out = strconv.AppendUint(out, receipt.Sequence, 10)
		out = append(append(append(out, " of stream "...), console.Printable(receipt.Stream)...), ')')
	}
	return append(out, '\n')
}

// line writes a line of its own, when there is room.
func (r *results) line(ctx context.Context, text string) error {
	if err := r.wait(ctx); err != nil {
		return console.WhenInterrupted(ctx, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = append(append(r.pending, text...), '\n')
	r.due = true
	r.changed.Broadcast()
	return nil
}

// shown is data as a dry run prints it.
func (r *results) shown(data []byte) string {
	if r.safe {
		return console.Printable(string(data))
	}
	return string(data)
}

// wait returns when there is room for further lines, with an error when stdout
// takes none, or when ctx is done.
func (r *results) wait(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) < maxPending {
		return r.err
	}
	stop := context.AfterFunc(ctx, func() {
		defer fault.Exit()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed.Broadcast()
	})
	defer stop()
	for len(r.pending) >= maxPending && r.err == nil && ctx.Err() == nil {
		r.changed.Wait()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.err
}

// flush waits until all is written, and returns the error of writing.
func (r *results) flush(ctx context.Context) error {
	r.close(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// close waits for the writer to write what is left; once ctx is done it gives up on
// a stdout that nobody reads.
func (r *results) close(ctx context.Context) {
	r.mu.Lock()
	r.ended = true
	r.changed.Broadcast()
	r.mu.Unlock()
	unread := make(chan struct{})
	go stdio.WhenUnread(ctx, r.out, r.written, func() { close(unread) })
	select {
	case <-r.written:
	case <-unread:
		r.mu.Lock()
		r.err = stdio.ErrUnread
		r.mu.Unlock()
	}
	r.bar.close()
}

// summary prints the totals, where there was more than one event, and returns the
// command's error. read is how many events were read so far; cut says
// that a signal came before the last.
func (r *results) summary(p *conn.Publisher, read int, cut bool, took time.Duration, err error) error {
	r.bar.close()
	sent, acked, inDoubt := p.Sent()
	if only := errors.Is(err, console.ErrInterrupted); only && r.o.interactive && acked == sent {
		r.tell.Say("interrupted; all %d %s acked", acked, console.Plural(acked, "event"))
		return nil
	} else if only && inDoubt == 0 {
		return fmt.Errorf("%w: %s", console.ErrInterrupted, r.progress(sent, acked, read))
	} else if cut {
		r.tell.Warn("interrupted: %s", r.progress(sent, acked, read))
	}
	switch {
	case inDoubt > 0:
		r.tell.Warn("%d of %d %s acked; of %d it is not known whether the broker stored them", acked, sent, console.Plural(sent, "event"), inDoubt)
	case err == nil && acked > 1:
		r.tell.Say("%d events%s in %.2f s (%.0f events/s)", acked, r.stored(), took.Seconds(), float64(acked)/max(took.Seconds(), 1e-9))
	case err == nil, cut, errors.Is(err, broker.ErrOrder):
	case r.o.count > 1:
		r.tell.Warn("%s before the error", r.progress(sent, acked, read))
	default:
		r.tell.Warn("%d %s acked before the error", acked, console.Plural(acked, "event"))
	}
	return err
}

// progress is how many events were acked, of those asked for as far as that is known.
func (r *results) progress(sent, acked, read int) string {
	switch {
	case r.o.data == "-":
		return fmt.Sprintf("%d of the %d %s read so far acked", acked, read, console.Plural(read, "event"))
	case r.o.interactive:
		return fmt.Sprintf("%d of %d %s acked", acked, sent, console.Plural(sent, "event"))
	}
	return fmt.Sprintf("%d of %d %s acked", acked, r.o.count, console.Plural(r.o.count, "event"))
}

// stored says how many of the acked events had been stored before.
func (r *results) stored() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.repeats == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of them already stored,", r.repeats)
}
