package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/worker/process"
)

// ErrNotEmitted is wrapped by the error of [Letters.Emit] if the broker may take the
// events later.
var ErrNotEmitted = errors.New("what the handler emitted is not stored")

// unfit are the reasons for which a broker will never take an event.
var unfit = []error{
	broker.ErrTooLarge, broker.ErrStreamLimit, broker.ErrNoStream, broker.ErrName, broker.ErrDenied, broker.ErrRefused,
	broker.ErrOtherStream, broker.ErrNotStored,
}

// Emit stores the events that the handler of another emitted, and returns when the
// broker has acked them all. Where there are message IDs, theirs are made of the
// other's ID, the group and their number, from 1, so that a repeat is stored once: as
// it was emitted first, if it differs.
func (l *Letters) Emit(ctx context.Context, origin *conn.Task, events []broker.Event) error {
	session, err := l.open(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotEmitted, err)
	}
	if session.Traits().MessageIDs {
		for i := range events {
			events[i].ID = EventID(origin) + "/" + l.Group + "/" + strconv.Itoa(i+1)
		}
	}
	for i, err := range l.send(ctx, session, events) {
		if err == nil || errors.Is(err, broker.ErrOtherEvent) { // the handler has emitted something else this time
			continue
		}
		err = fmt.Errorf("publishing what the handler emitted to %q: %w", events[i].Subject, err)
		for _, reason := range unfit {
			if errors.Is(err, reason) {
				return err
			}
		}
		l.drop(session)
		return fmt.Errorf("%w: %w", ErrNotEmitted, err)
	}
	return nil
}

// emit stores what the handler of an event emitted. It tries again while the broker
// does not take it, until the worker is to stop. If it never will, that is a failed run.
func (w *Worker) emit(j *job, out process.Outcome) (result process.Outcome, stored bool) {
	for tries := 1; ; tries++ {
		err := w.Emit(w.ctx, j.task, out.Emit)
		switch {
		case err == nil:
			return out, true
		case !errors.Is(err, ErrNotEmitted):
			out.Verdict, out.Reason = process.Retry, err.Error()
			return out, true
		case w.isClosing() || w.ctx.Err() != nil:
			w.Warn("#%d of %s goes back: %v", j.task.Sequence, j.task.Subject, err)
			return out, false
		}
		wait := Backoff{time.Second, time.Minute}.wait(tries)
		w.Warn("#%d of %s: %v; trying again in %v", j.task.Sequence, j.task.Subject, err, wait.Round(10*time.Millisecond))
		w.sleep(wait)
	}
}
