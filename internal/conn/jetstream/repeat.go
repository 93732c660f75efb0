package jetstream

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/conn/link"
)

// mend has tend send again what failed. mu is held.
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

// moved is when something was answered last, or left a connection that is slow.
func (f *flight) moved() time.Time {
	if wrote := f.s.Wrote(); wrote != nil {
		return later(f.heard, *wrote)
	}
	return f.heard
}

// expire ends the wait for the oldest event, if nothing came for too long; for
// all, when nothing more is sent. mu is held.
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

// silence is how long nothing came that could have been the answer to an event,
// or shows that it is on its way: events are answered in order, mostly.
func (f *flight) silence(i int) time.Duration {
	since := f.events[i].sent
	if overtaken := i+1 < len(f.events) && f.events[i+1].ack != nil; !overtaken {
		since = later(since, f.moved())
	}
	return time.Since(since)
}

// limit is how long the answer to an event is waited for. One that can't be
// repeated may still come until its time is over.
func (f *flight) limit(out *outgoing) time.Duration {
	if f.terms != nil && time.Since(out.born) >= f.terms.repeats {
		return max(f.s.Options.Timeout, f.patience())
	}
	return f.patience()
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
		if f.s.Broken.Swap(false) && f.terms != nil && !f.learning { // they may have been changed meanwhile
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

// repeatOthers sends all again that were not answered, up to one that can't be
// sent again safely. mu is held.
func (f *flight) repeatOthers() {
	for _, out := range f.events {
		if f.failed || f.stopped != nil { // by the put before, which may have ended others
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
		out.begun = time.Now() // its turn has come
		f.put(out)
	}
}

// repeatOne sends an event until it is answered, or its time is over. mu is
// held, but while it waits.
func (f *flight) repeatOne(out *outgoing) {
	pace := link.NewBackoff()
	pace.InitialInterval /= 10
	pace.MaxInterval /= 10
	out.doubt = out.doubt || out.err == nil // the connection broke since it was sent
	begun := out.begun
	for repeats := 0; ; {
		if f.advance(); f.stopped != nil || out.ack != nil {
			return
		}
		if repeats < 2 { // what further ones take to leave is no progress
			begun = later(begun, f.moved())
		}
		switch {
		case out.doubt && f.learning: // which takes no longer than the time-out
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

// giveUp ends the attempts for an event. An answer that comes all the same is
// too late: it was said that there is none. mu is held.
func (f *flight) giveUp(out *outgoing) {
	if out.older != nil { // it is stored, if not twice
		f.acked(out, out.older, 0)
		return
	}
	out.err, out.lost = cmp.Or(out.err, errLate), true
	f.stop(f.explain(out))
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
	// queueing is how long an event may wait for those before it on a slow
	// network, beyond the time that an answer takes anyway.
	queueing = time.Second

	// slowest is the speed of a network, in bytes per second, below which
	// events are repeated that may still be on their way.
	slowest = 128 << 10
)

// A window bounds the events in flight. How many bytes they may have follows
// from how long answers take: more while these come at once, fewer when events
// wait for each other.
type window struct {
	most  int   // events
	limit int64 // bytes
	bytes int64 // in flight

	trip    time.Duration // how long answers take, smoothed
	fastest time.Duration // the shortest time that one took
	round   uint64        // the event whose answer ends the present round trip
}

func newWindow(o link.Options, trip time.Duration) window {
	return window{most: o.Window, limit: link.FirstRoom, trip: trip}
}

// full reports whether an event of size must wait, when there are others.
func (w *window) full(events int, size int64) bool {
	return events >= w.most || events > 0 && w.bytes+size > w.limit
}

// roomy reports whether many more have room: they go out together.
func (w *window) roomy(events int) bool {
	return events <= w.most*3/4 && w.bytes <= w.limit*3/4
}

// answered takes how long the answer to an event took that was sent once. next
// is the number of the next event.
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

// patience is how long the answer to an attempt may take before another: never
// longer than the time-out, and long enough for what is in flight to arrive.
func (w *window) patience(timeout time.Duration) time.Duration {
	least := min(timeout/2, link.AnswerPatience)
	if w.round == 0 { // nothing was answered yet
		sending := time.Duration(w.bytes) * time.Second / slowest
		least = max(least, min(sending, timeout/2))
	}
	return max(least, min(4*w.trip, timeout))
}
