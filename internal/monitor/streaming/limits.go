package streaming

import "strings"

// filterLimits holds the limits of channels as a tree of the filters' tokens, so that a
// channel need not be compared with each filter.
type filterLimits struct {
	own  *channelLimits // limits of the filter that ends here
	rest *channelLimits // limits of the filter that continues with ">"
	next map[string]*filterLimits
}

func newFilterLimits(perChannel map[string]channelLimits) *filterLimits {
	root := &filterLimits{}
	for filter, own := range perChannel {
		root.add(filter, own)
	}
	return root
}

func (f *filterLimits) add(filter string, own channelLimits) {
	for token := range strings.SplitSeq(filter, ".") {
		if token == ">" {
			f.rest = &own
			return
		}
		next := f.next[token]
		if next == nil {
			next = &filterLimits{}
			if f.next == nil {
				f.next = make(map[string]*filterLimits)
			}
			f.next[token] = next
		}
		f = next
	}
	f.own = &own
}

// exact is the weight of a token other than "*" when filters are compared by how narrow they
// are. It exceeds the number of tokens of any name.
const exact = 10_000

// A narrowest is the search for the narrowest filter that covers a name.
type narrowest struct {
	limits *channelLimits
	width  int64
}

// look searches below f. width is the weight of the tokens before name.
func (n *narrowest) look(f *filterLimits, name string, left int, width int64) {
	if width+int64(left)*exact <= n.width { // not even exact tokens would make it narrower
		return
	}
	if left == 0 {
		if f.own != nil {
			n.limits, n.width = f.own, width
		}
		return
	}
	token, name, _ := strings.Cut(name, ".")
	if next := f.next[token]; next != nil && token != "*" {
		n.look(next, name, left-1, width+exact)
	}
	if next := f.next["*"]; next != nil {
		n.look(next, name, left-1, width+1)
	}
	if f.rest != nil && width > n.width {
		n.limits, n.width = f.rest, width
	}
}

// limits returns the limits of a channel: those of the narrowest filter that covers it. The
// server reports them with inherited values filled in (nats-streaming-server,
// StoreLimits.Build). 0 means none.
func (z *storez) limits(filters *filterLimits, channel string) channelLimits {
	n := narrowest{&z.Limits.channelLimits, -1}
	n.look(filters, channel, 1+strings.Count(channel, "."), 0)
	return channelLimits{max(0, n.limits.MaxMsgs), max(0, n.limits.MaxBytes)}
}
