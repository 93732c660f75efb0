package jetstream

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// leftLonger is how long an event that was left counts as held beyond its ack
// wait, which the server may have begun later. Asked too early for another,
// it would send one that is new, and this one as well.
const leftLonger = 250 * time.Millisecond

// delivery is an event on its way from the server to its ack.
type delivery struct {
	pull   *pull
	msg    *nats.Msg
	number uint64    // in the order of coming
	since  time.Time // when its ack wait began, as far as known here
	left   bool      // it is to be delivered again
	given  bool      // it was given back
	taken  bool      // it is being handled, or was
}

// mostAcked is how many acks may be lost with a connection, about: those that
// fit into the buffers of its two ends.
const mostAcked = 4096

// work hands out the events, one after the other.
func (p *pull) work() {
	defer fault.Exit()
	var batch []*delivery
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
			p.hand(h, i+1 < len(batch))
			batch[i] = nil
		}
	}
}

// hand hands an event to the subscriber, and acks it if nobody else does. more says
// that others wait behind it.
func (p *pull) hand(h *delivery, more bool) {
	if !p.take(h) {
		return
	}
	meta, err := h.msg.Metadata()
	if err != nil || meta.Stream != p.stream || meta.Consumer != p.name {
		p.s.Leave(broker.Because(broker.ErrRefused, fmt.Errorf("an event without its place in the stream %s: %s", p.stream, broker.Clip(h.msg.Reply))))
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
			p.s.Lose(p.missed())
			return
		}
		p.settle(h)
	}
	m := broker.Message{
		Subject: h.msg.Subject, Sequence: meta.Sequence.Stream, Time: meta.Timestamp, Data: h.msg.Data,
		Deliveries: int(meta.NumDelivered), Newest: meta.NumPending == 0, Acker: h,
	}
	p.deliver(&m, more) // what it does not take is given back when the session is closed
	if p.ackWait == 0 {
		p.mu.Lock()
		p.done++
		p.mu.Unlock()
	}
}

// take reports whether an event is still to be handled, and notes that it is.
func (p *pull) take(h *delivery) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.taken = true
	return !h.given
}

// settle ends what is known of an event here, and makes room for another.
func (p *pull) settle(h *delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ackWait > 0 {
		if p.acked = append(p.acked, h.msg.Reply); len(p.acked) >= 2*mostAcked {
			p.acked = append(p.acked[:0], p.acked[mostAcked:]...)
		}
	}
	p.makeRoom(h)
}

// makeRoom is forget for an event that is done with. mu is held.
func (p *pull) makeRoom(h *delivery) {
	p.forget(h)
	p.moved = time.Now()
	p.ask()
}

func (p *pull) tell(h *delivery, what string) error { return p.s.NC.Publish(h.msg.Reply, []byte(what)) }

// Ack tells the server that the event was handled.
func (h *delivery) Ack() error {
	p := h.pull
	if p.ackWait == 0 {
		return nil
	}
	err := p.tell(h, "+ACK")
	p.settle(h)
	return err
}

// Nak gives the event back. The server takes no notice of the consumer's BackOff.
func (h *delivery) Nak(after time.Duration) error {
	p := h.pull
	if p.ackWait == 0 {
		return nil
	}
	what := "-NAK"
	if after > 0 {
		what = fmt.Sprintf(`-NAK {"delay": %d}`, after.Nanoseconds())
	}
	err := p.tell(h, what)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.makeRoom(h)
	return err
}

// Drop leaves the event to another delivery of it, in this session or the next.
func (h *delivery) Drop() {
	h.pull.mu.Lock()
	defer h.pull.mu.Unlock()
	h.pull.forget(h)
}

// Details looks them up.
func (h *delivery) Details() broker.Details {
	return broker.Details{Stream: h.pull.stream, Consumer: h.pull.name, ID: h.msg.Header.Get(nats.MsgIdHdr), Header: h.msg.Header}
}

// Leave lets the ack wait run. Until it is over, the event counts as held, but
// its memory does not.
func (h *delivery) Leave() {
	p := h.pull
	p.mu.Lock()
	defer p.mu.Unlock()
	if !h.left {
		p.bytes -= h.msg.Size()
		h.left = true
		h.msg = &nats.Msg{Reply: h.msg.Reply}
	}
}

// keepHeld extends the ack wait of what is handled or waits to be. While the
// handler waits for its reader that would be a lie: then the ack wait runs, and
// what waits behind the blocked event is given back before it is over. mu is held.
func (p *pull) keepHeld(now time.Time) {
	blocked := p.isBlocked()
	if blocked {
		p.withdraw()
	}
	for h := range p.held {
		switch waited := now.Sub(h.since); {
		case p.ackWait == 0:
		case h.left && waited >= p.ackWait+leftLonger:
			p.forget(h)
		case h.left:
		case blocked && waited >= p.ackWait+leftLonger: // others have it by now
			p.forget(h)
		case blocked && waited >= p.ackWait/2 && !h.taken:
			h.given = true
			p.forget(h)
			_ = p.tell(h, "-NAK")
		case !blocked && waited >= p.ackWait/3:
			h.since = now
			_ = p.tell(h, "+WPI")
		}
	}
}

// forget makes room for another event. mu is held.
func (p *pull) forget(h *delivery) {
	if _, known := p.held[h]; known {
		delete(p.held, h)
		if !h.left {
			p.bytes -= h.msg.Size()
		}
	}
}

// blockedAfter is how long a handler may wait for its reader, and count as one
// that works.
const blockedAfter = time.Second

func (p *pull) isBlocked() bool { return p.blocked != nil && p.blocked() >= blockedAfter }

// leave gives back what is not acked, or, if the connection is lost, notes it
// for the next session.
func (p *pull) leave(lost bool) {
	switch {
	case p.ackWait == 0 && lost && p.earlier != nil:
		p.earlier.Alone = [2]string{p.stream, p.name}
	case p.ackWait == 0:
		p.s.deleteLater(p.stream, p.name)
	case lost && p.earlier != nil:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.earlier.Acked = p.acked
		for _, h := range p.unacked() {
			p.earlier.Held = append(p.earlier.Held, h.msg.Reply)
		}
	default:
		p.nakUnacked()
	}
}

// takeOver tells the server again what became of the events of the session
// before: those acks that were lost with the connection, and what was not
// handled, which comes again at once.
func (p *pull) takeOver() {
	if p.earlier == nil {
		return
	}
	for _, reply := range p.earlier.Acked {
		_ = p.s.NC.Publish(reply, []byte("+ACK"))
	}
	for _, reply := range p.earlier.Held {
		_ = p.s.NC.Publish(reply, []byte("-NAK"))
	}
	if alone := p.earlier.Alone; alone[1] != "" {
		p.s.deleteLater(alone[0], alone[1])
	}
	*p.earlier = broker.Earlier{}
}

// resume goes on with what sessions before handed out and is still being handled,
// where the consumer is the same.
func (p *pull) resume(open []broker.Open) {
	for _, o := range open {
		before, ok := o.Acker.(*delivery)
		if !ok || p.ackWait == 0 || before.pull.stream != p.stream || before.pull.name != p.name || !before.pull.created.Equal(p.created) {
			continue
		}
		p.mu.Lock()
		p.came++
		h := &delivery{pull: p, msg: before.msg, number: p.came, since: p.heard, taken: true}
		p.bytes += h.msg.Size()
		p.held[h] = struct{}{}
		p.mu.Unlock()
		_ = p.tell(h, "+WPI")
		o.Resume(h)
	}
}

// unacked are the events that are to be delivered again, in the order in which
// they came. mu is held.
func (p *pull) unacked() []*delivery {
	for h := range p.held {
		if h.left && time.Since(h.since) >= p.ackWait { // another member may have it by now
			delete(p.held, h)
		}
	}
	return slices.SortedFunc(maps.Keys(p.held), func(a, b *delivery) int { return cmp.Compare(a.number, b.number) })
}

// nakUnacked lets others have at once what is not acked, as NATS Streaming does
// when a session is closed. Without it they get that after the ack wait.
func (p *pull) nakUnacked() {
	p.mu.Lock()
	held := p.unacked()
	clear(p.held)
	p.mu.Unlock()
	if len(held) == 0 {
		return
	}
	// The server may still hold a request from here. It finds out when it has
	// an event for it, which goes to the end of the line then; or when it is
	// asked for the consumer (nats-server, processWaiting).
	_, _ = p.info(p.s.Ctx)
	for _, h := range held {
		_ = p.tell(h, "-NAK")
	}
}
