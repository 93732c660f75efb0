package conn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"
)

const (
	// roomBytes bounds the events in flight, which are kept until they are
	// acked, so that they can be sent again. A small one takes the Window's
	// part of it.
	roomBytes = 32 << 20

	// patience with an answer, at most. A cluster needs longer to choose a new
	// leader (4 s, nats-server, raft.go), so that nothing new is stored before
	// what that one's predecessor did not answer.
	answerPatience = 2 * time.Second

	// repeatFor is how long an event that may be stored is repeated: less than
	// the 2 minutes in which a stream knows a repeat.
	repeatFor = 100 * time.Second
)

// A flight is the events that were sent and not answered. If one fails that
// can be repeated, nothing new is sent until it was, and what failed behind it:
// no event overtakes another. nats.go's PublishAsync repeats, too, but out of
// order, and goes on sending meanwhile.
type flight struct {
	s    *jetSession
	room *semaphore.Weighted
	done sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond // mending is over, or all was answered
	replies string     // subject of the answers, without attempt and number; "" before the first
	events  []*outgoing
	first   uint64        // the number of events[0]
	attempt uint64        // counts the repeats
	freed   int64         // of room, and not given back yet
	mending bool          // nothing new is sent until what failed was sent again
	careful bool          // the next is sent alone: it is not known if the stream takes events again
	failed  bool          // something failed since tend last looked
	stopped error         // why nothing more is sent
	wake    chan struct{} // cap 1: for tend

	// Of answered alone: what stands before the sequence in a stream's answers.
	ackBegin  []byte
	ackStream string
}

// An outgoing event was sent, or could not be sent, and waits for its answer.
type outgoing struct {
	msg    *nats.Msg
	weight int64
	done   func(Receipt, error)

	number  uint64
	attempt uint64
	born    time.Time // when it was first sent
	begun   time.Time // when its time began
	sent    time.Time // of the newest attempt
	ack     *jetstream.PubAck
	acked   uint64 // the attempt that ack answers
	err     error  // why the newest attempt failed
	doubt   bool   // it may be stored although no ack came
}

func newFlight(s *jetSession) *flight {
	f := &flight{s: s, room: semaphore.NewWeighted(roomBytes), wake: make(chan struct{}, 1)}
	f.changed = sync.NewCond(&f.mu)
	return f
}

// send sends one event and returns before it is answered. It waits while
// others are sent again, and for room.
func (f *flight) send(msg *nats.Msg, done func(Receipt, error)) error {
	out := &outgoing{msg: msg, done: done}
	out.weight = min(max(int64(len(msg.Data)), roomBytes/int64(f.s.opts.Window)), roomBytes)
	if err := f.room.Acquire(f.s.life, out.weight); err != nil {
		return because(ErrLost, nats.ErrConnectionClosed)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.replies == "" && f.stopped == nil {
		if err := f.listen(); err != nil {
			f.stop(because(ErrLost, err))
		}
	}
	if f.s.broken.Load() {
		f.mend()
	}
	for f.mending && f.stopped == nil {
		f.changed.Wait()
	}
	if f.stopped != nil {
		f.room.Release(out.weight)
		return f.stopped
	}
	out.number = f.first + uint64(len(f.events))
	out.born = time.Now()
	out.begun = out.born
	f.events = append(f.events, out)
	if f.careful {
		out.err = errLate // of an attempt that was not made
		f.mend()
	} else {
		f.put(out)
	}
	return nil
}

// listen subscribes to the answers. mu is held.
func (f *flight) listen() error {
	f.replies = f.s.nc.NewInbox() + "."
	sub, err := f.s.nc.Subscribe(f.replies+"*.*", f.answered)
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
	var reply [64]byte
	subject := strconv.AppendUint(append(strconv.AppendUint(append(reply[:0], f.replies...), out.attempt, 36), '.'), out.number, 36)
	out.msg.Reply = string(subject)
	if err := f.s.nc.PublishMsg(out.msg); err != nil {
		out.err = err
		f.advance()
	}
}

// answered takes an answer. nats.go calls it one at a time.
func (f *flight) answered(m *nats.Msg) {
	ack, err := f.pubAck(m)
	attempt, number, _ := strings.Cut(m.Subject[len(f.replies):], ".")
	a, _ := strconv.ParseUint(attempt, 36, 64)
	n, _ := strconv.ParseUint(number, 36, 64)
	f.mu.Lock()
	defer f.mu.Unlock()
	if n < f.first || n-f.first >= uint64(len(f.events)) {
		return // a repeat was answered before
	}
	out := f.events[n-f.first]
	switch {
	case err == nil:
		out.ack, out.acked = ack, a
	case out.ack != nil || a != out.attempt: // an attempt that no longer counts
		return
	default:
		out.err = err
	}
	f.advance()
	if f.mending {
		f.signal()
	}
}

// pubAck reads an answer. Those of a stream differ in the sequence alone: what
// stood before it the last time is looked for first (five times as fast).
func (f *flight) pubAck(m *nats.Msg) (*jetstream.PubAck, error) {
	if rest, alike := bytes.CutPrefix(m.Data, f.ackBegin); alike && f.ackStream != "" {
		if digits, whole := bytes.CutSuffix(rest, []byte("}")); whole {
			if sequence, err := strconv.ParseUint(string(digits), 10, 64); err == nil {
				return &jetstream.PubAck{Stream: f.ackStream, Sequence: sequence}, nil
			}
		}
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return nil, nats.ErrNoResponders
	}
	var answer struct {
		jetstream.PubAck
		Error *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(m.Data, &answer); {
	case err != nil:
		return nil, fmt.Errorf("no answer of a stream: %w", err)
	case answer.Error != nil:
		return nil, answer.Error
	case answer.Stream == "":
		return nil, fmt.Errorf("no answer of a stream: %.60q", m.Data)
	}
	if plain := strconv.AppendUint(nil, answer.Sequence, 10); bytes.HasSuffix(m.Data, append(append([]byte(`"seq":`), plain...), '}')) {
		f.ackBegin, f.ackStream = bytes.Clone(m.Data[:len(m.Data)-len(plain)-1]), answer.Stream
	}
	return &answer.PubAck, nil
}

// advance gives out the answers that are due, in order. mu is held.
func (f *flight) advance() {
	for len(f.events) > 0 {
		out := f.events[0]
		switch {
		case out.ack != nil:
			ack := out.ack
			out.done(Receipt{
				ID: out.msg.Header.Get(jetstream.MsgIDHeader), Stream: ack.Stream, Sequence: ack.Sequence, Duplicate: ack.Duplicate,
			}, nil)
		case out.err == nil:
			return
		case f.stopped == nil && repeatable(out.err):
			f.mend()
			return
		default:
			err := explainPublish(out.err, out.doubt)
			f.stop(err)
			out.done(Receipt{}, err)
		}
		f.events[0] = nil
		f.events = f.events[1:]
		f.first++
		// Room for many at a time: they go out together.
		if f.freed += out.weight; f.freed >= roomBytes/4 || len(f.events) == 0 {
			f.room.Release(f.freed)
			f.freed = 0
		}
	}
	f.changed.Broadcast()
}

// stop has nothing more sent. Only the first reason counts. mu is held.
func (f *flight) stop(err error) {
	if f.stopped == nil {
		f.stopped = err
	}
	f.changed.Broadcast()
}

// mend has tend send again what failed. mu is held.
func (f *flight) mend() {
	f.mending, f.failed = true, true
	f.signal()
}

func (f *flight) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// tend waits for answers that do not come, and mends.
func (f *flight) tend() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		lost := false
		select {
		case <-f.s.lost:
			lost = true
		case <-f.s.life.Done():
			lost = true
		case <-f.s.breaks:
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
		if f.s.broken.Load() && len(f.events) > 0 {
			f.mending = true
		}
		if f.mending {
			f.repeat()
		}
		f.mu.Unlock()
	}
}

// patience is how long the answer to an attempt may take before another.
func (f *flight) patience() time.Duration { return min(f.s.opts.Timeout/2, answerPatience) }

// expire ends the wait for the oldest event, if it took too long; for all,
// when nothing more is sent. mu is held.
func (f *flight) expire() {
	for _, out := range f.events {
		if out.ack == nil && out.err == nil && time.Since(out.sent) >= f.patience() {
			out.err, out.doubt = errLate, true
		}
		if f.stopped == nil {
			break
		}
	}
	f.advance()
}

// abort gives up all events: the session is over. mu is held.
func (f *flight) abort() {
	err := f.s.Err()
	if err == nil {
		err = because(ErrLost, nats.ErrConnectionClosed)
	}
	f.s.mu.Lock()
	unheard := f.s.deaf != nil || !errors.Is(err, ErrAuth) // else it was refused
	f.s.mu.Unlock()
	for _, out := range f.events {
		out.doubt = out.doubt || out.err == nil && unheard
		out.err = err
	}
	f.stop(err)
	f.advance()
}

// repeat sends the oldest event until it is answered, then, at once and in
// order, all others that were not; and so on until none fails. The server
// knows by their IDs what it has stored. mu is held, but while it waits.
//
// A new leader first answers what it finds in its log, and takes events a
// moment later. To send many before would have some refused, and what stands
// behind them stored. So only the answer to a new attempt counts.
func (f *flight) repeat() {
	for {
		f.s.broken.Store(false)
		f.careful = true
		if f.stopped != nil || len(f.events) == 0 {
			break
		}
		before, out := f.attempt, f.events[0]
		f.repeatFirst()
		if f.stopped != nil || out.acked <= before {
			continue
		}
		f.careful, f.failed = false, false
		f.attempt++
		for _, out := range f.events {
			if f.failed || f.stopped != nil { // by the put before, which may have ended others
				break
			}
			if out.ack == nil {
				out.doubt = out.doubt || out.err == nil
				out.begun = time.Now() // its turn has come
				f.put(out)
			}
		}
		if !f.failed {
			break
		}
	}
	f.mending = false
	f.changed.Broadcast()
}

// repeatFirst sends the oldest event until it is answered, or its time is over.
// mu is held, but while it waits.
func (f *flight) repeatFirst() {
	pace := newBackoff()
	pace.InitialInterval /= 10
	pace.MaxInterval /= 10
	out := f.events[0]
	out.doubt = out.doubt || out.err == nil // the connection broke since it was sent
	for {
		if f.advance(); f.stopped != nil || out.ack != nil {
			return
		}
		if now := time.Now(); now.Sub(out.begun) >= f.s.opts.Timeout || out.doubt && now.Sub(out.born) >= repeatFor {
			out.err = or(out.err, errLate)
			f.stop(explainPublish(out.err, out.doubt))
			continue
		}
		if errors.Is(out.err, errLate) || errors.Is(out.err, nats.ErrNoResponders) {
			f.mu.Unlock()
			missing := f.s.uncovered(out.msg.Subject, f.patience())
			f.mu.Lock()
			if missing != nil {
				out.err = missing
				continue
			}
		}
		if out.ack != nil {
			continue
		}
		f.attempt++
		f.put(out)
		f.wait(out, f.patience(), func() bool { return out.err != nil })
		if out.ack == nil && !errors.Is(out.err, errLate) {
			f.wait(out, pace.NextBackOff(), func() bool { return false })
		}
	}
}

// wait waits until out is acked or over is true, at most so long; then an
// attempt without an answer has failed. mu is held, but while it waits.
func (f *flight) wait(out *outgoing, limit time.Duration, over func() bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for out.ack == nil && f.stopped == nil && !over() {
		silent, lost := false, false
		f.mu.Unlock()
		select {
		case <-f.wake:
		case <-f.s.breaks:
			silent = true
		case <-timer.C:
			silent = true
		case <-f.s.lost:
			lost = true
		case <-f.s.life.Done():
			lost = true
		}
		f.mu.Lock()
		switch {
		case lost:
			f.abort()
		case silent:
			if out.ack == nil && out.err == nil {
				out.err, out.doubt = errLate, true
			}
			return
		}
	}
}

// close has nothing more sent, and waits for the answers that are due.
func (f *flight) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop(because(ErrLost, nats.ErrConnectionClosed))
	for len(f.events) > 0 {
		f.changed.Wait()
	}
}
