package conn

// handledSet remembers the newest sequences of one subscription that were
// handled, a bit each, so that copies are recognised: a broker that sees no ack
// within the ack wait sends an event again although it is being handled, and
// the copies wait in the client's queue.
type handledSet struct {
	bits    []uint64
	highest uint64
}

const handledWindow = 1 << 20 // sequences remembered, 128 KiB

func (h *handledSet) add(sequence uint64) {
	if h.bits == nil {
		h.bits = make([]uint64, handledWindow/64)
	}
	switch {
	case sequence >= h.highest+handledWindow:
		clear(h.bits)
		h.highest = sequence
	case sequence > h.highest:
		for h.highest < sequence {
			h.highest++
			h.bits[h.highest%handledWindow/64] &^= 1 << (h.highest % 64)
		}
	case sequence+handledWindow <= h.highest:
		return // too old to be remembered
	}
	h.bits[sequence%handledWindow/64] |= 1 << (sequence % 64)
}

func (h *handledSet) has(sequence uint64) bool {
	if h.bits == nil || sequence > h.highest || sequence+handledWindow <= h.highest {
		return false
	}
	return h.bits[sequence%handledWindow/64]&(1<<(sequence%64)) != 0
}
