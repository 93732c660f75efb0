package contract

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// DecodeJSON returns the single JSON value in data, with numbers as [json.Number].
func DecodeJSON(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not JSON: " + cmp.Or(NotPlain(data, -1), "the bytes are not UTF-8"))
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, SyntaxProblem(data, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not JSON: text follows the value")
	}
	return value, nil
}

// SyntaxProblem explains why data is not JSON, given the decoder's err. A
// [json.SyntaxError] stays in its chain.
func SyntaxProblem(data []byte, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("not JSON: it is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("not JSON: it ends in the middle of a value")
	case errors.As(err, &syntax):
		problem := cmp.Or(NotPlain(data, int(syntax.Offset)-1), PlainSyntax(syntax))
		return &syntaxProblem{"not JSON: " + problem + " (" + position(data, int(syntax.Offset)) + ")", syntax}
	}
	return fmt.Errorf("not JSON: %w", err)
}

// KindOf returns the JSON type of a decoded value.
func KindOf(value any) string {
	switch value.(type) {
	case map[string]any:
		return "object"
	case string:
		return "string"
	case json.Number:
		return "number"
	case []any:
		return "array"
	case bool:
		return "boolean"
	}
	return "null"
}

// ParseTime parses a date-time. It refuses forms that Go accepts and RFC 3339 does
// not: T3:04:05Z, a comma in seconds, and zones of 24 hours or more
// (https://go.dev/issue/54580).
func ParseTime(text string) (at time.Time, ok bool) {
	const hour = len("2006-01-02T15")
	text = strings.ToUpper(text)
	if len(text) <= hour || text[hour] != ':' || strings.Contains(text, ",") {
		return at, false
	}
	if zone := text[len(text)-len("07:00"):]; !strings.HasSuffix(text, "Z") && (zone > "23:59" || zone[3] > '5') {
		return at, false
	}
	err := at.UnmarshalText([]byte(text))
	return at, err == nil
}

// IsInteger reports whether a JSON number has no fraction: 1, 1.0 and 10e-1 have
// none. It only looks at the digits, since 1e999999999 is a valid number.
func IsInteger(number string) bool {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(mantissa, "-"), ".")
	fraction = strings.TrimRight(fraction, "0")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" || exponent == "" {
		return fraction == ""
	}
	shift, err := strconv.Atoi(exponent)
	if err != nil { // too large for an int
		return !strings.HasPrefix(exponent, "-")
	}
	zeros := len(digits) - len(strings.TrimRight(digits, "0"))
	return shift >= len(fraction)-zeros
}

// AppendJSONString appends text as a JSON string, escaping as little as possible.
func AppendJSONString(out []byte, text string) []byte {
	if strings.IndexFunc(text, func(c rune) bool { return c < ' ' || c == '"' || c == '\\' || c == utf8.RuneError }) < 0 {
		return append(append(append(out, '"'), text...), '"')
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(text) != nil { // never fails for a string
		return append(out, `""`...)
	}
	return append(out, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// IsJSONNumber reports whether text is a valid JSON number.
func IsJSONNumber(text string) bool {
	return text != "" && (text[0] == '-' || IsDigit(text[0])) && strings.TrimSpace(text) == text && json.Valid([]byte(text))
}

// IsDigit reports whether b is an ASCII digit.
func IsDigit(b byte) bool { return '0' <= b && b <= '9' }
