package conn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"nats-test/internal/conn/broker"
)

// A Publisher puts events on a session in order, several in flight at a time,
// and accounts for the answer to every one. Once it is known that an event
// failed, nothing more is sent; if what is stored of one can't be known, the
// others go on. Its methods are for one goroutine.
type Publisher struct {
	session broker.Session
	acked   func(event int, r broker.Receipt, last bool)

	mu      sync.Mutex
	changed *sync.Cond  // an answer came
	answers []answer    // of the events in flight, the oldest first
	sent    int         // events handed to the session
	sending atomic.Bool // the newest is being handed over
	done    int         // events answered, counting from the first without a gap
	good    int         // events acked
	doubt   int         // events that may be stored, or not
	unknown int         // of them, those with [broker.ErrUncertain]
	unsure  error       // the first of these
	order   order       // of the events in each stream
	err     error       // why the first failed event failed
	failed  chan struct{}
}

type answer struct {
	came    bool
	receipt broker.Receipt
	err     error
}

// NewPublisher returns a publisher on session. acked is called once for every
// event that the broker stored, in the order of publishing, with the event's
// number (the first is 1) and whether none is in flight behind it; never by two
// goroutines at a time. It may be nil, and must not call the publisher.
func NewPublisher(session broker.Session, acked func(event int, r broker.Receipt, last bool)) *Publisher {
	p := &Publisher{session: session, acked: acked, failed: make(chan struct{})}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// Publish sends one event and returns before it is acked. An error may belong
// to an earlier event; it names the event, and wraps [broker.ErrNotAcked],
// [broker.ErrRefused], [broker.ErrFull], [broker.ErrTooLarge], [broker.ErrNoStream], [broker.ErrName] or [broker.ErrLost].
func (p *Publisher) Publish(ctx context.Context, e broker.Event) error {
	subject := e.Subject
	if err := broker.CheckPublish(subject); err != nil {
		return err
	}
	p.mu.Lock()
	if p.err != nil {
		defer p.mu.Unlock()
		return p.err
	}
	p.sent++
	event := p.sent
	p.answers = append(p.answers, answer{})
	p.sending.Store(true)
	p.mu.Unlock()

	err := p.session.Publish(ctx, e, func(r broker.Receipt, err error) {
		p.answered(event, answer{true, r, err}, subject)
	})
	p.sending.Store(false)
	if err == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent--
	p.answers = p.answers[:len(p.answers)-1]
	if p.err == nil {
		p.fail(p.sent+1, subject, err)
	}
	return p.err
}

func (p *Publisher) answered(event int, a answer, subject string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[event-p.done-1] = a
	for len(p.answers) > 0 && p.answers[0].came {
		first := p.answers[0]
		p.answers = p.answers[1:]
		p.done++
		if first.err == nil {
			p.good++
			p.order.stored(p.done, first.receipt)
			if p.acked != nil {
				p.acked(p.done, first.receipt, len(p.answers) == 0 || p.sending.Load() && len(p.answers) == 1)
			}
			continue
		}
		if InDoubt(first.err) {
			p.doubt++
		}
		if errors.Is(first.err, broker.ErrUncertain) {
			if p.unknown++; p.unsure == nil {
				p.unsure = eventError(p.done, subject, first.err)
			}
		} else if p.err == nil {
			p.fail(p.done, subject, first.err)
		}
	}
	p.changed.Broadcast()
}

// fail notes the first failure. mu is held.
func (p *Publisher) fail(event int, subject string, err error) {
	p.err = eventError(event, subject, err)
	close(p.failed)
}

func eventError(event int, subject string, err error) error {
	return fmt.Errorf("publishing event %d to %q: %w", event, subject, err)
}

// Failed is closed when an event failed; Flush then returns why.
func (p *Publisher) Failed() <-chan struct{} { return p.failed }

// Flush waits until every event sent was answered, and returns the error of
// the first that failed; else of the first of which it can't be known what is
// stored; else one that wraps [broker.ErrOrder] if some are stored behind later ones.
// It takes at most the session's time-out beyond the last answer.
func (p *Publisher) Flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.answers) > 0 {
		p.changed.Wait()
	}
	switch {
	case p.err != nil:
		return p.err
	case p.unknown > 1:
		return fmt.Errorf("%w (and so for %d events)", p.unsure, p.unknown)
	case p.unknown == 1:
		return p.unsure
	}
	return p.order.err()
}

// Sent returns how many events were handed to the broker, how many of them it
// acked so far, and of how many it is not known whether it stored them.
func (p *Publisher) Sent() (sent, acked, inDoubt int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent, p.good, p.doubt
}

// InDoubt reports whether err leaves open if the event was stored, or how often.
func InDoubt(err error) bool {
	return errors.Is(err, broker.ErrNotAcked) || errors.Is(err, broker.ErrUncertain)
}
