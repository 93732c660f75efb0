package jetstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

func (s *Session) MaxPayload(subject string) int {
	return int(s.NC.MaxPayload()) - headerSize(s.message(broker.Event{Subject: subject}).Header)
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
func (s *Session) message(e broker.Event) *nats.Msg {
	if e.ID == "" {
		e.ID = uuid.NewString()
	}
	header := make(nats.Header, 1+len(e.Header))
	for key, values := range e.Header {
		header[key] = values
	}
	header[jetstream.MsgIDHeader] = []string{e.ID}
	if _, given := header[jetstream.ExpectedStreamHeader]; s.Options.Stream != "" && !given {
		header[jetstream.ExpectedStreamHeader] = []string{s.Options.Stream} // another one's ack is none
	}
	return &nats.Msg{Subject: e.Subject, Data: e.Data, Header: header}
}

// Publish is not interrupted by ctx: what was in flight is sent again by [flight].
func (s *Session) Publish(_ context.Context, e broker.Event, done func(broker.Receipt, error)) error {
	msg := s.message(e)
	if limit := int(s.NC.MaxPayload()) - headerSize(msg.Header); len(e.Data) > limit {
		return broker.Because(broker.ErrTooLarge, fmt.Errorf("%d bytes, at most %d are possible", len(e.Data), limit))
	}
	return s.flight.send(msg, e.ID != "", done)
}

// uncovered tells, after nobody answered for an event, if that is for want of
// a stream, and makes one if it is to. Otherwise it is for want of a leader,
// who will come; or only asking is forbidden. nobody: it has no responders. The answer may be lost with the
// connection, so the wait for it is short.
func (s *Session) uncovered(subject string, nobody bool, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(s.Ctx, patience)
	defer cancel()
	s.forget(subject)
	info, missing := s.streamInfo(ctx, subject)
	if missing == nil && nobody && s.Options.Stream != "" && !info.Created.IsZero() { // which may give events, and take none
		mirrorOf := ""
		if info.Config.Mirror != nil {
			mirrorOf = info.Config.Mirror.Name
		}
		missing = refuses(s.Options.Stream, mirrorOf, len(info.Config.Sources), info.Config.Subjects, subject)
	}
	if errors.Is(missing, broker.ErrHung) || errors.Is(missing, broker.ErrLost) || errors.Is(missing, broker.ErrAuth) {
		return nil
	}
	return missing
}

// errLate: no answer came for some time.
var errLate = errors.New("no answer")

// unsendable reports that nothing was sent: there is no connection.
func unsendable(err error) bool {
	_, network := errors.AsType[*net.OpError](err)
	return network || errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionClosed) ||
		errors.Is(err, nats.ErrConnectionDraining)
}

// repeatable reports that another attempt may do better.
func repeatable(err error) bool {
	api, isAPI := errors.AsType[*jetstream.APIError](err)
	return errors.Is(err, errLate) || errors.Is(err, nats.ErrNoResponders) || unsendable(err) || isAPI && link.Transient(api)
}

// explainPublish finds the reason why an event was not acked; doubt says that
// it may be stored all the same. The codes are those of a full stream or
// account (nats-server, errors.json).
func explainPublish(err error, doubt bool) error {
	api, isAPI := errors.AsType[*jetstream.APIError](err)
	switch {
	case errors.Is(err, broker.ErrNoStream), errors.Is(err, broker.ErrOtherStream), errors.Is(err, broker.ErrNoJetStream), errors.Is(err, broker.ErrRefused):
		return err
	case doubt:
		return broker.Because(broker.ErrNotAcked, err)
	case errors.Is(err, broker.ErrAuth):
		return err
	case errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		return broker.Because(broker.ErrTooLarge, err)
	case isAPI && slices.Contains([]jetstream.ErrorCode{10002, 10023, 10028, 10047}, api.ErrorCode):
		return broker.Because(broker.ErrNoRoom, err)
	case isAPI && api.ErrorCode == 10077:
		return broker.Because(broker.ErrFull, err)
	case errors.Is(err, nats.ErrNoResponders):
		return broker.Because(broker.ErrNoLeader, fmt.Errorf("no stream takes it, or that has no leader now: %w", err))
	case errors.Is(err, broker.ErrLost):
		return err
	case unsendable(err):
		return broker.Because(broker.ErrLost, err)
	case isAPI && link.Transient(api):
		return broker.Because(whyTransient(api), err)
	case isAPI && slices.Contains([]jetstream.ErrorCode{10060, 10070, 10071, 10164}, api.ErrorCode): // of Nats-Expected-…
		return broker.Because(broker.ErrExpected, err)
	case isAPI && api.ErrorCode == 10109:
		return broker.Because(broker.ErrSealed, err)
	}
	return broker.Because(broker.ErrRefused, err)
}
