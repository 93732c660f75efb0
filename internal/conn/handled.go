package conn

import "time"

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
