package jetstream

import "strings"

// covers reports whether a subject filter matches everything that a subject or filter
// matches. In both, * stands for one token and > for all that follow.
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
