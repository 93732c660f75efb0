package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"nats-test/internal/cli/console"
	"nats-test/internal/cli/source"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// An item is one event on its way from its source to the broker, or the error
// that ended the source.
type item struct {
	data []byte
	err  error
}

// Limits of the events that are read and checked ahead of sending.
const (
	aheadEvents = 256
	aheadBytes  = 8 << 20
)

// publishRun reads events, checks each, sends those before the first bad one,
// and waits for their acks.
func publishRun(ctx context.Context, s *System, tell *console.Console, o *publishOptions) error {
	// The reader may hang in a read of stdin that nothing can interrupt; it
	// ends with the process then.
	r := &reader{src: o.open(s, tell), check: o.checker(), items: make(chan item, aheadEvents), room: semaphore.NewWeighted(aheadBytes)}
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	go r.run(reading)
	out := newResults(s, tell, o)
	defer out.close(ctx)
	o.Options.Notify = func(line string) { tell.Warn("%s", line) }
	var err error
	if o.dryRun {
		if err = printItems(ctx, r, out); errors.Is(err, console.ErrInterrupted) {
			err = fmt.Errorf("%w before all events were checked", err)
		}
	} else {
		err = send(ctx, r, out, o)
	}
	if writing := out.flush(ctx); err == nil {
		err = writing
	}
	return err
}

// A reader reads and checks events ahead of their sending.
type reader struct {
	src   source.Source
	check func([]byte) ([]byte, error)
	items chan item
	room  *semaphore.Weighted // in bytes

	read  atomic.Int64 // events so far
	ended bool         // items is closed because there are no more
}

func (r *reader) run(ctx context.Context) {
	defer close(r.items)
	defer fault.Exit()
	for n := 1; ; n++ {
		data, where, err := r.src.Next()
		if errors.Is(err, io.EOF) {
			r.ended = true
			return
		}
		if err == nil {
			data, err = r.check(data)
		}
		if err != nil && where != "" {
			err = fmt.Errorf("event %d (%s): %w", n, where, err)
		}
		r.read.Add(1)
		it := item{err: err}
		if err == nil {
			if r.room.Acquire(ctx, weight(data)) != nil {
				return
			}
			it.data = append([]byte(nil), data...)
		}
		select {
		case r.items <- it:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// weight is an event's share of the room, at most all of it.
func weight(data []byte) int64 { return min(int64(len(data)), aheadBytes) }

var errNoEvents = console.Explained(errors.New("there is no event on stdin"), console.ErrContract,
	"give one JSON value per event, or the data itself with --data JSON")

// each calls do with every event, in order, until one is bad, do fails, stop is
// closed (nil is never), or stdout takes no more. If ctx is done before the
// last, the error is [console.ErrInterrupted].
func (r *reader) each(ctx context.Context, out *results, stop func() <-chan struct{}, do func(data []byte) error) error {
	for n := 0; ; n++ {
		var it item
		var more bool
		select {
		case it, more = <-r.items:
		default: // nothing is there yet, and everything may happen meanwhile
			select {
			case it, more = <-r.items:
			case <-ctx.Done():
				return console.ErrInterrupted
			case <-stop():
				return nil
			case <-out.broken:
				return out.wait(ctx)
			}
		}
		switch {
		case !more && r.ended && n > 0:
			return nil
		case ctx.Err() != nil:
			return console.ErrInterrupted
		case !more:
			return errNoEvents
		case it.err != nil:
			return it.err
		}
		r.room.Release(weight(it.data))
		if err := do(it.data); err != nil {
			return err
		}
	}
}

func printItems(ctx context.Context, r *reader, out *results) error {
	never := func() <-chan struct{} { return nil }
	return r.each(ctx, out, never, func(data []byte) error {
		return out.line(ctx, out.shown(data))
	})
}

// send publishes the events of r. It connects once the first event has passed its
// check, so that a bad one needs no broker.
func send(ctx context.Context, r *reader, out *results, o *publishOptions) (err error) {
	var session *conn.Conn
	var publisher *conn.Publisher
	begin := time.Now()
	defer func() {
		if publisher == nil {
			if errors.Is(err, console.ErrInterrupted) {
				err = fmt.Errorf("%w: nothing was sent", err)
			}
			return
		}
		cut := errors.Is(err, console.ErrInterrupted)
		if flushed := console.WhenInterrupted(ctx, publisher.Flush()); err == nil || cut && flushed != nil {
			err = flushed
		}
		took := time.Since(begin)
		closing := session.Close()
		if err == nil { // whoever can't read the lines is told how many events are stored
			err = out.flush(ctx)
		}
		err = out.summary(publisher, int(r.read.Load()), cut, took, err)
		if closing != nil && err == nil {
			out.tell.Warn("%v (all events were acked)", closing)
		}
	}()
	failed := func() <-chan struct{} {
		if publisher == nil {
			return nil
		}
		return publisher.Failed()
	}
	pace := rate.NewLimiter(rate.Limit(o.rate), 1)
	return r.each(ctx, out, failed, func(data []byte) error {
		if publisher == nil {
			if session, err = o.Dial(ctx, out.tell); err != nil {
				return console.WhenInterrupted(ctx, err)
			}
			if !session.Traits().MessageIDs && (o.id != "" || len(o.header) > 0) {
				return errors.Join(errOnlyJetStream, session.Close())
			}
			publisher = conn.NewPublisher(session, func(_ int, r broker.Receipt, last bool) { out.acked(r, last) })
			begin = time.Now()
		}
		if err := out.wait(ctx); err != nil {
			return console.WhenInterrupted(ctx, err)
		}
		if o.rate > 0 {
			if err := pace.Wait(ctx); err != nil {
				return console.WhenInterrupted(ctx, err)
			}
		}
		id, err := o.ids.Next()
		if err != nil {
			return err
		}
		return console.WhenInterrupted(ctx, publisher.Publish(ctx, broker.Event{Subject: o.subject, Data: data, ID: id, Header: o.header}))
	})
}
