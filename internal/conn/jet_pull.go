package conn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How long a request for events stands at the server, how often the server
// says meanwhile that it is alive.
const (
	pullExpires   = 30 * time.Second
	pullHeartbeat = 2 * time.Second
)

// Bytes of events that may be held or on their way, about: a request ends when
// half of them came, and the next asks for twice as many if they came fast, for
// half if they came slowly. More would fill the server's buffer for a slow link,
// which then drops the client as a slow consumer, and the memory where events
// are large.
const (
	firstBytes = 1 << 20
	mostBytes  = 16 << 20
	leastBytes = 64 << 10
	fastBytes  = 250 * time.Millisecond
	slowBytes  = time.Second
)

// A pull asks a consumer for events, as many as may be held unacked, and hands
// them out one after the other. nats.go's own Consume counts what waits to be
// handled instead of what waits to be acked, and lets the ack wait of what
// waits run out; so this is the protocol of ADR-13 by hand.
type pull struct {
	s        *jetSession
	name     string // of the consumer
	stream   string
	subject  string
	limit    int           // of events asked for and held
	batch    int           // of events in one request
	maxBytes int           // of one request
	expires  time.Duration // of a request
	ackWait  time.Duration // 0: there are no acks
	deliver  func(*Message, bool) bool
	blocked  func() time.Duration // how long the handler has waited for its reader
	earlier  *Earlier
	sub      *nats.Subscription

	mu       sync.Mutex
	checking atomic.Bool        // check is at work
	changed  *sync.Cond         // queue, busy or ended
	queue    []*held            // came, and not delivered yet
	held     map[*held]struct{} // came, and not acked yet
	requests []request          // those that stand at the server, the oldest first
	asked    int                // asked for by these, and not here yet
	bytes    int                // of what came and is not acked yet
	window   int                // of bytes
	oversize bool               // the next event is larger than a request's bytes
	came     uint64             // events so far
	heard    time.Time          // when the server said something
	moved    time.Time          // when an event came or was acked
	pause    bool               // ask no more before the next tick
	silent   time.Time          // since when the consumer does not answer
	draining bool
	busy     bool // an event is being delivered
	ended    bool
	sequence uint64   // of the consumer, for gaps
	done     uint64   // events that the handler is done with
	acked    []string // where the newest acks went, which a broken connection may have lost

	drained chan struct{} // closed when nothing more can come
	working sync.WaitGroup
}

func newPull(s *jetSession, info *jetstream.ConsumerInfo, sub Subscription, deliver func(*Message, bool) bool) (*pull, error) {
	p := &pull{
		s: s, name: info.Name, stream: info.Stream, subject: sub.Subject, deliver: deliver, limit: sub.MaxInFlight,
		batch: or(info.Config.MaxRequestBatch, sub.MaxInFlight), maxBytes: or(info.Config.MaxRequestMaxBytes, mostBytes),
		expires: min(pullExpires, or(info.Config.MaxRequestExpires, pullExpires)),
		held:    make(map[*held]struct{}), heard: time.Now(), moved: time.Now(), drained: make(chan struct{}),
		blocked: sub.Blocked, earlier: sub.Earlier, window: firstBytes,
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
	p.takeOver()
	p.working.Go(p.work)
	p.mu.Lock()
	p.ask()
	p.mu.Unlock()
	return p, nil
}

// A request for events stands at the server until so many came, or so many
// bytes, or its time is over.
type request struct {
	left  int       // events that are still to come
	began time.Time // when the first came
}

// mostRequests stand at the server at a time: while one is answered, the next
// is there already.
const mostRequests = 2

// ask requests as many events as there is room for, once that is half of the
// limit or nothing is asked for. mu is held.
func (p *pull) ask() {
	n := p.limit - len(p.held) - p.asked
	switch {
	case p.draining, p.pause, p.ended, n < 1, p.asked > 0 && n < p.limit/2, len(p.requests) == mostRequests,
		p.bytes > p.window/2, p.isBlocked():
		return
	}
	question := struct {
		Batch     int           `json:"batch"`
		Bytes     int           `json:"max_bytes,omitempty"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{min(n, p.batch), min(p.window/2, p.maxBytes), p.expires, p.heartbeat()}
	if p.oversize {
		question.Batch, question.Bytes, p.oversize = 1, 0, false
	}
	text, err := json.Marshal(question)
	if err == nil {
		err = p.s.nc.PublishRequest(p.s.api()+".CONSUMER.MSG.NEXT."+p.stream+"."+p.name, p.sub.Subject, text)
	}
	if err != nil {
		p.pause = true // the connection is broken, and the session about to end
		return
	}
	if p.asked == 0 {
		p.heard = time.Now()
	}
	p.requests = append(p.requests, request{left: question.Batch})
	p.asked += question.Batch
}

// arrived counts an event of the oldest request. mu is held.
func (p *pull) arrived() {
	if len(p.requests) == 0 {
		return // it was given up
	}
	r := &p.requests[0]
	if r.began.IsZero() {
		r.began = p.heard
	}
	p.asked = max(0, p.asked-1)
	if r.left--; r.left == 0 || p.asked == 0 {
		p.requests = p.requests[1:]
	}
}

// finish ends a request that so many events were still to come of: the oldest,
// as far as it matters here. full says that it had no room for the bytes of
// another. mu is held.
func (p *pull) finish(left int, full bool) {
	if len(p.requests) == 0 {
		return
	}
	r := p.requests[0]
	p.requests = p.requests[1:]
	if p.asked = max(0, p.asked-left); len(p.requests) == 0 {
		p.asked = 0
	}
	if !full {
		return
	}
	switch took := p.heard.Sub(r.began); {
	case r.began.IsZero(): // not one came
		p.oversize = true
	case took <= fastBytes:
		p.window = min(2*p.window, mostBytes)
	case took >= slowBytes:
		p.window = max(p.window/2, leastBytes)
	}
}

// giveUp forgets all requests: the server has, too, or is asked anew. mu is held.
func (p *pull) giveUp() { p.requests, p.asked = p.requests[:0], 0 }

// heartbeat is how often the server is to say that it is alive. With very many
// consumers, each is to say so less often.
func (p *pull) heartbeat() time.Duration {
	const few = 50
	return min(pullHeartbeat*time.Duration(max(1, p.s.pulling.Load()/few)), p.expires/2)
}

// silence is how long the server may say nothing.
func (p *pull) silence() time.Duration { return 2*p.heartbeat() + time.Second }

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
	full := status == "409" && words == tooManyBytes
	if left, err := strconv.Atoi(header.Get("Nats-Pending-Messages")); err == nil && status != "503" {
		p.finish(left, full)
	} else {
		p.giveUp()
	}
	if status == "409" && words == "Consumer Deleted" {
		p.s.lose(p.deleted())
		return
	}
	p.pause = status != "404" && status != "408" && !full // at a change of leaders
	if status == "503" && p.silent.IsZero() {
		p.silent = p.heard
	}
	p.ask()
}

// tooManyBytes is the server's word for a request whose bytes are used up, or
// too few for the next event (nats-server, consumer.go).
const tooManyBytes = "Message Size Exceeds MaxBytes"

func (p *pull) missed() error {
	return fmt.Errorf("events of stream %s were missed on the way", p.stream)
}

func (p *pull) deleted() error {
	return fmt.Errorf("the consumer %s of stream %s was deleted", p.name, p.stream)
}

// check asks for a consumer that has said nothing since a time.
func (p *pull) check(since time.Time) {
	_, err := p.info(p.s.life)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.silent = time.Time{}
		p.giveUp()
		p.ask()
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		p.s.lose(p.deleted())
	case time.Since(since) > max(p.s.opts.Timeout, p.silence()):
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

// info asks for the consumer: its leader answers.
func (p *pull) info(ctx context.Context) (info *jetstream.ConsumerInfo, err error) {
	err = p.s.ask(ctx, func(ctx context.Context) error {
		consumer, err := p.s.js.Consumer(ctx, p.stream, p.name)
		if err == nil {
			info = consumer.CachedInfo()
		}
		return err
	})
	return info, err
}

// rest tells what is left, in the words of the consumer's leader.
func (p *pull) rest(ctx context.Context) (Rest, error) {
	info, err := p.info(ctx)
	if err != nil {
		return Rest{}, explainJetStream(err)
	}
	r := Rest{Waiting: info.NumPending, Unacked: uint64(max(0, info.NumAckPending)), Through: info.AckFloor.Stream,
		Delivered: info.Delivered.Consumer, Limit: uint64(max(0, info.Config.MaxAckPending))}
	if info.Paused && info.Config.PauseUntil != nil {
		r.Paused = *info.Config.PauseUntil
	}
	if p.ackWait == 0 { // nothing is acked: what is on its way counts
		p.mu.Lock()
		r.Through, r.Unacked, r.Limit = 0, info.Delivered.Consumer-min(p.done, info.Delivered.Consumer), 0
		p.mu.Unlock()
	}
	return r, nil
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
