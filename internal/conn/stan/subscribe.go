package stan

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go"
	"github.com/nats-io/stan.go/pb"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
)

// Subscribe takes every legal name: a channel is made when it is needed.
func (s *session) Subscribe(ctx context.Context, subs []broker.Subscription) ([]broker.Place, error) {
	for _, sub := range subs {
		if err := broker.CheckChannel(sub.Subject); err != nil {
			return nil, err
		}
	}
	places := make([]broker.Place, len(subs))
	for i, sub := range subs {
		var err error
		if places[i], err = s.subscribe(ctx, sub); err != nil {
			return places[:i], err
		}
	}
	return places, nil
}

func (s *session) subscribe(ctx context.Context, sub broker.Subscription) (broker.Place, error) {
	start, first, err := s.start(ctx, sub)
	if err != nil {
		return broker.Place{}, err
	}
	limit := s.inFlight(sub)
	opts := []stan.SubscriptionOption{
		stan.SetManualAckMode(),
		stan.AckWait(sub.AckWait),
		stan.MaxInflight(limit),
		start,
	}
	if sub.Durable != "" {
		opts = append(opts, stan.DurableName(sub.Durable))
	}
	var message broker.Message // one for all: stan.go calls back one at a time
	behind := 0                // events in the queue behind this one, at least
	subscription, err := s.sc.QueueSubscribe(sub.Subject, sub.Group, func(m *stan.Msg) {
		defer fault.Exit()
		if m.Subject != sub.Subject || m.Sequence == 0 {
			s.Ignore(&nats.Msg{Subject: m.Subject}, "it is no event of the channel "+broker.Clip(sub.Subject))
			if behind--; behind <= 0 { // the one before may have been told that another follows
				sub.Deliver(nil, false)
			}
			return
		}
		message = broker.Message{
			Subject: m.Subject, Sequence: m.Sequence, Time: time.Unix(0, m.Timestamp), Data: m.Data,
			Deliveries: 1 + int(m.RedeliveryCount), Acker: delivered{m},
		}
		if m.Redelivered { // the count starts over when the server does
			message.Deliveries = max(2, message.Deliveries)
		}
		if behind--; behind <= 0 { // asking costs a lock that the reading side wants, too
			queued, bytes, _ := m.Sub.Pending() // counts the one being delivered
			behind = queued - 1
			if bytes > link.MostPushed {
				s.Leave(broker.Ended(fmt.Errorf("%d MiB of events of %s wait here: fewer are asked for", bytes>>20, sub.Subject)))
			}
		}
		sub.Deliver(&message, behind > 0)
	}, opts...)
	if err != nil {
		return broker.Place{}, fmt.Errorf("subscribing to %q: %w", sub.Subject, explainSubscribe(err))
	}
	_ = subscription.SetPendingLimits(-1, link.MostWaiting) // the connection may be gone
	s.listening.Lock()
	s.subs = append(s.subs, subscription)
	s.listening.Unlock()
	if sub.Group != "" || sub.Work != nil {
		s.AnswerRolls(link.Roll("stan", s.Options.Cluster, sub.Durable, sub.Group, sub.Subject), sub.Group != "",
			func(m *link.Member) { m.Tell(sub.Work) })
	}
	return broker.Place{Subject: sub.Subject, Position: max(first, 1) - 1, MaxInFlight: limit}, nil
}

func (s *session) inFlight(sub broker.Subscription) int {
	s.listening.Lock()
	defer s.listening.Unlock()
	size := max(sub.Size, s.sizes[sub.Subject], 1)
	return max(1, min(sub.MaxInFlight, pushBytes/size))
}

// pushBytes is how many bytes of events are asked for where their size is known.
// The server pushes as many events as may be unacked, whatever their size.
const pushBytes = 8 << 20

type delivered struct{ *stan.Msg }

// Leave says nothing: the broker sends an event again that is not acked.
func (delivered) Leave() {}

// Nak does nothing: the protocol has no word for it.
func (delivered) Nak(time.Duration) error { return nil }

// Drop does nothing: an ack names the event, not the delivery.
func (delivered) Drop() {}

func (delivered) Details() broker.Details { return broker.Details{} }

func explainSubscribe(err error) error {
	switch {
	case errors.Is(err, stan.ErrSubReqTimeout):
		return broker.Because(broker.ErrHung, err)
	case errors.Is(err, stan.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrReconnectBufExceeded), strings.Contains(err.Error(), "unknown clientID"):
		return broker.Because(broker.ErrLost, err)
	}
	return broker.Because(broker.ErrRefused, err)
}

// start translates a start position, and returns the sequence with which it
// begins where that is known, else 0. The protocol's own start at a time counts
// back from the server's clock when the request arrives, and so misses what
// was stored at the very time: the event is looked for instead.
func (s *session) start(ctx context.Context, sub broker.Subscription) (opt stan.SubscriptionOption, first uint64, err error) {
	switch sub.Start.Kind {
	case broker.StartNew:
		return stan.StartAt(pb.StartPosition_NewOnly), 0, nil
	case broker.StartLast:
		return stan.StartWithLastReceived(), 0, nil
	case broker.StartSequence:
		return stan.StartAtSequence(sub.Start.Sequence), sub.Start.Sequence, nil
	case broker.StartTime:
		const clocksApart = 5 * time.Second // the client's and the server's, at most
		last, err := s.Find(ctx, sub.Subject, 0)
		if err != nil {
			return nil, 0, err
		}
		first = last.Sequence + 1
		if last.Sequence > 0 && !last.Time.Before(sub.Start.Time) { // else none yet; the server takes it for "new"
			m, err := s.find(ctx, sub.Subject, func(m *stan.Msg) bool { return m.Timestamp >= sub.Start.Time.UnixNano() },
				stan.StartAtTime(sub.Start.Time.Add(-clocksApart)))
			if err != nil {
				return nil, 0, err
			}
			if m != nil {
				first = m.Sequence
			}
		}
		return stan.StartAtSequence(first), first, nil
	}
	return stan.DeliverAllAvailable(), 0, nil
}

// Find subscribes for a moment: the protocol has no question for it.
func (s *session) Find(ctx context.Context, subject string, from uint64) (broker.Mark, error) {
	if err := broker.CheckChannel(subject); err != nil {
		return broker.Mark{}, err
	}
	start := stan.StartWithLastReceived()
	if from > 0 {
		start = stan.StartAtSequence(from)
	}
	// The first is wanted alone: of large ones, more would fill a slow link.
	m, err := s.find(ctx, subject, func(*stan.Msg) bool { return true }, start, stan.MaxInflight(1), stan.SetManualAckMode())
	if err != nil || m == nil {
		return broker.Mark{}, err
	}
	s.listening.Lock()
	s.sizes[subject] = len(m.Data)
	s.listening.Unlock()
	return broker.Mark{Sequence: m.Sequence, Time: time.Unix(0, m.Timestamp)}, nil
}

// Newest is the newest event of the subject: each has a channel of its own.
func (s *session) Newest(ctx context.Context, subject string) (broker.Mark, error) {
	return s.Find(ctx, subject, 0)
}

// Rest looks whether a listener alone has all that is there. What the members
// of a group hold, the protocol does not tell; but it tells that it is there.
func (s *session) Rest(ctx context.Context, sub broker.Subscription, from uint64) (broker.Rest, error) {
	if sub.Group != "" || sub.Durable != "" {
		if err := s.ping(ctx); err != nil {
			return broker.Rest{}, err
		}
		return broker.Rest{}, broker.ErrUntold
	}
	// The newest event comes if there is any, so it says more than the silence
	// where the next one would be. That all that was stored is gone is known by
	// silence alone, and asked twice.
	last, err := s.Find(ctx, sub.Subject, 0)
	if err == nil && last.Sequence == 0 && from > 1 {
		last, err = s.Find(ctx, sub.Subject, 0)
	}
	if err != nil || last.Sequence < from {
		return broker.Rest{}, err
	}
	next, err := s.Find(ctx, sub.Subject, from)
	if err != nil {
		return broker.Rest{}, err
	}
	return broker.Rest{Waiting: 1, Next: max(next.Sequence, from)}, nil
}

// find returns the first event from start on that matches, or nil: that there
// is none is known by silence, which is waited for longer if the broker is slow
// to answer.
func (s *session) find(ctx context.Context, subject string, match func(*stan.Msg) bool, opts ...stan.SubscriptionOption) (*stan.Msg, error) {
	silence := 250 * time.Millisecond
	begin := time.Now()
	answered := func() {
		silence = max(silence, 4*time.Since(begin))
	}
	came := make(chan struct{}, 1)
	found := make(chan *stan.Msg, 1)
	sub, err := s.sc.Subscribe(subject, func(m *stan.Msg) {
		defer fault.Exit()
		if m.Subject != subject || m.Sequence == 0 {
			return
		}
		if match(m) {
			select {
			case found <- m:
			default:
			}
		}
		select {
		case came <- struct{}{}:
		default:
		}
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("looking for events of %q: %w", subject, explainSubscribe(err))
	}
	answered()
	defer func() { _ = sub.Unsubscribe() }() // it is not durable: there is no position to keep
	timer := time.NewTimer(silence)
	defer timer.Stop()
	for asked := false; ; {
		select {
		case m := <-found:
			return m, nil
		case <-came:
			asked = false
			timer.Reset(silence)
		case <-timer.C:
			if asked {
				return nil, nil
			}
			// A broker that hangs is silent, too.
			begin = time.Now()
			if err := s.ping(ctx); err != nil {
				return nil, err
			}
			answered()
			asked = true
			timer.Reset(silence)
		case <-s.Lost():
			return nil, s.Err()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
