// Package jetstream implements sessions with JetStream: publishing and repeating events,
// creating consumers and pulling from them, and taking account of how streams are
// configured. It knows packages broker and link only.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
)

// Session implements [broker.Session] for JetStream.
type Session struct {
	*link.Link
	js jetstream.JetStream

	flight *flight

	listening   sync.Mutex
	pulls       []*pull
	pulling     atomic.Int64 // number of pulls
	maintaining sync.WaitGroup
	changed     atomic.Bool // streams were created or updated since moveLook
	moveLook    time.Time   // used by maintain only

	finding sync.Mutex
	streams map[string]*jetstream.StreamInfo // by subject, as they were first
}

// Traits of JetStream.
var Traits = broker.Traits{MessageIDs: true, Streams: true, ExtendsWait: true, Naks: true, Gapless: true, PlacesNew: true, AckFloor: true}

// Present returns nil if the account has JetStream. The error wraps
// [broker.ErrNoJetStream] if it has none.
func Present(ctx context.Context, l *link.Link) error {
	js, err := Client(l)
	if err != nil {
		return err
	}
	return hasJetStream(ctx, l, js)
}

// Open opens a session over l. Unless found, it checks that the account has JetStream. If
// that is not permitted, JetStream may be usable all the same.
func Open(ctx context.Context, l *link.Link, found bool) (broker.Session, error) {
	js, err := Client(l)
	if err == nil && !found {
		err = hasJetStream(ctx, l, js)
	}
	if err != nil && !errors.Is(err, broker.ErrAuth) {
		return nil, err
	}
	l.EndOnDenial()
	s := NewSession(l, js)
	s.flight = newFlight(s, l.Took)
	return s, nil
}

// hasJetStream returns an error that wraps [broker.ErrNoJetStream] if the account has
// no JetStream.
func hasJetStream(ctx context.Context, l *link.Link, js jetstream.JetStream) error {
	_, err := Account(ctx, l, js)
	return err
}

// Account returns JetStream's information on the account. Its error is that of
// hasJetStream.
func Account(ctx context.Context, l *link.Link, js jetstream.JetStream) (*jetstream.AccountInfo, error) {
	began := time.Now()
	info, err := link.Inquire(ctx, l, js.AccountInfo)
	l.Took = time.Since(began)
	if l.Options.Domain != "" && errors.Is(Explain(err), broker.ErrNoJetStream) && !errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return nil, broker.Because(broker.ErrNoDomain, fmt.Errorf("%q: %w", l.Options.Domain, err))
	}
	return info, Explain(err)
}

// Client returns a client of the JetStream API over l, in the domain of its options.
func Client(l *link.Link) (jetstream.JetStream, error) {
	timeout := jetstream.WithDefaultTimeout(l.Options.Timeout)
	if l.Options.Domain != "" {
		return jetstream.NewWithDomain(l.NC, l.Options.Domain, timeout)
	}
	return jetstream.New(l.NC, timeout)
}

func (s *Session) Close() error {
	first, lost := s.MarkClosed()
	if !first {
		return nil
	}
	if lost {
		s.Cancel()
	}
	s.flight.close()
	s.Drain(s.Options.Timeout)
	s.listening.Lock()
	pulls := s.pulls
	s.listening.Unlock()
	for _, p := range pulls {
		p.leave(lost)
	}
	err := s.confirm(lost)
	s.Abandon()
	s.flight.done.Wait()
	s.maintaining.Wait()
	for _, p := range pulls {
		p.close()
	}
	if err != nil {
		return fmt.Errorf("closing the session of client ID %q: %w", s.Options.ClientID, err)
	}
	return nil
}

// maintain keeps the pulls going until the session ends.
func (s *Session) maintain() {
	defer fault.Exit()
	const often = 250 * time.Millisecond
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		select {
		case <-s.Ctx.Done():
			return
		case <-s.Lost():
			return
		case now := <-tick.C:
			s.listening.Lock()
			pulls := s.pulls
			s.listening.Unlock()
			for _, p := range pulls {
				p.maintain(now)
			}
			s.lookForMoves(now, pulls)
		}
	}
}

// deleteLater deletes a consumer that only this listener used, without waiting for the
// answer. Otherwise the server would delete it after its inactive threshold.
func (s *Session) deleteLater(stream, consumer string) {
	_ = s.NC.Publish(s.api()+".CONSUMER.DELETE."+stream+"."+consumer, nil)
}

// Rest returns what remains of a subscription, as the leader of its consumer reports it.
func (s *Session) Rest(ctx context.Context, sub broker.Subscription, _ uint64) (broker.Rest, error) {
	s.listening.Lock()
	i := slices.IndexFunc(s.pulls, func(p *pull) bool { return p.subject == sub.Subject })
	if i < 0 {
		s.listening.Unlock()
		return broker.Rest{}, broker.ErrUntold
	}
	p := s.pulls[i]
	s.listening.Unlock()
	return p.rest(ctx)
}

// confirm waits until the server has processed the acks. They are not answered, but a
// missing permission is reported.
func (s *Session) confirm(lost bool) error {
	if lost {
		if err := s.Err(); errors.Is(err, broker.ErrAuth) {
			return err
		}
		return nil // the server can't be asked
	}
	if !s.NC.IsConnected() { // a flush would wait for the whole time-out
		return broker.Because(broker.ErrLost, nats.ErrDisconnected)
	}
	if err := s.NC.FlushTimeout(s.Options.Timeout); err != nil {
		return broker.Because(broker.ErrLost, err)
	}
	if said := s.NC.LastError(); errors.Is(said, nats.ErrPermissionViolation) && strings.Contains(said.Error(), `Publish to "$JS.ACK.`) {
		return broker.Because(broker.ErrAuth, said)
	}
	return nil
}

// whyTransient returns the reason for a transient error.
func whyTransient(err *jetstream.APIError) error {
	switch err.ErrorCode {
	case 10005, 10118, 10119, 10194:
		return broker.ErrOffline
	case 10158, 10167: // busy
		return broker.ErrHung
	}
	return broker.ErrNoLeader
}

// Explain wraps an error of the JetStream API in its reason.
func Explain(err error) error {
	api, isAPI := errors.AsType[*jetstream.APIError](err)
	switch {
	case err == nil, errors.Is(err, broker.ErrAuth), errors.Is(err, broker.ErrHung), errors.Is(err, broker.ErrLost):
		return err
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return broker.Because(broker.ErrNotForAccount, err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, nats.ErrNoResponders):
		return broker.Because(broker.ErrNoJetStream, err)
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return broker.Because(broker.ErrNoStream, err)
	case isAPI && api.ErrorCode == 10113: // nats-server, errors.json, as the next
		return broker.Because(broker.ErrRefused, broker.Because(broker.ErrNeedsMaxBytes, err))
	case isAPI && slices.Contains([]jetstream.ErrorCode{10002, 10026, 10027, 10028, 10047}, api.ErrorCode):
		return broker.Because(broker.ErrRefused, broker.Because(broker.ErrLimit, err))
	case isAPI && link.Transient(api):
		return broker.Because(whyTransient(api), err)
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return broker.Because(broker.ErrHung, err)
	case unsendable(err):
		return broker.Because(broker.ErrLost, err)
	}
	return broker.Because(broker.ErrRefused, err)
}

// Drain requests no more events, and delivers those that were received.
func (s *Session) Drain(limit time.Duration) {
	s.listening.Lock()
	pulls := s.pulls
	s.listening.Unlock()
	var drains sync.WaitGroup
	for _, p := range pulls {
		drains.Go(func() {
			defer fault.Exit()
			p.drain(limit)
		})
	}
	drains.Wait()
}

// api returns the prefix of the JetStream API's subjects.
func (s *Session) api() string {
	if s.Options.Domain != "" {
		return "$JS." + s.Options.Domain + ".API"
	}
	return "$JS.API"
}

// NewSession returns a session for requests only, not for publishing or listening.
func NewSession(l *link.Link, js jetstream.JetStream) *Session {
	return &Session{Link: l, js: js, streams: make(map[string]*jetstream.StreamInfo)}
}

// rest returns what remains, as the leader of the consumer reports it.
func (p *pull) rest(ctx context.Context) (broker.Rest, error) {
	info, err := p.info(ctx)
	if err != nil {
		return broker.Rest{}, Explain(err)
	}
	r := broker.Rest{Waiting: info.NumPending, Unacked: uint64(max(0, info.NumAckPending)), Through: info.AckFloor.Stream,
		Sent: info.Delivered.Stream, Delivered: info.Delivered.Consumer, Limit: uint64(max(0, info.Config.MaxAckPending))}
	if info.Paused && info.Config.PauseUntil != nil {
		r.Paused = *info.Config.PauseUntil
	}
	if r.Waiting == 0 && info.Config.DeliverPolicy != jetstream.DeliverLastPerSubjectPolicy { // which skips some
		if r.Behind, err = p.behind(ctx, info.Delivered.Stream); err != nil {
			return broker.Rest{}, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Here = uint64(len(p.held))
	if p.ackWait == 0 { // without acks, events in flight count as unacked
		r.Through, r.Unacked, r.Limit = 0, info.Delivered.Consumer-min(p.done, info.Delivered.Consumer), 0
		r.Here = r.Unacked
	}
	return r, nil
}

// behind returns the sequence of the first event after the last delivered one, 0 if there
// is none or if looking is not permitted. It is needed because the leader of a replicated
// consumer may answer before it has counted the pending events.
func (p *pull) behind(ctx context.Context, delivered uint64) (uint64, error) {
	if end, err := p.s.Newest(ctx, p.subject); err == nil && delivered >= end.Sequence {
		return 0, nil
	}
	next, err := p.s.Find(ctx, p.subject, delivered+1)
	if errors.Is(err, broker.ErrAuth) {
		return 0, nil
	}
	return next.Sequence, err
}
