package contract

import (
	"bytes"
	"unicode/utf8"
)

// NotPlain names a common cause of invalid JSON at byte at of data: another
// encoding, or the quotes of a word processor or of another language. It returns ""
// for other causes.
func NotPlain(data []byte, at int) string {
	switch {
	case bytes.HasPrefix(data, []byte("\ufeff")):
		return "it begins with a byte order mark (BOM): save it as UTF-8 without one"
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}),
		len(data) > 1 && (data[0] == 0) != (data[1] == 0):
		return "it is UTF-16: save it as UTF-8"
	case at < 0 || at >= len(data):
		return ""
	}
	switch r, _ := utf8.DecodeRune(data[at:]); r {
	case '“', '”', '„', '‟', '‘', '’', '‚', '«', '»', '″':
		return "a curly quote (" + string(r) + `) stands where a plain " belongs`
	case '\'':
		return `in JSON, names and strings stand in double quotes ("), not in single ones`
	case '\u00a0':
		return "a no-break space stands where a plain one belongs"
	}
	return ""
}
