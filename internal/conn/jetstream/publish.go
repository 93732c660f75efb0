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

// message returns the NATS message for e. Every event has a message ID, by which the
// server drops repeats.
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
		header[jetstream.ExpectedStreamHeader] = []string{s.Options.Stream} // so that no other stream's ack counts
	}
	return &nats.Msg{Subject: e.Subject, Data: e.Data, Header: header}
}

// Publish ignores ctx: unacked events stay in [flight], which sends them again.
func (s *Session) Publish(_ context.Context, e broker.Event, done func(broker.Receipt, error)) error {
	msg := s.message(e)
	if limit := int(s.NC.MaxPayload()) - headerSize(msg.Header); len(e.Data) > limit {
		return broker.Because(broker.ErrTooLarge, fmt.Errorf("%d bytes, at most %d are possible", len(e.Data), limit))
	}
	return s.flight.send(msg, e.ID != "", done)
}

// uncovered finds out, after an event was not answered, whether no stream covers its
// subject, and creates one if the options say so. It returns nil if the stream merely has
// no leader at the moment, or if asking is not permitted. nobody reports that the subject
// had no responders. The wait is short, as the answer may be lost with the connection.
func (s *Session) uncovered(subject string, nobody bool, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(s.Ctx, patience)
	defer cancel()
	s.forget(subject)
	info, missing := s.streamInfo(ctx, subject)
	if missing == nil && nobody && s.Options.Stream != "" && !info.Created.IsZero() { // it may be a mirror
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

// errLate: no answer came in time.
var errLate = errors.New("no answer")

// unsendable reports whether nothing was sent because there is no connection.
func unsendable(err error) bool {
	_, network := errors.AsType[*net.OpError](err)
	return network || errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionClosed) ||
		errors.Is(err, nats.ErrConnectionDraining)
}

// repeatable reports whether another attempt may succeed.
func repeatable(err error) bool {
	api, isAPI := errors.AsType[*jetstream.APIError](err)
	return errors.Is(err, errLate) || errors.Is(err, nats.ErrNoResponders) || unsendable(err) || isAPI && link.Transient(api)
}

// explainPublish wraps the error of an event that was not acked in its reason. doubt says
// that it may be stored all the same. The error codes are from nats-server, errors.json.
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
	case isAPI && slices.Contains([]jetstream.ErrorCode{10060, 10070, 10071, 10164}, api.ErrorCode): // a Nats-Expected-… header did not match
		return broker.Because(broker.ErrExpected, err)
	case isAPI && api.ErrorCode == 10109:
		return broker.Because(broker.ErrSealed, err)
	}
	return broker.Because(broker.ErrRefused, err)
}
