package events

import (
	"strings"

	"nats-test/internal/events/contract"
)

// owners maps each name of a language's namespace to the place that uses it.
type owners map[string]string

// take reserves a name for a place of an event. If it is taken, it returns the
// owner.
func (o *owners) take(name string, e *exportEvent, at *contract.Place) (owner string, ok bool) {
	if owner, taken := (*o)[name]; taken {
		return owner, false
	}
	if *o == nil {
		*o = make(owners)
	}
	(*o)[name] = strings.TrimSpace(e.subject + " " + at.Pointer())
	return "", true
}

// take reserves a name in o, or notes an error of the export.
func (x *export) take(o *owners, name string, e *exportEvent, at *contract.Place) {
	if owner, ok := o.take(name, e, at); !ok {
		x.refuse(e, at, "needs the name %s, which %s already has", name, owner)
	}
}

// words splits a name into lower-case words: ticket:created and ticketCreated have
// the same two. Only ASCII letters count, since not every language of contracts
// allows others in names.
func words(name string) []string {
	var all []string
	start := 0 // of the word
	flush := func(end int) {
		if start < end {
			all = append(all, strings.ToLower(name[start:end]))
		}
		start = end
	}
	for i := range len(name) {
		switch c := name[i]; {
		case !isLetter(c) && !contract.IsDigit(c):
			flush(i)
			start = i + 1
		case isUpper(c) && i > start && (!isUpper(name[i-1]) || i+1 < len(name) && isLower(name[i+1])):
			flush(i)
		}
	}
	flush(len(name))
	return all
}

// topic returns the topic of a subject: the subject without its last part, if it
// has several.
func topic(subject string) string {
	if i := strings.LastIndexAny(subject, ":."); i > 0 {
		return subject[:i]
	}
	return subject
}

func pascal(words []string) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	return b.String()
}

func startsWithLetter(words []string) bool { return len(words) > 0 && isLetter(words[0][0]) }

// isIdentifier reports whether name consists of letters, digits and "_", and does
// not begin with a digit.
func isIdentifier(name string) bool {
	for i := range len(name) {
		if c := name[i]; !isLetter(c) && c != '_' && (i == 0 || !contract.IsDigit(c)) {
			return false
		}
	}
	return name != ""
}

func isUpper(c byte) bool  { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool  { return 'a' <= c && c <= 'z' }
func isLetter(c byte) bool { return isUpper(c) || isLower(c) }

// visible replaces control characters and all kinds of line breaks with spaces.
func visible(r rune) rune {
	if r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' {
		return ' '
	}
	return r
}
