package console

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// JSON keeps its meaning when escaped for a terminal, and only invisible characters
// are escaped.
func TestPrintable(t *testing.T) {
	t.Parallel()
	hidden := "\a\x7f\u0085\u009b\u061c\u200b\u200d\u202e\u2028\ufeff\u3164\U000e0041"
	text := `{"` + hidden[2:] + `":1,"b":"` + hidden[2:] + `"}`
	var before, after map[string]any
	if err := json.Unmarshal([]byte(text), &before); err != nil {
		t.Fatal(err)
	}
	escaped := Printable(text)
	if err := json.Unmarshal([]byte(escaped), &after); err != nil {
		t.Fatalf("%v: %s", err, escaped)
	}
	if len(after) != 2 || after["b"] != before["b"] || after[hidden[2:]] == nil {
		t.Errorf("%q became %q", before, after)
	}
	for _, r := range hidden {
		if got := Printable(string(r)); got[0] != '\\' {
			t.Errorf("%q is not escaped: %q", r, got)
		}
	}
	for _, seen := range []string{"", "plain", "Zürich", "東京\u3000都", "e\u0301", "❤\ufe0f", "\u00a0"} {
		if got := Printable(seen); got != seen {
			t.Errorf("%q became %q", seen, got)
		}
	}
	if got := Printable("a\xffb"); got != `a\xffb` {
		t.Errorf("not UTF-8: %q", got)
	}
}

// Printable text is unchanged; everything else is escaped.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"plain", "\x1b]0;x\x07", "\u202e", "\u009b", "\xff", "日本 🎫", "a\u2028b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		if strings.ContainsFunc(got, unprintable) || !utf8.ValidString(got) {
			t.Fatalf("%q gets through as %q", s, got)
		}
		if utf8.ValidString(s) && !strings.ContainsFunc(s, unprintable) && got != s {
			t.Fatalf("%q became %q", s, got)
		}
	})
}
