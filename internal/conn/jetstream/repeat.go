package jetstream

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/conn/link"
)

// mend makes watch send failed events again. mu is held.
func (f *flight) mend() {
	f.mending, f.failed, f.paused = true, true, true
	f.signal()
}

func (f *flight) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *flight) patience() time.Duration { return f.window.patience(f.s.Options.Timeout) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// moved returns the time of the latest ack, or of the latest progress of a write on a slow
// connection.
func (f *flight) moved() time.Time {
	if wrote := f.s.Wrote(); wrote != nil {
		return later(f.heard, *wrote)
	}
	return f.heard
}

// expire fails events that were not answered in time: the oldest, or all once sending has
// ended. mu is held.
func (f *flight) expire() {
	for i, out := range f.events {
		switch {
		case out.ack != nil:
			f.lookAgain(out)
		case out.err == nil && f.silence(i) >= f.limit(out):
			out.err, out.doubt = errLate, true
		}
		if f.stopped == nil && out.ack == nil {
			break
		}
	}
	f.advance()
}

// silence returns for how long nothing has shown progress towards the answer to an event.
// Events are answered in order, mostly, so any ack before it is progress.
func (f *flight) silence(i int) time.Duration {
	since := f.events[i].sent
	if overtaken := i+1 < len(f.events) && f.events[i+1].ack != nil; !overtaken {
		since = later(since, f.moved())
	}
	return time.Since(since)
}

// limit returns how long to wait for the answer to an event. If it is too late to repeat
// it, that is the whole time-out.
func (f *flight) limit(out *outgoing) time.Duration {
	if f.terms != nil && time.Since(out.born) >= f.terms.repeats {
		return max(f.s.Options.Timeout, f.patience())
	}
	return f.patience()
}

// repeat sends the oldest unacked event until it is acked, then all others at once and in
// order, and starts over until none fails. The server drops those that it has stored, by
// their IDs. mu is held, except while it waits.
//
// A new leader first answers what is in its log, and accepts events only a moment later.
// If all were sent at once, some would be refused and later ones stored. So only the ack
// of a new attempt shows that the leader is ready.
func (f *flight) repeat() {
	for {
		if f.s.Broken.Swap(false) && f.terms != nil && !f.learning { // they may have changed meanwhile
			f.learn(f.terms.stream, "")
			f.terms = nil
		}
		f.careful = true
		oldest := slices.IndexFunc(f.events, func(out *outgoing) bool { return out.ack == nil })
		if f.stopped != nil || oldest < 0 {
			break
		}
		before, out := f.attempt, f.events[oldest]
		f.repeatOne(out)
		if f.stopped != nil || out.acked <= before {
			continue
		}
		f.careful, f.failed = false, false
		f.attempt++
		f.repeatOthers()
		if !f.failed {
			break
		}
	}
	f.mending = false
	f.changed.Broadcast()
}

// repeatOthers sends all unacked events again, up to the first that can't be repeated
// safely. mu is held.
func (f *flight) repeatOthers() {
	for _, out := range f.events {
		if f.failed || f.stopped != nil { // put may have failed this or other events
			return
		}
		if out.ack != nil {
			continue
		}
		out.doubt = out.doubt || out.err == nil
		if !f.safe(out) {
			f.giveUp(out)
			return
		}
		out.begun = time.Now() // its time-out starts now
		f.put(out)
	}
}

// repeatOne sends an event until it is acked, or its time-out has passed. mu is held,
// except while it waits.
func (f *flight) repeatOne(out *outgoing) {
	pace := link.NewBackoff()
	pace.InitialInterval /= 10
	pace.MaxInterval /= 10
	out.doubt = out.doubt || out.err == nil // the connection broke after it was sent
	begun := out.begun
	for repeats := 0; ; {
		if f.advance(); f.stopped != nil || out.ack != nil {
			return
		}
		if repeats < 2 { // writes of later repeats don't count as progress
			begun = later(begun, f.moved())
		}
		switch {
		case out.doubt && f.learning: // learning is limited by the time-out
			f.wait(out, f.patience(), func() bool { return !f.learning })
			continue
		case !f.safe(out), time.Since(later(begun, f.heard)) >= f.s.Options.Timeout:
			f.giveUp(out)
			continue
		}
		if errors.Is(out.err, errLate) || errors.Is(out.err, nats.ErrNoResponders) {
			patience, nobody := f.patience(), errors.Is(out.err, nats.ErrNoResponders)
			f.mu.Unlock()
			missing := f.s.uncovered(out.msg.Subject, nobody, patience)
			f.mu.Lock()
			if missing != nil {
				out.err = missing
				continue
			}
		}
		if out.ack != nil || !f.safe(out) {
			continue
		}
		f.attempt++
		repeats++
		f.put(out)
		f.wait(out, f.patience(), func() bool { return out.err != nil })
		if out.ack == nil && !errors.Is(out.err, errLate) {
			f.wait(out, pace.NextBackOff(), func() bool { return false })
		}
	}
}

// giveUp ends the attempts for an event. A later ack is ignored, as the event was reported
// as failed. mu is held.
func (f *flight) giveUp(out *outgoing) {
	if out.older != nil { // it is stored, perhaps twice
		f.acked(out, out.older, 0)
		return
	}
	out.err, out.lost = cmp.Or(out.err, errLate), true
	f.stop(f.explain(out))
}

// wait waits until out is acked, over returns true, or limit has passed. In the last case
// an unanswered attempt has failed. mu is held, except while it waits.
func (f *flight) wait(out *outgoing, limit time.Duration, over func() bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for out.ack == nil && f.stopped == nil && !over() {
		silent, lost := false, false
		f.mu.Unlock()
		select {
		case <-f.wake:
		case <-f.s.Breaks:
			silent = true
		case <-timer.C:
			silent = true
		case <-f.s.Lost():
			lost = true
		case <-f.s.Ctx.Done():
			lost = true
		}
		f.mu.Lock()
		switch {
		case lost:
			f.abort()
		case silent:
			if out.waits() {
				out.err, out.doubt = errLate, true
			}
			return
		}
	}
}

const (
	// queueing is how long an event may take beyond the fastest round trip before the
	// window is reduced.
	queueing = time.Second

	// slowest is the lowest speed of a network, in bytes per second, at which events
	// are not repeated while they may still be on their way.
	slowest = 128 << 10
)

// A window limits the events in flight. The limit in bytes adapts to the round trip: it
// doubles while acks come quickly, and is halved when events queue up.
type window struct {
	most  int   // maximum of events
	limit int64 // maximum of bytes
	bytes int64 // bytes in flight

	trip    time.Duration // smoothed round trip
	fastest time.Duration // shortest round trip
	round   uint64        // number of the event whose ack ends the current round
}

func newWindow(o link.Options, trip time.Duration) window {
	return window{most: o.Window, limit: link.FirstRoom, trip: trip}
}

// full reports whether an event of that size must wait. A single event never waits.
func (w *window) full(events int, size int64) bool {
	return events >= w.most || events > 0 && w.bytes+size > w.limit
}

// roomy reports whether a quarter of the window is free. Waiting publishers are woken only
// then, so that they send in batches.
func (w *window) roomy(events int) bool {
	return events <= w.most*3/4 && w.bytes <= w.limit*3/4
}

// answered adapts the window to the round trip of an event that was sent once. next is the
// number of the next event.
func (w *window) answered(number, next uint64, took time.Duration) {
	w.trip += (took - w.trip) / 8
	if w.fastest == 0 || took < w.fastest {
		w.fastest = took
	}
	if number < w.round {
		return
	}
	w.round = next
	if took > 2*w.fastest+queueing {
		w.limit = max(w.limit/2, link.LeastRoom)
	} else {
		w.limit = min(w.limit*2, link.MostRoom)
	}
}

// patience returns how long to wait for an answer before the next attempt: at most the
// time-out, and long enough for the events in flight to arrive.
func (w *window) patience(timeout time.Duration) time.Duration {
	least := min(timeout/2, link.AnswerPatience)
	if w.round == 0 { // no ack yet
		sending := time.Duration(w.bytes) * time.Second / slowest
		least = max(least, min(sending, timeout/2))
	}
	return max(least, min(4*w.trip, timeout))
}
