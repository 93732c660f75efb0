package conn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// roomBytes bounds the events in flight, which are kept until they are acked,
// so that they can be sent again. A small one takes the Window's part of it.
const roomBytes = 32 << 20

// An outgoing event was sent, or could not be sent, and waits for its answer.
type outgoing struct {
	msg      *nats.Msg
	weight   int64
	done     func(Receipt, error)
	deadline time.Time

	future jetstream.PubAckFuture // nil if it could not be sent
	err    error                  // then: why
	doubt  bool                   // it may be stored although no ack came
}

func (s *jetSession) MaxPayload(subject string) int {
	return int(s.nc.MaxPayload()) - headerSize(s.message(Event{Subject: subject}).Header)
}

func headerSize(h nats.Header) int {
	size := len("NATS/1.0\r\n\r\n")
	for key, values := range h {
		for _, v := range values {
			size += len(key) + len(": ") + len(v) + len("\r\n")
		}
	}
	return size
}

// message is e as it is sent. Every event has an ID: the server drops a repeat.
func (s *jetSession) message(e Event) *nats.Msg {
	if e.ID == "" {
		e.ID = uuid.NewString()
	}
	header := make(nats.Header, 1+len(e.Header))
	for key, values := range e.Header {
		header[key] = values
	}
	header[jetstream.MsgIDHeader] = []string{e.ID}
	return &nats.Msg{Subject: e.Subject, Data: e.Data, Header: header}
}

func (s *jetSession) Publish(e Event, done func(Receipt, error)) error {
	out := &outgoing{msg: s.message(e), done: done, weight: max(int64(len(e.Data)), roomBytes/int64(s.opts.Window))}
	if limit := int(s.nc.MaxPayload()) - headerSize(out.msg.Header); len(e.Data) > limit {
		return because(ErrTooLarge, fmt.Errorf("%d bytes, at most %d are possible", len(e.Data), limit))
	}
	out.weight = min(out.weight, roomBytes)
	if err := s.room.Acquire(s.life, out.weight); err != nil {
		return because(ErrLost, err)
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	err := s.Err()
	if s.closing {
		err = because(ErrLost, nats.ErrConnectionClosed)
	}
	if err != nil {
		s.room.Release(out.weight)
		return err
	}
	out.deadline = time.Now().Add(s.opts.Timeout)
	out.future, out.err = s.js.PublishMsgAsync(out.msg, jetstream.WithRetryAttempts(0))
	s.inFlight <- out // there is room
	return nil
}

// Broken is never so: what was in flight is sent again by [jetSession.repeat].
func (s *jetSession) Broken() bool { return false }

// Mend has nothing to do.
func (s *jetSession) Mend(context.Context) error { return nil }

// account settles the events in flight, one after the other.
func (s *jetSession) account() {
	defer close(s.accounted)
	for out := range s.inFlight {
		ack, err := s.answer(out)
		if err == nil || !repeatable(err) {
			s.finish(out, ack, err)
			continue
		}
		s.repeat(out, err)
	}
}

// answer waits for the answer to out; it comes in time, or a time-out does.
func (s *jetSession) answer(out *outgoing) (ack *jetstream.PubAck, err error) {
	if out.err != nil {
		return nil, out.err
	}
	select {
	case ack = <-out.future.Ok():
	case err = <-out.future.Err():
	case <-s.lost:
		select {
		case ack = <-out.future.Ok(): // it came before
		default:
			err = s.Err()
		}
	}
	out.doubt = out.doubt || err != nil && (inDoubt(err) || errors.Is(err, ErrAuth) && !deniesPublish(err, out.msg.Subject))
	return ack, err
}

// repeat sends out once more, which failed for err, and then, in order, what
// failed behind it. Nothing new is sent meanwhile: no event is to overtake one
// that is in doubt.
func (s *jetSession) repeat(out *outgoing, err error) {
	s.sending.Lock()
	defer s.sending.Unlock()
	var ack *jetstream.PubAck
	if noStream := s.uncovered(out, err); noStream != nil {
		err = noStream
	}
	for failed := false; ; {
		if err != nil && repeatable(err) && !failed {
			ack, err = s.again(out)
		}
		failed = failed || err != nil
		s.finish(out, ack, err)
		select {
		case next, open := <-s.inFlight:
			if !open {
				return
			}
			out = next
			ack, err = s.answer(out)
		default:
			return
		}
	}
}

// again sends out until it is acked, refused, or its time is over. The server
// knows by the ID if it has stored it before.
func (s *jetSession) again(out *outgoing) (*jetstream.PubAck, error) {
	ctx, cancel := context.WithDeadline(s.life, out.deadline)
	defer cancel()
	pace := newBackoff()
	pace.InitialInterval /= 10
	for {
		attempt, stop := context.WithTimeout(ctx, max(s.opts.Timeout/5, 100*time.Millisecond))
		ack, err := s.js.PublishMsg(attempt, out.msg, jetstream.WithRetryAttempts(0))
		stop()
		if err == nil || !repeatable(err) {
			return ack, err
		}
		out.doubt = out.doubt || inDoubt(err)
		if noStream := s.uncovered(out, err); noStream != nil {
			return nil, noStream
		}
		select {
		case <-time.After(pace.NextBackOff()):
		case <-s.lost:
			return nil, s.Err()
		case <-ctx.Done():
			return nil, err
		}
	}
}

// uncovered tells, after nobody took the event, if that is for want of a
// stream; or else of a leader, which will come.
func (s *jetSession) uncovered(out *outgoing, err error) error {
	if !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, jetstream.ErrNoStreamResponse) {
		return nil
	}
	s.listening.Lock()
	delete(s.streams, out.msg.Subject)
	s.listening.Unlock()
	_, missing := s.stream(s.life, out.msg.Subject)
	if errors.Is(missing, ErrHung) || errors.Is(missing, ErrLost) {
		return nil
	}
	return missing
}

// finish gives out its last answer.
func (s *jetSession) finish(out *outgoing, ack *jetstream.PubAck, err error) {
	// Room for many at a time: they go out together.
	if s.freed += out.weight; s.freed >= roomBytes/4 || len(s.inFlight) == 0 {
		s.room.Release(s.freed)
		s.freed = 0
	}
	if err == nil {
		out.done(Receipt{
			ID: out.msg.Header.Get(jetstream.MsgIDHeader), Stream: ack.Stream, Sequence: ack.Sequence, Duplicate: ack.Duplicate,
		}, nil)
		return
	}
	out.done(Receipt{}, explainPublish(err, out.doubt))
}

// unsendable reports that nothing was sent: there is no connection.
func unsendable(err error) bool {
	_, network := errors.AsType[*net.OpError](err)
	return network || errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionClosed) ||
		errors.Is(err, nats.ErrConnectionDraining)
}

// inDoubt reports that the event may be stored although no ack came.
func inDoubt(err error) bool {
	return errors.Is(err, jetstream.ErrAsyncPublishTimeout) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, nats.ErrDisconnected) ||
		errors.Is(err, ErrLost)
}

// deniesPublish reports that events of subject may not be sent. Any other
// permission may be that to hear the ack.
func deniesPublish(err error, subject string) bool {
	return strings.Contains(err.Error(), fmt.Sprintf("Publish to %q", subject))
}

// repeatable reports that another attempt may do better.
func repeatable(err error) bool {
	api, isAPI := errors.AsType[*jetstream.APIError](err)
	return inDoubt(err) && !errors.Is(err, ErrLost) || unsendable(err) || isAPI && transient(api) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// explainPublish finds the reason why an event was not acked. Those of a full
// stream or account are of nats-server, errors.json.
func explainPublish(err error, doubt bool) error {
	api, isAPI := errors.AsType[*jetstream.APIError](err)
	switch {
	case doubt:
		return because(ErrNotAcked, err)
	case errors.Is(err, ErrAuth), errors.Is(err, ErrNoStream), errors.Is(err, ErrNoJetStream):
		return err
	case errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		return because(ErrTooLarge, err)
	case isAPI && (api.ErrorCode == 10077 || api.ErrorCode == 10002 || api.ErrorCode == 10023 ||
		api.ErrorCode == 10028 || api.ErrorCode == 10047):
		return because(ErrFull, err)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return because(ErrHung, fmt.Errorf("the stream has no leader: %w", err))
	case unsendable(err), errors.Is(err, ErrLost):
		return because(ErrLost, err)
	case isAPI && transient(api):
		return because(ErrHung, err)
	}
	return because(ErrRefused, err)
}
