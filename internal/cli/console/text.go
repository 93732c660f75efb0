package console

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Printable escapes characters that move the cursor, hide text or end the line:
// control characters, invalid UTF-8, and invisible marks such as those that change
// the direction of text. JSON keeps its meaning.
func Printable(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unprintable(r):
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

func unprintable(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}

// Plural returns noun, which must be regular, for n things.
func Plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// Clipped limits the length of a server's text.
func Clipped(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Pad appends spaces to s up to width.
func Pad(s string, width int) string { return s + strings.Repeat(" ", max(0, width-len(s))) }

// Wrap breaks text into lines of at most columns columns, if possible between
// words; 0 or less is no limit.
func Wrap(text string, columns int) []string {
	if columns <= 0 {
		return []string{text}
	}
	return strings.Split(ansi.Wrap(text, columns, ""), "\n")
}
