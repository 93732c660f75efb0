package conn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	"nats-test/internal/conn/broker"
)

// A position is what a listener remembers of one subject between two sessions.
type position struct {
	sequence uint64 // newest event that came, 0 for none
	time     time.Time
	joinedAt time.Time // when the first subscription began
	first    uint64    // for StartNew: the sequence with which it began, where that is known
	origin   broker.Origin
	handled  handledSet
	earlier  broker.Earlier
	size     int           // of an event in bytes, the average of the latest
	limit    atomic.Int64  // of unacked events in this session
	ackWait  time.Duration // the consumer's, where there is one
	from     uint64        // the first event wanted in this session
	afresh   bool          // the broker has other events now, and none was asked for yet

	// For UntilEnd.
	end     uint64 // the newest event at the start, 0 for none, or where that is not known
	endTold bool   // it is known
	passed  bool   // an event came that is the end, or behind it
	reached bool   // everything up to the end was handled, or is gone
	whole   run

	left map[uint64]bool // left unacked in this session

	// Guarded by mu of tasks, where there are any, as handled is then.
	tasks   map[handledEvent]*Task // open, or with an outcome that is still to be sent
	running int                    // open
	retryAt time.Time              // when the last that was given back comes again

	givenUp atomic.Uint64 // events that the broker gave up, since the listener began
}

// A run is the events that were handled by one listener without a gap.
type run struct {
	first uint64 // the oldest of them, 0 for none
	last  uint64 // the newest of them, or the one before the first that is wanted
	gone  uint64 // events between the two that were removed by the broker
	ahead []span // those behind a gap: in order, with a gap before each
}

// A span is events without a gap, with the first and the last.
type span struct{ first, last uint64 }

// add notes an event. Behind so many gaps as a group's other members may leave, it
// remembers none; a longer run is not told then.
func (r *run) add(sequence uint64) {
	const most = 1 << 16
	if sequence <= r.last {
		return
	}
	if sequence == r.last+1 {
		r.begin(sequence + 1)
		r.first = cmp.Or(r.first, sequence)
		return
	}
	i := sort.Search(len(r.ahead), func(i int) bool { return sequence <= r.ahead[i].last+1 })
	switch {
	case i == len(r.ahead) || sequence+1 < r.ahead[i].first:
		if len(r.ahead) < most {
			r.ahead = slices.Insert(r.ahead, i, span{sequence, sequence})
		}
	case sequence < r.ahead[i].first:
		r.ahead[i].first = sequence
	case sequence > r.ahead[i].last:
		r.ahead[i].last = sequence
		if i+1 < len(r.ahead) && r.ahead[i+1].first == sequence+1 {
			r.ahead[i].last = r.ahead[i+1].last
			r.ahead = slices.Delete(r.ahead, i+1, i+2)
		}
	}
}

// begin notes that no event before sequence is wanted any more.
func (r *run) begin(sequence uint64) {
	if sequence <= r.last {
		return
	}
	r.last = sequence - 1
	n := 0
	for ; n < len(r.ahead) && r.ahead[n].first <= sequence; n++ {
		r.last = max(r.last, r.ahead[n].last)
		r.first = cmp.Or(r.first, r.ahead[n].first)
	}
	r.ahead = slices.Delete(r.ahead, 0, n)
}

// skip notes that the events before sequence are gone, if it was handled itself.
func (r *run) skip(sequence uint64) {
	i := sort.Search(len(r.ahead), func(i int) bool { return sequence <= r.ahead[i].last })
	if i < len(r.ahead) && sequence >= r.ahead[i].first {
		r.gone = r.lacks(r.ahead[i].first)
		r.first = cmp.Or(r.first, r.ahead[0].first)
		r.last = r.ahead[i].last
		r.ahead = slices.Delete(r.ahead, 0, i+1)
	}
}

// lacks counts the events up to last that were not handled, from the first that was.
func (r *run) lacks(last uint64) uint64 {
	n, from, begun := r.gone, r.last+1, r.first > 0
	for _, s := range r.ahead {
		if s.first > last {
			break
		}
		if begun {
			n += s.first - from
		}
		from, begun = s.last+1, true
	}
	if begun && last >= from {
		n += last - from + 1
	}
	return n
}

// start returns where a new session continues. A durable keeps its position
// at the broker. Others continue after the newest event that came, but for
// groups, whose events went to several members. The error wraps
// [broker.ErrUnfinished] if the broker has lost the end that the listener was to come to.
func (s *attempt) start(ctx context.Context, session broker.Session, subject string, p *position) (broker.Start, error) {
	if p.joinedAt.IsZero() {
		return s.firstStart(ctx, session, subject, p)
	}
	asked, before, seen := s.Subscription.Start, p.origin, max(p.sequence, p.end)
	var newest broker.Mark
	denied := false
	if before.Stream != "" || seen > 0 {
		var err error
		newest, err = session.Newest(ctx, subject)
		denied = before.Stream == "" && errors.Is(err, broker.ErrAuth) // what can't be asked is not taken for a loss
		if err != nil && !denied {
			return broker.Start{}, err
		}
		p.origin = newest.Origin
	}
	if before.Stream != "" && before.Stream != newest.Stream {
		s.options.Notify(fmt.Sprintf("%s is stored by the stream %s now, and no longer by %s: starting at its first event there", subject, newest.Stream, before.Stream) + s.void(p))
		p.sequence, p.end, p.endTold, p.earlier = 0, 0, false, broker.Earlier{}
		p.first, p.afresh = min(p.first, 1), true
		return broker.Start{Kind: broker.StartAll}, nil
	}
	anew := false
	if !denied {
		var err error
		if anew, err = s.beganAnew(ctx, session, subject, p, before, newest); err != nil {
			return broker.Start{}, err
		}
	}
	if anew {
		forgotten := fmt.Sprintf("%s began anew meanwhile: the broker has forgotten its events up to #%d at least",
			subject, max(p.sequence, p.end, max(p.first, 1)-1))
		if s.Subscription.Durable != "" {
			forgotten += ", and the position of the durable " + s.Subscription.Durable
		}
		if s.UntilEnd && !p.reached {
			return broker.Start{}, broker.Because(broker.ErrUnfinished, fmt.Errorf("%s; #%d was the newest that came here", forgotten, p.sequence))
		}
		s.options.Notify(forgotten + "; starting at its first event" + s.void(p))
		p.sequence, p.whole, p.earlier = 0, run{}, broker.Earlier{}
		p.first, p.afresh = min(p.first, 1), true
		return broker.Start{Kind: broker.StartAll}, nil
	}
	switch {
	case p.afresh && p.sequence == 0:
		return broker.Start{Kind: broker.StartAll}, nil
	case s.Subscription.Durable != "" && asked.Kind == broker.StartNew && s.traits.PlacesNew:
		return p.sinceJoined(), nil // for a consumer that was deleted
	case s.Subscription.Durable != "":
		return asked, nil
	case asked.Kind == broker.StartNew && (p.sequence == 0 || s.Subscription.Group != ""):
		return p.sinceJoined(), nil
	case s.Subscription.Group != "":
		s.options.Notify("a group without a durable keeps no position: if this was its only member, it starts over")
		return asked, nil
	case p.sequence == 0:
		return asked, nil
	}
	if most := p.handled.size / 2; s.UntilEnd && !s.traits.Gapless && p.sequence-p.whole.last < most {
		return broker.Start{Kind: broker.StartSequence, Sequence: p.whole.last + 1}, nil // some may be missing between; copies are known
	}
	return broker.Start{Kind: broker.StartSequence, Sequence: p.sequence + 1}, nil
}

// void gives up the tasks of a subject whose events the broker has lost, and
// returns what to say of them.
func (s *attempt) void(p *position) string {
	if s.tasks == nil {
		return ""
	}
	if n := s.tasks.forget(p); n > 0 {
		return fmt.Sprintf("; %s in hand can't be acked any more", events(uint64(n)))
	}
	return ""
}

// sinceJoined is the first event after the first join: by its sequence where
// that is known, since the clocks of client and broker differ.
func (p *position) sinceJoined() broker.Start {
	if p.first > 0 {
		return broker.Start{Kind: broker.StartSequence, Sequence: p.first}
	}
	return broker.Start{Kind: broker.StartTime, Time: p.joinedAt}
}

// firstStart returns where the first session begins, and notes the end that the
// listener is to come to.
func (s *attempt) firstStart(ctx context.Context, session broker.Session, subject string, p *position) (broker.Start, error) {
	asked := s.Subscription.Start
	placed := s.traits.PlacesNew || asked.Kind != broker.StartNew || s.Subscription.Durable != ""
	if placed && !s.UntilEnd {
		return asked, nil
	}
	newest, err := session.Newest(ctx, subject)
	if err != nil {
		return broker.Start{}, err
	}
	if s.UntilEnd {
		p.end, p.endTold = newest.Sequence, newest.Told()
	}
	if placed {
		return asked, nil
	}
	if p.first == 0 { // else since the first attempt to join
		p.first = newest.Sequence + 1
	}
	return p.sinceJoined(), nil
}

// beganAnew reports whether the broker has lost what it had stored of subject
// since this listener saw it, as NATS Streaming does that keeps events in memory
// and is restarted. What can't be asked is not taken for a loss.
func (s *attempt) beganAnew(ctx context.Context, session broker.Session, subject string, p *position, before broker.Origin, newest broker.Mark) (bool, error) {
	seen := max(p.sequence, p.end)
	if seen == 0 && (p.first == 0 || s.UntilEnd) { // nothing depends on it
		return false, nil
	}
	if !before.Since.IsZero() && !newest.Since.IsZero() {
		// Of a stream in memory whose server was restarted, the time is the same.
		return !before.Since.Equal(newest.Since) || newest.Sequence > 0 && newest.Sequence < seen, nil
	}
	if seen == 0 {
		return false, nil
	}
	var err error
	if !newest.Told() || newest.Sequence > 0 && newest.Time.IsZero() {
		newest, err = session.Find(ctx, subject, 0)
	}
	switch {
	case errors.Is(err, broker.ErrAuth):
		return false, nil
	case err != nil:
		return false, err
	case newest.Sequence < seen:
		return true, nil
	case p.sequence == 0:
		return false, nil
	case newest.Sequence > p.sequence: // others may have been stored since
		if newest, err = session.Find(ctx, subject, p.sequence); err != nil {
			return false, err
		}
	}
	return newest.Sequence == p.sequence && !newest.Time.Equal(p.time), nil
}

// handledSet remembers the newest events of one subject that were handled, so
// that copies are recognised: a broker that sees no ack within the ack wait
// sends an event again although it is being handled, and one that was killed
// may have lost the ack. Events are known by sequence and time together, since
// a broker that lost its store begins at 1 again.
type handledSet struct {
	size   uint64
	events []handledEvent
}

type handledEvent struct {
	sequence uint64
	time     int64
}

// newHandledSet returns a set for a listener that holds up to inFlight events:
// with room for those that other members of its group hold, and for as many as
// a killed server was seen to lose the acks of, several times over. One that
// listens to several subjects shares the room among them (512 KiB in all, or
// 16 KiB for each of very many).
func newHandledSet(inFlight, subjects int) handledSet {
	const fewest = 1 << 10
	return handledSet{size: uint64(max(max(1<<15, 4*inFlight)/max(subjects, 1), fewest))}
}

func (h *handledSet) add(sequence uint64, at time.Time) {
	if h.events == nil { // most of very many subjects get none
		h.events = make([]handledEvent, h.size)
	}
	h.events[sequence%h.size] = handledEvent{sequence, at.UnixNano()}
}

func (h *handledSet) has(sequence uint64, at time.Time) bool {
	return h.events != nil && h.events[sequence%h.size] == handledEvent{sequence, at.UnixNano()}
}
