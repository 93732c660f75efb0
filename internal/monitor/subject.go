package monitor

import "strings"

// covers reports whether a subject filter of NATS, in which * stands for one
// token and > for all that follow, matches what a subject or filter matches.
func covers(filter, subject string) bool {
	f, s := strings.Split(filter, "."), strings.Split(subject, ".")
	for i, token := range f {
		switch {
		case token == ">":
			return len(s) > i
		case i >= len(s), token != s[i] && (token != "*" || s[i] == ">"):
			return false
		}
	}
	return len(f) == len(s)
}

// limits returns what holds for a channel: the limits of the narrowest name that
// covers it. The server has put into them already what they inherit
// (nats-streaming-server, StoreLimits.Build); 0 is none.
func (z *storez) limits(channel string) channelLimits {
	result, width := z.Limits.channelLimits, -1
	for name, own := range z.Limits.PerChannel {
		if covers(name, channel) && narrow(name) > width {
			result, width = own, narrow(name)
		}
	}
	return channelLimits{max(0, result.MaxMsgs), max(0, result.MaxBytes)}
}

// narrow measures how much a filter fixes.
func narrow(filter string) (n int) {
	for token := range strings.SplitSeq(filter, ".") {
		switch token {
		case ">":
		case "*":
			n++
		default:
			n += 1000
		}
	}
	return n
}
