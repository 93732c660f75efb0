package jetstream

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// A flight holds the events that were sent and not acked. If a repeatable event fails,
// nothing new is sent until it and the failed events behind it were sent again, so that no
// event overtakes another. nats.go's PublishAsync retries, too, but out of order, and goes
// on sending meanwhile.
//
// The first event is sent alone while the stream's configuration is read: it decides what
// an ack means and which events can be repeated.
type flight struct {
	s    *Session
	done sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond // mending or learning has ended, or all events were answered
	freed   *sync.Cond // the window has room again
	window  window
	replies string // prefix of reply subjects, before attempt and number; "" before the first event
	events  []*outgoing
	first   uint64        // number of events[0]
	attempt uint64        // number of the current attempt
	heard   time.Time     // time of the latest ack
	mending bool          // failed events are being sent again, and no new ones
	paused  bool          // no new events until all were answered
	careful bool          // the next event is sent alone, until the stream is known to take events again
	failed  bool          // an event failed during the current repeat
	stopped error         // why no more events are sent
	over    bool          // no more answers are expected
	wake    chan struct{} // cap 1; wakes watch

	terms    *terms // terms of the stream that answered last
	known    map[string]*terms
	learning bool              // the terms are being read
	told     bool              // the user was told that the terms can't be read
	look     look              // state of looking at stored events
	lookErr  error             // why they can't be looked at
	renamed  map[string]string // published subject to stored subject

	// Used by answered only: the text before the sequence in the stream's acks.
	ackBegin  []byte
	ackStream string
}

// An outgoing event was sent, or failed to be sent, and is not settled.
type outgoing struct {
	msg   *nats.Msg
	given bool // the user gave its ID
	done  func(broker.Receipt, error)

	number   uint64
	attempt  uint64
	born     time.Time // time of the first attempt that may have stored it
	begun    time.Time // start of its time-out
	sent     time.Time // time of the newest attempt
	ack      *jetstream.PubAck
	came     time.Time         // time of ack
	acked    uint64            // attempt that ack belongs to
	older    *jetstream.PubAck // ack of an attempt before the newest
	err      error             // why the newest attempt failed
	lost     bool              // no further attempt is made
	doubt    bool              // an unanswered attempt may have stored it
	repeated bool              // it was sent again while in doubt

	sight *sight // look at the stored event; nil before that
}

func (out *outgoing) id() string { return out.msg.Header.Get(jetstream.MsgIDHeader) }

// size is the event's share of the window, in bytes.
func (out *outgoing) size() int64 { return int64(len(out.msg.Data)) }

// waits reports whether the newest attempt is unanswered.
func (out *outgoing) waits() bool { return out.ack == nil && out.err == nil }

// newFlight returns a flight over s. trip is a measured round trip.
func newFlight(s *Session, trip time.Duration) *flight {
	f := &flight{s: s, window: newWindow(s.Options, trip), wake: make(chan struct{}, 1)}
	f.known, f.renamed = make(map[string]*terms), make(map[string]string)
	f.changed, f.freed = sync.NewCond(&f.mu), sync.NewCond(&f.mu)
	return f
}

// send sends one event and returns before it is acked. It blocks while events are sent
// again, and while the window is full.
func (f *flight) send(msg *nats.Msg, given bool, done func(broker.Receipt, error)) error {
	out := &outgoing{msg: msg, given: given, done: done}
	f.mu.Lock()
	defer f.mu.Unlock()
	begin := f.replies == "" && f.stopped == nil
	if begin {
		if err := f.listen(); err != nil {
			f.stop(broker.Because(broker.ErrLost, err))
		}
	}
	if err := f.await(out.size()); err != nil {
		return err
	}
	out.number = f.first + uint64(len(f.events))
	out.begun = time.Now()
	f.events = append(f.events, out)
	f.window.bytes += out.size()
	if f.careful {
		out.err = errLate // as if an attempt had not been answered
		f.mend()
	} else {
		f.put(out)
	}
	if begin {
		f.learn("", msg.Subject)
	}
	return nil
}

// await blocks until an event of that size can be sent. mu is held.
func (f *flight) await(size int64) error {
	for f.stopped == nil {
		if f.s.Broken.Load() {
			f.mend()
		}
		switch {
		case f.window.full(len(f.events), size):
			f.freed.Wait()
		case f.mending || f.learning || f.paused:
			f.changed.Wait()
		default:
			return nil
		}
	}
	return f.stopped
}

// listen subscribes to the acks. mu is held.
func (f *flight) listen() error {
	f.replies = f.s.Options.NewInbox() + "."
	sub, err := f.s.NC.Subscribe(f.replies+"*.*", f.answered)
	if err != nil {
		return err
	}
	_ = sub.SetPendingLimits(-1, -1) // at most one per attempt
	f.done.Go(f.watch)
	return nil
}

// put makes an attempt to send an event. mu is held.
func (f *flight) put(out *outgoing) {
	out.attempt, out.sent, out.err = f.attempt, time.Now(), nil
	if out.doubt {
		out.repeated = true
	} else {
		out.born = out.sent
	}
	var reply [64]byte
	subject := strconv.AppendUint(append(strconv.AppendUint(append(reply[:0], f.replies...), out.attempt, 36), '.'), out.number, 36)
	out.msg.Reply = string(subject)
	if err := f.s.NC.PublishMsg(out.msg); err != nil {
		out.err = err
		f.advance()
	}
}

// advance reports the outcome of settled events, in order. mu is held.
func (f *flight) advance() {
	for len(f.events) > 0 {
		out := f.events[0]
		switch {
		case out.waits():
			return
		case out.ack == nil && f.stopped == nil && repeatable(out.err):
			f.mend()
			return
		case out.ack == nil && out.older != nil: // the repeat failed, but an earlier attempt was acked
			out.repeated = out.repeated && errors.Is(out.err, errLate)
			f.acked(out, out.older, 0)
		}
		receipt, ready, err := f.outcome(out)
		if !ready {
			return
		}
		if err != nil && !errors.Is(err, broker.ErrUncertain) {
			f.stop(err)
		}
		out.done(receipt, err)
		f.events[0] = nil
		f.events = f.events[1:]
		f.first++
		if f.window.bytes -= out.size(); f.window.roomy(len(f.events)) {
			f.freed.Broadcast()
		}
	}
	f.paused = f.paused && len(f.events) > 0
	f.changed.Broadcast()
}

// outcome returns the outcome of an event that was acked or has failed. ready is false
// while it is not known. mu is held.
func (f *flight) outcome(out *outgoing) (r broker.Receipt, ready bool, err error) {
	switch {
	case f.over && out.ack != nil && (f.terms == nil || f.terms.stream != out.ack.Stream):
		return r, true, broker.Because(broker.ErrUncertain, f.stopped)
	case f.learning && !f.over:
		return r, false, nil
	case out.ack == nil:
		return r, true, f.explain(out)
	case !f.onTerms(out):
		return r, false, nil
	}
	if f.curious(out) {
		if f.over && (out.sight == nil || !out.sight.over()) { // no answer will come
			out.sight = &sight{err: f.stopped}
		}
		if !f.seen(out) {
			return r, false, nil
		}
		err = f.compare(out)
	}
	if err == nil {
		err = f.kept(out)
	}
	ack := out.ack
	earlier := ack.Duplicate && out.given && !f.own(out)
	return broker.Receipt{ID: out.id(), Stream: ack.Stream, Sequence: ack.Sequence, Duplicate: earlier}, true, err
}

// stop ends sending. Only the first reason is kept. mu is held.
func (f *flight) stop(err error) {
	if f.stopped == nil {
		f.stopped = err
	}
	f.changed.Broadcast()
	f.freed.Broadcast()
}

// watch expires unanswered events, and sends failed ones again, until the session ends.
func (f *flight) watch() {
	defer fault.Exit()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		lost := false
		select {
		case <-f.s.Lost():
			lost = true
		case <-f.s.Ctx.Done():
			lost = true
		case <-f.s.Breaks:
		case <-f.wake:
		case <-tick.C:
		}
		f.mu.Lock()
		if lost {
			f.abort()
			f.mu.Unlock()
			return
		}
		f.expire()
		if f.s.Broken.Load() && len(f.events) > 0 {
			f.mending = true
		}
		if f.mending {
			f.repeat()
		}
		f.mu.Unlock()
	}
}

// abort gives up all events because the session is over. mu is held.
func (f *flight) abort() {
	err := f.s.Err()
	if err == nil {
		err = broker.Because(broker.ErrLost, nats.ErrConnectionClosed)
	}
	unheard := f.s.AnswersDenied() != nil || !errors.Is(err, broker.ErrAuth) // else the server refused them
	for _, out := range f.events {
		out.doubt = out.doubt || out.err == nil && unheard
		out.err = err
	}
	f.stop(err)
	f.over = true
	f.advance()
}

// close ends sending, and waits for the outstanding acks.
func (f *flight) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop(broker.Because(broker.ErrLost, nats.ErrConnectionClosed))
	for len(f.events) > 0 {
		f.changed.Wait()
	}
}
