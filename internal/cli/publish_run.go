package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/time/rate"

	"nats-test/internal/conn"
)

// An item is one event on its way from its source to the broker, or the error
// that ended the source.
type item struct {
	data []byte
	err  error
}

// ahead is how many events are read and checked before they can be sent.
const ahead = 128

// publishRun reads events, checks each, sends those before the first bad one,
// and waits for their acks.
func publishRun(ctx context.Context, s *System, tell *teller, o *publishOptions) error {
	src, err := o.open(s)
	if err != nil {
		return err
	}
	check, err := o.checker()
	if err != nil {
		return err
	}
	// The reader may hang in a read of stdin that nothing can interrupt; it
	// ends with the process then.
	items := make(chan item, ahead)
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	go readItems(reading, src, check, items)
	out := newResults(s, tell, o)
	defer out.close()
	o.options.Notify = func(line string) { tell.say("%s", line) }
	if o.dryRun {
		return printItems(items, out)
	}
	return send(ctx, items, out, o)
}

func readItems(ctx context.Context, src source, check func([]byte) ([]byte, error), items chan<- item) {
	defer close(items)
	for n := 1; ; n++ {
		data, where, err := src.next()
		if err == nil {
			data, err = check(data)
		}
		if errors.Is(err, io.EOF) {
			return
		}
		it := item{err: err}
		if err == nil {
			it.data = append([]byte(nil), data...)
		} else if where != "" {
			it.err = fmt.Errorf("event %d (%s): %w", n, where, err)
		}
		select {
		case items <- it:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

var errNoEvents = &explained{errors.New("there is no event on stdin"), errContract,
	"give one JSON value per event, or the data itself with --data JSON"}

func printItems(items <-chan item, out *results) error {
	n := 0
	for it := range items {
		if it.err != nil {
			return it.err
		}
		n++
		if err := out.write(it.data, '\n'); err != nil {
			return err
		}
	}
	if n == 0 {
		return errNoEvents
	}
	return out.flush()
}

// send publishes what comes from items. It connects when the first event has
// passed its check, so that a bad one needs no broker.
func send(ctx context.Context, items <-chan item, out *results, o *publishOptions) (err error) {
	var session conn.Session
	var publisher *conn.Publisher
	var failed <-chan struct{} // nobody's, until there is a publisher
	begin := time.Now()
	defer func() {
		if publisher == nil {
			return
		}
		if flushed := publisher.Flush(); err == nil {
			err = flushed
		}
		sent, acked := publisher.Sent()
		closing := session.Close()
		out.summary(sent, acked, time.Since(begin), err)
		if writing := out.flush(); writing != nil && err == nil {
			err = writing
		}
		if closing != nil && err == nil {
			out.tell.warn("%v (all events were acked)", closing)
		}
	}()
	pace := rate.NewLimiter(rate.Inf, 1)
	if o.rate > 0 {
		pace = rate.NewLimiter(rate.Limit(o.rate), 1)
	}
	for {
		var it item
		var more bool
		select {
		case it, more = <-items:
		case <-ctx.Done():
			out.tell.say("interrupted")
			return nil // what was sent is waited for
		case <-failed:
			return nil // flushing tells why
		case err := <-out.broken:
			return err
		}
		switch {
		case !more && publisher == nil && ctx.Err() == nil:
			return errNoEvents
		case !more:
			return nil
		case it.err != nil:
			return it.err
		}
		if publisher == nil {
			if session, err = o.dial(ctx); err != nil {
				return err
			}
			publisher = conn.NewPublisher(session, func(_ int, r conn.Receipt, last bool) { out.acked(r, last) })
			failed = publisher.Failed()
			begin = time.Now()
		}
		if err := pace.Wait(ctx); err != nil {
			continue // interrupted
		}
		if err := publisher.Publish(ctx, o.subject, it.data); err != nil {
			return err
		}
	}
}

// A result is the record of an acked event, as publish -o json writes it.
type result struct {
	Subject string `json:"subject"`
	ID      string `json:"id"`
}

// results writes a line per acked event. acked is called by the publisher's
// goroutine; the others by the run's.
type results struct {
	tell   *teller
	out    *bufio.Writer
	text   []byte // the line, where it is always the same
	o      *publishOptions
	broken chan error // cap 1: stdout took no more
	failed bool
	bar    *progress
}

func newResults(s *System, tell *teller, o *publishOptions) *results {
	r := &results{tell: tell, o: o, broken: make(chan error, 1), bar: newProgress(s, tell, o)}
	r.out = bufio.NewWriterSize(s.Stdout, 32<<10)
	if s.StdoutTTY {
		r.out = bufio.NewWriterSize(above{s.Stdout, r.bar}, 32<<10)
	}
	if o.output == "text" {
		r.text = []byte("Event published to subject " + o.subject + "\n")
	}
	return r
}

func (r *results) acked(receipt conn.Receipt, last bool) {
	line := r.text
	if line == nil {
		line, _ = json.Marshal(result{r.o.subject, receipt.ID})
		line = append(line, '\n')
	}
	r.bar.add(1)
	_, err := r.out.Write(line)
	if err == nil && last {
		err = r.out.Flush()
	}
	if err != nil && !r.failed {
		r.failed = true
		r.broken <- fmt.Errorf("writing to stdout: %w", err)
	}
}

func (r *results) write(data []byte, end byte) error {
	_, err := r.out.Write(append(data, end))
	return err
}

func (r *results) flush() error {
	if err := r.out.Flush(); err != nil {
		return fmt.Errorf("writing to stdout: %w", err)
	}
	return nil
}

func (r *results) close() { r.bar.close() }

// summary tells how it went, where that is more than the one line.
func (r *results) summary(sent, acked int, took time.Duration, err error) {
	r.bar.close()
	perSecond := float64(acked) / max(took.Seconds(), 1e-9)
	switch {
	case sent != acked:
		r.tell.warn("%d of %d events acked; of the others it is not known whether the broker stored them", acked, sent)
	case err != nil:
		r.tell.warn("%d %s acked before the error", acked, plural(acked, "event"))
	case acked > 1:
		r.tell.say("%d events in %.2f s (%.0f events/s)", acked, took.Seconds(), perSecond)
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
