package streaming

import "strings"

// filterLimits are the limits of channels, by filter: a tree of the filters'
// tokens, so that a channel is not compared with each of them.
type filterLimits struct {
	own  *channelLimits // of the filter that ends here
	rest *channelLimits // of the one that goes on with ">"
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

// exact is what a token counts for that is no "*", in measuring how narrow a
// filter is. No name has as many tokens.
const exact = 10_000

// A narrowest is the search for the narrowest filter that covers a name.
type narrowest struct {
	limits *channelLimits
	width  int64
}

// look searches below f, which is as wide as the tokens before name make it.
func (n *narrowest) look(f *filterLimits, name string, left int, width int64) {
	if width+int64(left)*exact <= n.width { // not even exact tokens make it narrower
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

// limits returns what holds for a channel: the limits of the narrowest name that
// covers it. The server has put into them already what they inherit
// (nats-streaming-server, StoreLimits.Build); 0 is none.
func (z *storez) limits(filters *filterLimits, channel string) channelLimits {
	n := narrowest{&z.Limits.channelLimits, -1}
	n.look(filters, channel, 1+strings.Count(channel, "."), 0)
	return channelLimits{max(0, n.limits.MaxMsgs), max(0, n.limits.MaxBytes)}
}
