package jetstream

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
