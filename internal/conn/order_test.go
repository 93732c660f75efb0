package conn

import (
	"errors"
	"strings"
	"testing"

	"nats-test/internal/conn/broker"
)

func TestEventsBehindLaterOnesAreFound(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		receipts []broker.Receipt
		behind   int
		says     string
	}{
		"in order":              {[]broker.Receipt{{Sequence: 3}, {Sequence: 4}, {Sequence: 9}}, 0, ""},
		"one behind another":    {[]broker.Receipt{{Sequence: 1}, {Sequence: 3}, {Sequence: 2}}, 1, "event 2 as #3, behind event 3, #2"},
		"three behind one":      {[]broker.Receipt{{Sequence: 2}, {Sequence: 3}, {Sequence: 4}, {Sequence: 1}}, 3, "event 3 as #4"},
		"one behind many":       {[]broker.Receipt{{Sequence: 4}, {Sequence: 1}, {Sequence: 2}, {Sequence: 3}}, 1, "event 1 as #4, behind event 2, #1"},
		"many are counted":      {[]broker.Receipt{{Sequence: 9}, {Sequence: 8}, {Sequence: 7}, {Sequence: 6}, {Sequence: 5}}, 4, "; …"},
		"stored by an earlier":  {[]broker.Receipt{{Sequence: 8}, {Sequence: 2, Duplicate: true}, {Sequence: 9}}, 0, ""},
		"other streams":         {[]broker.Receipt{{Stream: "a", Sequence: 8}, {Stream: "b", Sequence: 2}, {Stream: "a", Sequence: 9}}, 0, ""},
		"a broker without them": {[]broker.Receipt{{}, {}, {}}, 0, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var o order
			for i, r := range test.receipts {
				o.stored(i+1, r)
			}
			err := o.err()
			if o.behind != test.behind || errors.Is(err, broker.ErrOrder) != (test.behind > 0) || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%d behind: %v", o.behind, err)
			}
		})
	}
}

func TestOrderOfManyTakesLittleMemory(t *testing.T) {
	t.Parallel()
	var o order
	for i := 1; i <= 10*inFlightMost; i++ {
		o.stored(i, broker.Receipt{Sequence: uint64(i)})
	}
	o.stored(10*inFlightMost+1, broker.Receipt{Sequence: 9*inFlightMost + 1})
	if kept := cap(o.streams[""]); o.behind != inFlightMost-1 || kept > 4*inFlightMost {
		t.Errorf("%d behind, room for %d", o.behind, kept)
	}
}
