package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"nats-test/internal/cli/console"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
)

// run reads events, checks each, sends those before the first bad one,
// and waits for their acks.
func run(ctx context.Context, s *console.System, tell *console.Console, o *options) error {
	// The reader may hang in a read of stdin that nothing can interrupt; it
	// ends with the process then.
	r := newReader(o.checker())
	r.src = o.open(r.ahead(s.Stdin), s, tell)
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	go r.run(reading)
	out := newResults(s, tell, o)
	defer out.close(ctx)
	o.Options.Notify, o.Options.NotifyError = func(line string) { tell.Warn("%s", line) }, tell.WarnOf
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

func printItems(ctx context.Context, r *reader, out *results) error {
	never := func() <-chan struct{} { return nil }
	return r.each(ctx, out, never, func(data []byte) error {
		return out.line(ctx, out.shown(data))
	})
}

// send publishes the events of r. It connects once the first event has passed its
// check, so that a bad one needs no broker.
func send(ctx context.Context, r *reader, out *results, o *options) (err error) {
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
