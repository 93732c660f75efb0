package conn

import "time"

// handledSet remembers the newest events of one subject that were handled, so
// that copies are recognised: a broker that sees no ack within the ack wait
// sends an event again although it is being handled, and one that was killed
// may have lost the ack. Events are known by sequence and time together, since
// a broker that lost its store begins at 1 again.
type handledSet []handledEvent

type handledEvent struct {
	sequence uint64
	time     int64
}

// newHandledSet returns a set for a listener that holds up to inFlight events:
// with room for those that other members of its group hold, and for as many as
// a killed server was seen to lose the acks of, several times over (512 KiB).
func newHandledSet(inFlight int) handledSet { return make(handledSet, max(1<<15, 4*inFlight)) }

func (h handledSet) add(sequence uint64, at time.Time) {
	h[sequence%uint64(len(h))] = handledEvent{sequence, at.UnixNano()}
}

func (h handledSet) has(sequence uint64, at time.Time) bool {
	return h[sequence%uint64(len(h))] == handledEvent{sequence, at.UnixNano()}
}
