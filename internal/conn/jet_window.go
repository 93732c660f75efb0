package conn

import (
	"time"

	"nats-test/internal/conn/link"
)

const (
	// roomBytes bounds the data in flight, which is kept until it is acked, so
	// that it can be sent again.
	roomBytes = 32 << 20
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
	return window{most: o.Window, limit: firstRoom, trip: trip}
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
		w.limit = max(w.limit/2, leastRoom)
	} else {
		w.limit = min(w.limit*2, roomBytes)
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
