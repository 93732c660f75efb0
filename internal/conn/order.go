package conn

import (
	"fmt"
	"strings"

	"nats-test/internal/conn/broker"
)

// An order finds events that are stored behind later ones, by the sequences
// that they were acked with. A stream with several replicas may take what is in
// flight behind an event that its leader lost, when another takes the lead.
type order struct {
	streams map[string][]stored // the latest events in each, sequences ascending
	behind  int                 // events stored behind a later one
	first   []string            // some of them, in words
}

// stored is where an event is stored.
type stored struct {
	event    int
	sequence uint64
}

const (
	// inFlightMost is more than any session has in flight: an event that was
	// acked before another was sent is stored before it.
	inFlightMost = 1 << 14
	// mostNamed bounds how many events are named.
	mostNamed = 3
)

// stored takes the receipt of an event, in the order of publishing. One that
// was stored by an earlier publish has its place from there.
func (o *order) stored(event int, r broker.Receipt) {
	if r.Sequence == 0 || r.Duplicate {
		return
	}
	if o.streams == nil {
		o.streams = make(map[string][]stored)
	}
	before := o.streams[r.Stream]
	for n := len(before) - 1; n >= 0 && before[n].sequence > r.Sequence; n-- {
		if o.behind++; len(o.first) < mostNamed {
			o.first = append(o.first, fmt.Sprintf("event %d as #%d, behind event %d, #%d", before[n].event, before[n].sequence, event, r.Sequence))
		}
		before = before[:n]
	}
	if len(before) == 2*inFlightMost {
		before = before[:copy(before, before[inFlightMost:])]
	}
	o.streams[r.Stream] = append(before, stored{event, r.Sequence})
}

// err returns an error that wraps [broker.ErrOrder] if an event is behind a later one.
func (o *order) err() error {
	if o.behind == 0 {
		return nil
	}
	text := strings.Join(o.first, "; ")
	if o.behind > len(o.first) {
		text += "; …"
	}
	return broker.Because(broker.ErrOrder, fmt.Errorf("%d of the events that were acked: %s", o.behind, text))
}
