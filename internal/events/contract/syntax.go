package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// A syntaxProblem is a [json.SyntaxError] in plain words.
type syntaxProblem struct {
	text string
	err  *json.SyntaxError
}

func (p *syntaxProblem) Error() string { return p.text }

func (p *syntaxProblem) Unwrap() error { return p.err }

// syntaxWords maps the contexts in errors of encoding/json, such as "invalid
// character 'x' looking for beginning of value", to plain sentences about the
// character. The first match counts.
var syntaxWords = []struct{ context, sentence string }{
	{"looking for beginning of value", "expected a value, found %s"},
	{"looking for beginning of object key string", "expected a name in double quotes, found %s"},
	{"after object key:value pair", `expected "," or "}", found %s`},
	{"after object key", `expected ":", found %s`},
	{"after array element", `expected "," or "]", found %s`},
	{"after top-level value", "%s follows the value"},
	{"in string literal", "a string can't hold %s unless it is escaped"},
	{"in string escape code", `expected an escape such as \n, found %s after \`},
	{`in \u hexadecimal character escape`, "expected four hexadecimal digits, found %s"},
	{"after decimal point in numeric literal", "expected a digit after the decimal point, found %s"},
	{"in exponent of numeric literal", "expected an exponent, found %s"},
	{"in numeric literal", "expected a number, found %s in it"},
	{"in literal ", "expected true, false or null, found %s in it"},
	{"exceeded max depth", "nested too deeply"},
}

// PlainSyntax returns what is wrong in plain words, or the error's own text if it
// is none of those known.
func PlainSyntax(err *json.SyntaxError) string {
	text := strings.TrimPrefix(err.Error(), "invalid character ")
	for _, w := range syntaxWords {
		character, _, found := strings.Cut(text, " "+w.context)
		switch {
		case found && strings.Contains(w.sentence, "%s"):
			return fmt.Sprintf(w.sentence, character)
		case found:
			return w.sentence
		}
	}
	return err.Error()
}

// position names the byte at offset, counted from 1: "at byte 12", or, in text of
// several lines, "line 3, byte 4".
func position(data []byte, offset int) string {
	before := data[:min(max(offset-1, 0), len(data))]
	if !bytes.Contains(bytes.TrimRight(data, "\r\n"), []byte("\n")) {
		return fmt.Sprintf("at byte %d", offset)
	}
	return fmt.Sprintf("line %d, byte %d", LineAt(data, offset-1), offset-1-bytes.LastIndexByte(before, '\n'))
}
