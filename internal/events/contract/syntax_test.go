package contract

import (
	"strings"
	"testing"
)

// No error of encoding/json reaches a user in the library's words.
func TestSyntaxProblem(t *testing.T) {
	for data, want := range map[string]string{
		"":                          "it is empty",
		`{"a":`:                     "it ends in the middle of a value",
		"x":                         "expected a value, found 'x' (at byte 1)",
		`{a:1}`:                     "expected a name in double quotes, found 'a' (at byte 2)",
		"{\n \"a\" 1}":              `expected ":", found '1' (line 2, byte 6)`,
		`{"a":1 "b":2}`:             `expected "," or "}", found '"' (at byte 8)`,
		`[1 2]`:                     `expected "," or "]", found '2' (at byte 4)`,
		"\"a\tb\"":                  `a string can't hold '\t' unless it is escaped (at byte 3)`,
		`"\x"`:                      `expected an escape such as \n, found 'x' after \ (at byte 3)`,
		`"\u00g0"`:                  "expected four hexadecimal digits, found 'g' (at byte 6)",
		`-a`:                        "expected a number, found 'a' in it (at byte 2)",
		`1.a`:                       "expected a digit after the decimal point, found 'a' (at byte 3)",
		`1ea`:                       "expected an exponent, found 'a' (at byte 3)",
		`tree`:                      "expected true, false or null, found 'e' in it (at byte 3)",
		"[“]":                       "a curly quote (“) stands where a plain \" belongs (at byte 2)",
		`{"a":1} 2`:                 "text follows the value",
		strings.Repeat("[", 20_000): "nested too deeply (at byte 10001)",
	} {
		if _, err := DecodeJSON([]byte(data)); err == nil || err.Error() != "not JSON: "+want {
			t.Errorf("%.40q: %v, want %s", data, err, want)
		}
	}
}
