// Package jetstream is the session with JetStream: how events are published and
// repeated, how consumers are made and asked for events, and what the settings of
// streams mean for both. It knows the contract and the connection.
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

// Session is a session with JetStream.
type Session struct {
	*link.Link
	js jetstream.JetStream

	flight *flight

	listening sync.Mutex
	pulls     []*pull
	pulling   atomic.Int64 // the number of pulls
	tending   sync.WaitGroup
	changed   atomic.Bool // streams were made or changed since moveLook
	moveLook  time.Time   // of tend alone

	finding sync.Mutex
	streams map[string]*jetstream.StreamInfo // by subject, as first seen
}

// Traits of JetStream.
var Traits = broker.Traits{MessageIDs: true, Streams: true, ExtendsWait: true, Gapless: true, PlacesNew: true, AckFloor: true}

// Present asks whether the account has JetStream. The error wraps
// [broker.ErrNoJetStream] if it has none.
func Present(ctx context.Context, l *link.Link) error {
	js, err := Client(l)
	if err != nil {
		return err
	}
	return hasJetStream(ctx, l, js)
}

// Open opens a session over l, if the account has JetStream, or was
// found to have it. That asking is not permitted says nothing of the rest.
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

// Account is what JetStream tells of the account. Its error is that of
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

// Client returns what to ask JetStream by over l, in the domain of its options.
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
	s.tending.Wait()
	for _, p := range pulls {
		p.close()
	}
	if err != nil {
		return fmt.Errorf("closing the session %q: %w", s.Options.ClientID, err)
	}
	return nil
}

// tend looks after the pulls until the session ends.
func (s *Session) tend() {
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
				p.tend(now)
			}
			s.lookForMoves(now, pulls)
		}
	}
}

// deleteLater deletes a consumer that only this listener used, and does not
// wait for the answer. The server would do so by itself after some time.
func (s *Session) deleteLater(stream, consumer string) {
	_ = s.NC.Publish(s.api()+".CONSUMER.DELETE."+stream+"."+consumer, nil)
}

// Rest tells what is left of a subscription, in the words of its consumer's leader.
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

// confirm waits until the server has taken the acks. It answers none of them,
// but says if they are not permitted.
func (s *Session) confirm(lost bool) error {
	if lost {
		if err := s.Err(); errors.Is(err, broker.ErrAuth) {
			return err
		}
		return nil // there is nobody to ask
	}
	if !s.NC.IsConnected() { // a flush would wait in vain
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

// whyTransient is the reason that such an answer gives.
func whyTransient(err *jetstream.APIError) error {
	switch err.ErrorCode {
	case 10005, 10118, 10119, 10194:
		return broker.ErrOffline
	case 10158, 10167: // busy
		return broker.ErrHung
	}
	return broker.ErrNoLeader
}

// Explain finds the reason behind an error of the JetStream API.
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

// Drain asks for no more, and hands out what has come.
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

// api is the prefix of the subjects of the JetStream API.
func (s *Session) api() string {
	if s.Options.Domain != "" {
		return "$JS." + s.Options.Domain + ".API"
	}
	return "$JS.API"
}

// NewSession returns a session that asks, and neither publishes nor listens.
func NewSession(l *link.Link, js jetstream.JetStream) *Session {
	return &Session{Link: l, js: js, streams: make(map[string]*jetstream.StreamInfo)}
}

// rest tells what is left, in the words of the consumer's leader.
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
	if r.Waiting == 0 && info.Config.DeliverPolicy != jetstream.DeliverLastPerSubjectPolicy { // of which some are not wanted
		if r.Behind, err = p.behind(ctx, info.Delivered.Stream); err != nil {
			return broker.Rest{}, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Here = uint64(len(p.held))
	if p.ackWait == 0 { // nothing is acked: what is on its way counts
		r.Through, r.Unacked, r.Limit = 0, info.Delivered.Consumer-min(p.done, info.Delivered.Consumer), 0
		r.Here = r.Unacked
	}
	return r, nil
}

// behind returns the sequence of the first event after the last that was
// delivered, 0 if there is none, or if looking is not permitted. The leader of a
// consumer with several replicas answers before it has counted what waits.
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
