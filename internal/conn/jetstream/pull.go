package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
)

// A pull asks a consumer for events, as many as may be held unacked, and hands
// them out one after the other. nats.go's own Consume counts what waits to be
// handled instead of what waits to be acked, and lets the ack wait of what
// waits run out; so this is the protocol of ADR-13 by hand.
type pull struct {
	s        *Session
	name     string // of the consumer
	stream   string
	subject  string
	filters  []string      // of the consumer
	created  time.Time     // likewise
	limit    int           // of events asked for and held
	batch    int           // of events in one request
	maxBytes int           // of one request
	expires  time.Duration // of a request
	ackWait  time.Duration // 0: there are no acks
	deliver  func(*broker.Message, bool) bool
	blocked  func() time.Duration // how long the handler has waited for its reader
	earlier  *broker.Earlier
	sub      *nats.Subscription

	mu       sync.Mutex
	checking atomic.Bool            // check is at work
	changed  *sync.Cond             // queue, busy or ended
	queue    []*delivery            // came, and not delivered yet
	held     map[*delivery]struct{} // came, and not acked yet
	requests []request              // those that stand at the server, the oldest first
	asked    int                    // asked for by these, and not here yet
	bytes    int                    // of what came and is not acked yet
	window   int                    // of bytes
	oversize bool                   // the next event is larger than a request's bytes
	came     uint64                 // events so far
	heard    time.Time              // when the server said something
	moved    time.Time              // when an event came or was acked
	doubted  bool                   // a request was refused, perhaps not by the server
	pause    bool                   // ask no more before the next tick
	silent   time.Time              // since when the consumer does not answer
	draining bool
	busy     bool // an event is being delivered
	ended    bool
	sequence uint64   // of the consumer, for gaps
	done     uint64   // events that the handler is done with
	acked    []string // where the newest acks went, which a broken connection may have lost

	drained chan struct{} // closed when nothing more can come
	working sync.WaitGroup
}

func newPull(s *Session, info *jetstream.ConsumerInfo, sub broker.Subscription) (*pull, error) {
	p := &pull{
		s: s, name: info.Name, stream: info.Stream, subject: sub.Subject, deliver: sub.Deliver, limit: sub.MaxInFlight,
		batch: positive(info.Config.MaxRequestBatch, sub.MaxInFlight), maxBytes: positive(info.Config.MaxRequestMaxBytes, mostBytes),
		expires: min(pullExpires, positive(info.Config.MaxRequestExpires, pullExpires)),
		held:    make(map[*delivery]struct{}), heard: time.Now(), moved: time.Now(), drained: make(chan struct{}),
		blocked: sub.Blocked, earlier: sub.Earlier, window: firstBytes,
		filters: filtersOf(info.Config), created: info.Created,
	}
	if info.Config.AckPolicy != jetstream.AckNonePolicy {
		p.ackWait = positive(info.Config.AckWait, sub.AckWait)
	}
	p.changed = sync.NewCond(&p.mu)
	if err := p.subscribe(); err != nil {
		return nil, err
	}
	if info.Config.MaxDeliver > 0 && sub.GaveUp != nil {
		p.watchGivenUp(sub.GaveUp)
	}
	p.takeOver()
	p.resume(sub.Open)
	p.working.Go(p.work)
	p.mu.Lock()
	p.ask()
	p.mu.Unlock()
	return p, nil
}

// positive returns value, unless a server leaves it out, or lies.
func positive[T int | time.Duration](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}

// subscribe takes answers on a new inbox.
func (p *pull) subscribe() (err error) {
	if p.sub, err = p.s.NC.Subscribe(p.s.Options.NewInbox(), p.receive); err == nil {
		_ = p.sub.SetPendingLimits(-1, -1) // the limit is what is asked for
		p.sub.SetClosedHandler(func(string) {
			defer fault.Exit()
			close(p.drained)
		})
	}
	return err
}

// withdraw takes back the requests that stand at the server, which would send
// events to a handler that does not take them. What is on its way still comes.
// mu is held.
func (p *pull) withdraw() {
	if p.asked == 0 || p.draining || p.ended {
		return
	}
	p.renew()
}

// renew takes answers on another inbox, and forgets the requests that name the
// one before. mu is held.
func (p *pull) renew() {
	old := p.sub
	if p.subscribe() != nil {
		return // the connection is gone
	}
	p.giveUp()
	old.SetClosedHandler(nil)
	_ = old.Drain()
}

// receive takes what the server sends. nats.go calls it one message at a time.
func (p *pull) receive(m *nats.Msg) {
	defer fault.Exit()
	p.mu.Lock()
	defer p.mu.Unlock()
	status := m.Header.Get("Status")
	switch {
	case m.Reply == "" && status == "":
		p.s.Ignore(m, "it is no answer of a stream")
		return
	case m.Reply == "" && m.Sub != p.sub: // of a request that is forgotten
		return
	case m.Reply == "": // an event has one for its ack, whatever its header says
		p.heard = time.Now()
		p.answered(status, m.Header)
		return
	case !p.isEvent(m):
		return
	}
	p.heard = time.Now()
	p.silent = time.Time{}
	p.came++
	p.moved = p.heard
	h := &delivery{pull: p, msg: m, number: p.came, since: p.heard}
	p.arrived()
	p.bytes += m.Size()
	p.held[h] = struct{}{}
	p.queue = append(p.queue, h)
	p.changed.Broadcast()
	p.ask()
}

// answered takes what the server says of a request. mu is held.
func (p *pull) answered(status string, header nats.Header) {
	words := header.Get("Description")
	if words == batchCompleted { // and the last event has ended it
		return
	}
	switch status {
	case "100": // it is alive
		last, err := strconv.ParseUint(header.Get("Nats-Last-Consumer"), 10, 64)
		if err == nil && p.ackWait == 0 && last > p.came {
			p.confirm(p.missedUpTo(last))
		}
		return
	case "404", "408", "409", "503":
	default:
		p.refused(status, words)
		return
	}
	full := status == "409" && words == tooManyBytes
	if left, err := strconv.Atoi(header.Get("Nats-Pending-Messages")); err == nil && status != "503" {
		p.finish(left, full)
	} else {
		p.giveUp()
	}
	if status == "409" && words == "Consumer Deleted" {
		p.confirm(p.sameConsumer)
	}
	p.pause = status != "404" && status != "408" && !full // at a change of leaders
	if status == "503" && p.silent.IsZero() {
		p.silent = p.heard
	}
	p.ask()
}

// maintain keeps the ack wait of what waits and is handled from running out, and
// looks after a consumer that says nothing. It runs now and then.
func (p *pull) maintain(now time.Time) {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	p.keepHeld(now)
	p.pause = false
	doubtful := p.asked > 0 && now.Sub(p.heard) > p.silence() || !p.silent.IsZero()
	if !doubtful { // else check asks, when the consumer is there
		p.ask()
	}
	if doubtful && p.silent.IsZero() {
		p.silent = now
	}
	since := p.silent
	p.mu.Unlock()
	if doubtful && p.checking.CompareAndSwap(false, true) {
		p.working.Go(func() {
			defer p.checking.Store(false)
			defer fault.Exit()
			p.check(since)
		})
	}
}

// check asks for a consumer that has said nothing since a time.
func (p *pull) check(since time.Time) {
	_, err := p.info(p.s.Ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.silent = time.Time{}
		p.giveUp()
		p.ask()
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		p.s.Leave(broker.Ended(p.deleted()))
	case time.Since(since) > max(p.s.Options.Timeout, p.silence()):
		p.s.Lose(fmt.Errorf("the consumer %s does not answer: %w", p.name, err))
	}
}

// drain has no more events sent, and waits until those that came were
// delivered, at most so long.
func (p *pull) drain(limit time.Duration) {
	p.mu.Lock()
	first := !p.draining
	p.draining = true
	p.mu.Unlock()
	if p.isBlocked() { // it would take none
		return
	}
	if first && p.sub.Drain() != nil { // the connection is gone
		return
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-p.drained:
	case <-late.C:
		return
	case <-p.s.Lost():
		return
	case <-p.s.Ctx.Done():
		return
	}
	idle := make(chan struct{})
	over := false
	go func() {
		defer close(idle)
		p.mu.Lock()
		defer p.mu.Unlock()
		defer fault.Exit()
		for (len(p.queue) > 0 || p.busy) && !over {
			p.changed.Wait()
		}
	}()
	select {
	case <-idle:
	case <-late.C:
		p.mu.Lock()
		over = true
		p.changed.Broadcast()
		p.mu.Unlock()
		<-idle
	}
}

// info asks for the consumer: its leader answers.
func (p *pull) info(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	return link.Inquire(ctx, p.s.Link, func(ctx context.Context) (*jetstream.ConsumerInfo, error) {
		consumer, err := p.s.js.Consumer(ctx, p.stream, p.name)
		if err != nil {
			return nil, err
		}
		return consumer.CachedInfo(), nil
	})
}

// close ends the goroutine of p after the connection. What was not delivered
// is left. One whose handler is blocked is not waited for.
func (p *pull) close() {
	p.mu.Lock()
	p.ended = true
	p.queue = nil
	p.changed.Broadcast()
	p.mu.Unlock()
	if !p.isBlocked() {
		p.working.Wait()
	}
}
