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

// A flight is the events that were sent and not answered. If one fails that
// can be repeated, nothing new is sent until it was, and what failed behind it:
// no event overtakes another. nats.go's PublishAsync repeats, too, but out of
// order, and goes on sending meanwhile.
//
// The first event is sent alone, while the stream is looked at: what an ack
// means, and what may be repeated, depends on the stream's terms.
type flight struct {
	s    *Session
	done sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond // mending or learning is over, or all was answered
	freed   *sync.Cond // there is room again
	window  window
	replies string // subject of the answers, without attempt and number; "" before the first
	events  []*outgoing
	first   uint64        // the number of events[0]
	attempt uint64        // counts the repeats
	heard   time.Time     // when the last ack came
	mending bool          // nothing new is sent until what failed was sent again
	paused  bool          // nothing new is sent until all was answered
	careful bool          // the next is sent alone: it is not known if the stream takes events again
	failed  bool          // something failed since tend last looked
	stopped error         // why nothing more is sent
	over    bool          // no answers come any more
	wake    chan struct{} // cap 1: for tend

	terms    *terms // of the stream that answered last
	known    map[string]*terms
	learning bool              // the terms are being looked at
	told     bool              // that they can't be known
	look     look              // at stored events
	lookErr  error             // why it fails
	renamed  map[string]string // subjects, and those under which their events are stored

	// Of answered alone: what stands before the sequence in a stream's answers.
	ackBegin  []byte
	ackStream string
}

// An outgoing event was sent, or could not be sent, and waits for its answer.
type outgoing struct {
	msg   *nats.Msg
	given bool // its ID was given by the user
	done  func(broker.Receipt, error)

	number   uint64
	attempt  uint64
	born     time.Time // when it was first sent, of the attempts after which it may be stored
	begun    time.Time // when its time began
	sent     time.Time // of the newest attempt
	ack      *jetstream.PubAck
	came     time.Time         // when ack came
	acked    uint64            // the attempt that ack answers
	older    *jetstream.PubAck // the answer to an attempt before the newest
	err      error             // why the newest attempt failed
	lost     bool              // no other attempt is made
	doubt    bool              // it may be stored by an attempt that was not answered
	repeated bool              // it was sent again in spite of that

	sight *sight // of what is stored; nil as long as it is not looked at
}

func (out *outgoing) id() string { return out.msg.Header.Get(jetstream.MsgIDHeader) }

// size is what it takes of the window.
func (out *outgoing) size() int64 { return int64(len(out.msg.Data)) }

// waits reports whether the newest attempt is still to be answered.
func (out *outgoing) waits() bool { return out.ack == nil && out.err == nil }

// newFlight returns a flight over s, to which an answer took trip.
func newFlight(s *Session, trip time.Duration) *flight {
	f := &flight{s: s, window: newWindow(s.Options, trip), wake: make(chan struct{}, 1)}
	f.known, f.renamed = make(map[string]*terms), make(map[string]string)
	f.changed, f.freed = sync.NewCond(&f.mu), sync.NewCond(&f.mu)
	return f
}

// send sends one event and returns before it is answered. It waits while
// others are sent again, and for room.
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
		out.err = errLate // of an attempt that was not made
		f.mend()
	} else {
		f.put(out)
	}
	if begin {
		f.learn("", msg.Subject)
	}
	return nil
}

// await waits until an event of size can be sent. mu is held.
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

// listen subscribes to the answers. mu is held.
func (f *flight) listen() error {
	f.replies = f.s.Options.NewInbox() + "."
	sub, err := f.s.NC.Subscribe(f.replies+"*.*", f.answered)
	if err != nil {
		return err
	}
	_ = sub.SetPendingLimits(-1, -1) // there are no more than events
	f.done.Go(f.tend)
	return nil
}

// put hands an event to the connection. mu is held.
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

// advance gives out what is known of the events, in order. mu is held.
func (f *flight) advance() {
	for len(f.events) > 0 {
		out := f.events[0]
		switch {
		case out.waits():
			return
		case out.ack == nil && f.stopped == nil && repeatable(out.err):
			f.mend()
			return
		case out.ack == nil && out.older != nil: // the repeat failed, and was none
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

// outcome is what became of an event that was answered, or failed for good.
// ready is false while that is not known. mu is held.
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
		if f.over && (out.sight == nil || !out.sight.over()) { // no answer comes any more
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

// stop has nothing more sent. Only the first reason counts. mu is held.
func (f *flight) stop(err error) {
	if f.stopped == nil {
		f.stopped = err
	}
	f.changed.Broadcast()
	f.freed.Broadcast()
}

// tend waits for answers that do not come, and mends.
func (f *flight) tend() {
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

// abort gives up all events: the session is over. mu is held.
func (f *flight) abort() {
	err := f.s.Err()
	if err == nil {
		err = broker.Because(broker.ErrLost, nats.ErrConnectionClosed)
	}
	unheard := f.s.AnswersDenied() != nil || !errors.Is(err, broker.ErrAuth) // else it was refused
	for _, out := range f.events {
		out.doubt = out.doubt || out.err == nil && unheard
		out.err = err
	}
	f.stop(err)
	f.over = true
	f.advance()
}

// close has nothing more sent, and waits for the answers that are due.
func (f *flight) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop(broker.Because(broker.ErrLost, nats.ErrConnectionClosed))
	for len(f.events) > 0 {
		f.changed.Wait()
	}
}
