package conn

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How long a request for events stands at the server, how often the server
// says meanwhile that it is alive, and how long a silence is believed.
const (
	pullExpires   = 30 * time.Second
	pullHeartbeat = 2 * time.Second
	pullSilence   = 2*pullHeartbeat + time.Second
)

// leftLonger is how long an event that was left counts as held beyond its ack
// wait, which the server may have begun later. Asked too early for another,
// it would send one that is new, and this one as well.
const leftLonger = 250 * time.Millisecond

// A pull asks a consumer for events, as many as may be held unacked, and hands
// them out one after the other. nats.go's own Consume counts what waits to be
// handled instead of what waits to be acked, and lets the ack wait of what
// waits run out; so this is the protocol of ADR-13 by hand.
type pull struct {
	s       *jetSession
	name    string // of the consumer
	stream  string
	limit   int           // of events asked for and held
	batch   int           // of events in one request
	expires time.Duration // of a request
	ackWait time.Duration // 0: there are no acks
	deliver func(*Message, bool) bool
	sub     *nats.Subscription

	mu       sync.Mutex
	changed  *sync.Cond         // queue, busy or ended
	queue    []*held            // came, and not delivered yet
	held     map[*held]struct{} // came, and not acked yet
	asked    int                // asked for, and not here yet
	came     uint64             // events so far
	heard    time.Time          // when the server said something
	moved    time.Time          // when an event came or was acked
	pause    bool               // ask no more before the next tick
	silent   time.Time          // since when the consumer does not answer
	draining bool
	busy     bool // an event is being delivered
	ended    bool
	sequence uint64 // of the consumer, for gaps

	drained chan struct{} // closed when nothing more can come
	done    sync.WaitGroup
}

// held is an event on its way from the server to its ack.
type held struct {
	pull   *pull
	msg    *nats.Msg
	number uint64    // in the order of coming
	since  time.Time // when its ack wait began, as far as known here
	left   bool      // it is to be delivered again
}

func newPull(s *jetSession, info *jetstream.ConsumerInfo, sub Subscription, deliver func(*Message, bool) bool) (*pull, error) {
	p := &pull{
		s: s, name: info.Name, stream: info.Stream, deliver: deliver, limit: sub.MaxInFlight,
		batch:   or(info.Config.MaxRequestBatch, sub.MaxInFlight),
		expires: min(pullExpires, or(info.Config.MaxRequestExpires, pullExpires)),
		held:    make(map[*held]struct{}), heard: time.Now(), moved: time.Now(), drained: make(chan struct{}),
	}
	if info.Config.AckPolicy != jetstream.AckNonePolicy {
		p.ackWait = info.Config.AckWait
	}
	p.changed = sync.NewCond(&p.mu)
	var err error
	if p.sub, err = s.nc.Subscribe(s.nc.NewInbox(), p.receive); err != nil {
		return nil, err
	}
	_ = p.sub.SetPendingLimits(-1, -1) // the limit is what is asked for
	p.sub.SetClosedHandler(func(string) { close(p.drained) })
	p.done.Go(p.work)
	p.done.Go(p.tend)
	p.mu.Lock()
	p.ask()
	p.mu.Unlock()
	return p, nil
}

// ask requests as many events as there is room for, once that is half of the
// limit or nothing is asked for. mu is held.
func (p *pull) ask() {
	n := p.limit - len(p.held) - p.asked
	if n < 1 || p.asked > 0 && n < p.limit/2 || p.draining || p.pause || p.ended {
		return
	}
	n = min(n, p.batch)
	request, err := json.Marshal(struct {
		Batch     int           `json:"batch"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{n, p.expires, min(pullHeartbeat, p.expires/2)})
	if err == nil {
		err = p.s.nc.PublishRequest(p.s.api()+".CONSUMER.MSG.NEXT."+p.stream+"."+p.name, p.sub.Subject, request)
	}
	if err != nil {
		p.pause = true // the connection is broken, and the session about to end
		return
	}
	if p.asked == 0 {
		p.heard = time.Now()
	}
	p.asked += n
}

// receive takes what the server sends. nats.go calls it one message at a time.
func (p *pull) receive(m *nats.Msg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = time.Now()
	if m.Reply == "" { // an event has one for its ack, whatever its header says
		p.answered(m.Header.Get("Status"), m.Header)
		return
	}
	p.silent = time.Time{}
	p.came++
	p.moved = p.heard
	h := &held{pull: p, msg: m, number: p.came, since: p.heard}
	p.asked = max(0, p.asked-1) // more may come of a request that was given up
	p.held[h] = struct{}{}
	p.queue = append(p.queue, h)
	p.changed.Broadcast()
	p.ask()
}

// answered takes what the server says of a request. mu is held.
func (p *pull) answered(status string, header nats.Header) {
	words := header.Get("Description")
	switch status {
	case "100": // it is alive
		last, err := strconv.ParseUint(header.Get("Nats-Last-Consumer"), 10, 64)
		if err == nil && p.ackWait == 0 && last > p.came {
			p.s.lose(p.missed())
		}
		return
	case "404", "408", "409", "503":
	default:
		p.s.leave(because(ErrRefused, fmt.Errorf("asking consumer %q of stream %q: %s %s", p.name, p.stream, status, words)))
		return
	}
	if left, err := strconv.Atoi(header.Get("Nats-Pending-Messages")); err == nil && status != "503" {
		p.asked = max(0, p.asked-left)
	} else {
		p.asked = 0
	}
	if status == "409" && words == "Consumer Deleted" {
		p.s.lose(p.deleted())
		return
	}
	p.pause = status != "404" && status != "408" // at a change of leaders
	if status == "503" && p.silent.IsZero() {
		p.silent = p.heard
	}
	p.ask()
}

func (p *pull) missed() error {
	return fmt.Errorf("events of stream %s were missed on the way", p.stream)
}

func (p *pull) deleted() error {
	return fmt.Errorf("the consumer %s of stream %s was deleted", p.name, p.stream)
}

// work hands out the events, one after the other.
func (p *pull) work() {
	var batch []*held
	for {
		p.mu.Lock()
		p.busy = false
		p.changed.Broadcast()
		for len(p.queue) == 0 && !p.ended {
			p.changed.Wait()
		}
		if len(p.queue) == 0 {
			p.mu.Unlock()
			return
		}
		batch, p.queue = p.queue, batch[:0]
		p.busy = true
		p.mu.Unlock()
		for i, h := range batch {
			p.handOut(h, i+1 < len(batch))
			batch[i] = nil
		}
	}
}

func (p *pull) handOut(h *held, more bool) {
	meta, err := h.msg.Metadata()
	if err != nil {
		p.s.leave(because(ErrRefused, fmt.Errorf("an event without its place in the stream: %w", err)))
		return
	}
	if !more {
		p.mu.Lock()
		more = len(p.queue) > 0
		p.mu.Unlock()
	}
	if p.ackWait == 0 {
		p.sequence++
		if meta.Sequence.Consumer != p.sequence {
			p.s.lose(p.missed())
			return
		}
		p.settle(h)
	}
	m := Message{
		Subject: h.msg.Subject, Sequence: meta.Sequence.Stream, Time: meta.Timestamp, Data: h.msg.Data,
		Deliveries: int(meta.NumDelivered), acker: h,
	}
	p.deliver(&m, more) // what it does not take is given back when the session is closed
}

// settle ends what is known of an event here, and makes room for another.
func (p *pull) settle(h *held) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.held, h)
	p.moved = time.Now()
	p.ask()
}

// describe tells a roll call how it stands here.
func (p *pull) describe(m *Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.Held, m.Limit, m.Quiet = len(p.held), p.limit, time.Since(p.moved).Milliseconds()
}

func (p *pull) tell(h *held, what string) error { return p.s.nc.Publish(h.msg.Reply, []byte(what)) }

// Ack tells the server that the event was handled.
func (h *held) Ack() error {
	if h.pull.ackWait == 0 {
		return nil
	}
	err := h.pull.tell(h, "+ACK")
	h.pull.settle(h)
	return err
}

// Leave lets the ack wait run. Until it is over, the event counts as held.
func (h *held) Leave() {
	h.pull.mu.Lock()
	defer h.pull.mu.Unlock()
	h.left = true
}

// tend keeps the ack wait of what waits and is handled from running out, and
// looks after a consumer that says nothing.
func (p *pull) tend() {
	const often = 250 * time.Millisecond
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		select {
		case <-p.s.life.Done():
			return
		case <-p.s.lost:
			return
		case <-tick.C:
		}
		p.mu.Lock()
		if p.ended {
			p.mu.Unlock()
			return
		}
		now := time.Now()
		for h := range p.held {
			switch waited := now.Sub(h.since); {
			case p.ackWait == 0:
			case h.left && waited >= p.ackWait+leftLonger:
				delete(p.held, h)
			case !h.left && waited >= p.ackWait/3:
				h.since = now
				_ = p.tell(h, "+WPI")
			}
		}
		p.pause = false
		doubtful := p.asked > 0 && now.Sub(p.heard) > pullSilence || !p.silent.IsZero()
		if !doubtful { // else check asks, when the consumer is there
			p.ask()
		}
		if doubtful && p.silent.IsZero() {
			p.silent = now
		}
		since := p.silent
		p.mu.Unlock()
		if doubtful {
			p.check(since)
		}
	}
}

// check asks for a consumer that has said nothing since a time.
func (p *pull) check(since time.Time) {
	err := p.info(p.s.life)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.silent, p.asked = time.Time{}, 0
		p.ask()
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		p.s.lose(p.deleted())
	case time.Since(since) > max(p.s.opts.Timeout, pullSilence):
		p.s.lose(fmt.Errorf("the consumer %s does not answer: %w", p.name, err))
	}
}

// drain has no more events sent, and waits until those that came were
// delivered, at most so long.
func (p *pull) drain(limit time.Duration) {
	p.mu.Lock()
	first := !p.draining
	p.draining = true
	p.mu.Unlock()
	if first && p.sub.Drain() != nil { // the connection is gone
		return
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-p.drained:
	case <-late.C:
		return
	case <-p.s.lost:
		return
	case <-p.s.life.Done():
		return
	}
	idle := make(chan struct{})
	over := false
	go func() {
		defer close(idle)
		p.mu.Lock()
		defer p.mu.Unlock()
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

// giveBack lets others have at once what is not acked, as NATS Streaming does
// when a session is closed. Without it they get that after the ack wait.
func (p *pull) giveBack() {
	p.mu.Lock()
	for h := range p.held {
		if h.left && time.Since(h.since) >= p.ackWait { // another member may have it by now
			delete(p.held, h)
		}
	}
	held := slices.SortedFunc(maps.Keys(p.held), func(a, b *held) int { return cmp.Compare(a.number, b.number) })
	clear(p.held)
	p.mu.Unlock()
	if p.ackWait == 0 || len(held) == 0 {
		return
	}
	// The server may still hold a request from here. It finds out when it has
	// an event for it, which goes to the end of the line then; or when it is
	// asked for the consumer (nats-server, processWaiting).
	_ = p.info(p.s.life)
	for _, h := range held {
		_ = p.tell(h, "-NAK")
	}
}

// info asks whether the consumer is there.
func (p *pull) info(ctx context.Context) error {
	return p.s.ask(ctx, func(ctx context.Context) error {
		_, err := p.s.js.Consumer(ctx, p.stream, p.name)
		return err
	})
}

// close ends the goroutines of p after the connection. What was not delivered
// is left.
func (p *pull) close() {
	p.mu.Lock()
	p.ended = true
	p.queue = nil
	p.changed.Broadcast()
	p.mu.Unlock()
	p.done.Wait()
}
