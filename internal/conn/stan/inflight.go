package stan

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/stan.go"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
)

const (
	// never is a time-out that stan.go counts from the hand-over of each event;
	// flight has one of its own.
	never = 24 * time.Hour

	// The events in flight may be as many bytes as are acked in roomTime, and in
	// twice the delay of the link, so that more can be tried: over a slow one,
	// answers to the server's heartbeats, which it may miss after 1 s, would wait
	// too long behind more.
	roomTime = time.Second / 2
)

// A flight is the events that were handed to NATS Streaming and not
// answered: a window of a number of them, and of bytes. When nothing was answered
// for the time-out, all of them are in doubt.
type flight struct {
	link     *link.Link
	watching sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond // there is room
	events   []*handed  // the oldest first; nil before the first
	count    int        // of those not answered
	bytes    int64
	failed   bool          // an event was refused or given up: none is sent any more
	begun    bool          // the watch
	moved    time.Time     // when an event was answered, or the first handed over
	room     int64         // for bytes
	acked    int64         // bytes since room was measured
	measured time.Time     // when; later by the time in which nothing was in flight
	delay    time.Duration // of the fastest answer
}

// A handed event was handed over.
type handed struct {
	size int64
	done func(broker.Receipt, error)
	sent time.Time
	over bool // answered, or given up
}

func (f *flight) begin(l *link.Link) {
	f.link, f.room, f.delay = l, link.FirstRoom, never
	f.moved = time.Now()
	f.measured = f.moved
	f.changed = sync.NewCond(&f.mu)
}

// send waits for room, and hands an event over by put. As in
// [broker.Session.Publish], done is called unless send returns an error.
func (f *flight) send(size int64, done func(broker.Receipt, error), put func(answered func(string, error)) error) error {
	f.mu.Lock()
	for f.count > 0 && (f.failed || f.count >= f.link.Options.Window || f.bytes+size > f.room) {
		f.changed.Wait()
	}
	if f.failed { // nothing is sent behind what failed, and all know by now why
		f.mu.Unlock()
		return errFailed
	}
	now := time.Now()
	if f.count == 0 {
		f.measured = f.measured.Add(now.Sub(f.moved)) // idleness says nothing of the link
		f.moved = now
	}
	if !f.begun {
		f.begun = true
		f.watching.Go(f.watch)
	}
	e := &handed{size: size, done: done, sent: now}
	f.events = append(f.events, e)
	f.count++
	f.bytes += size
	f.mu.Unlock()

	err := put(func(id string, err error) { f.answered(e, id, err) })
	if err == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.over { // given up meanwhile: done was called
		return nil
	}
	f.end(e)
	return err
}

// errFailed: nothing was sent, since an event before it failed.
var errFailed = broker.Because(broker.ErrLost, errors.New("an event before it was not stored"))

// settle waits until all that was handed over was answered.
func (f *flight) settle() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.count > 0 {
		f.changed.Wait()
	}
	if f.failed {
		return errFailed
	}
	return nil
}

func (f *flight) answered(e *handed, id string, err error) {
	defer fault.Exit()
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.over {
		return
	}
	f.failed = f.failed || err != nil
	e.done(broker.Receipt{ID: id}, explainAck(err))
	f.end(e)
	f.moved = time.Now()
	f.acked += e.size
	f.delay = min(f.delay, f.moved.Sub(e.sent))
	if took := f.moved.Sub(f.measured); took >= max(roomTime/10, f.delay) {
		f.room = min(max(int64(float64(f.acked)*float64(roomTime+2*f.delay)/float64(took)), link.LeastRoom), link.MostRoom)
		f.measured, f.acked = f.moved, 0
	}
}

// end takes an event out of the flight. mu is held.
func (f *flight) end(e *handed) {
	e.over = true
	f.count--
	f.bytes -= e.size
	for len(f.events) > 0 && f.events[0].over {
		f.events[0] = nil
		f.events = f.events[1:]
	}
	if f.count <= f.link.Options.Window*3/4 && f.bytes <= f.room*3/4 || f.count == 0 { // many at a time go out together
		f.changed.Broadcast()
	}
}

// watch gives up what is in flight when nothing is answered any more, or the
// session is lost.
func (f *flight) watch() {
	defer fault.Exit()
	timeout := f.link.Options.Timeout
	tick := time.NewTicker(max(timeout/20, time.Millisecond))
	defer tick.Stop()
	lost := f.link.Lost()
	for {
		select {
		case <-lost:
			f.giveUp(0, f.link.Err())
			lost = nil // said once
		case <-f.link.Ctx.Done():
			f.giveUp(0, stan.ErrConnectionClosed)
			return
		case <-tick.C:
		}
		f.giveUp(timeout, fmt.Errorf("nothing was acked for %v", timeout))
	}
}

// giveUp ends the wait for all events if nothing moved for so long: no answer
// came, and the system took nothing for the server.
func (f *flight) giveUp(silence time.Duration, reason error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wrote := f.link.Wrote()
	if time.Since(f.moved) < silence || wrote != nil && time.Since(*wrote) < silence {
		return
	}
	f.failed = f.failed || len(f.events) > 0
	for len(f.events) > 0 {
		e := f.events[0] // those that are over were taken out
		e.done(broker.Receipt{}, broker.Because(broker.ErrNotAcked, reason))
		f.end(e)
	}
}
