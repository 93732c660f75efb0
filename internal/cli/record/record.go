// Package record formats events as listen prints them, in text, JSON or bytes, and
// reads such records for publish.
//
// The package's rule: control sequences never reach a terminal.
package record

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"nats-test/internal/cli/console"
	"nats-test/internal/conn/broker"
)

// AppendTime appends a time as the JavaScript services write it: UTC, with
// milliseconds. (RFC 3339 is the one layout for which Format is fast.)
func AppendTime(out []byte, t time.Time) []byte {
	out = t.UTC().AppendFormat(out, time.RFC3339)
	ms := t.Nanosecond() / int(time.Millisecond)
	return append(out[:len(out)-1], '.', '0'+byte(ms/100), '0'+byte(ms/10%10), '0'+byte(ms%10), 'Z')
}

// Compact returns JSON without the white space between its parts; data must
// be JSON.
func Compact(data []byte) []byte {
	if !bytes.ContainsAny(data, " \t\r\n") {
		return data
	}
	var b bytes.Buffer
	b.Grow(len(data))
	if err := json.Compact(&b, data); err != nil {
		return data
	}
	return b.Bytes()
}

// IsJSON reports whether data can be embedded in JSON unchanged.
func IsJSON(data []byte) bool { return json.Valid(data) && utf8.Valid(data) }

// Unwrap returns the data of a record of `listen -o json`, and any other data
// unchanged. A record of another subject is an error.
func Unwrap(data []byte, subject string) ([]byte, error) {
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte(`{"subject":`)) {
		return data, nil
	}
	var record struct {
		Subject    *string         `json:"subject"`
		Sequence   *uint64         `json:"sequence"`
		Time       *time.Time      `json:"time"`
		Deliveries *int            `json:"deliveries"`
		Data       json.RawMessage `json:"data"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&record)
	if err != nil || record.Subject == nil || record.Sequence == nil || record.Time == nil || record.Deliveries == nil || record.Data == nil {
		return data, nil // not a record: the contract reports its faults
	}
	if *record.Subject != subject {
		return nil, console.Broken("a record of subject %q can't be published to %q", *record.Subject, subject)
	}
	return record.Data, nil
}

// A Format appends one message to out, as listen prints it, with its line end.
// data is the message's data as compact JSON, nil if it is not JSON.
type Format func(out []byte, m *broker.Message, data []byte) []byte

// FormatOf returns the format named by listen's --output. safe escapes control
// sequences.
func FormatOf(output string, safe bool, style Style) Format {
	switch output {
	case "json":
		if safe {
			return func(out []byte, m *broker.Message, data []byte) []byte {
				line := appendJSON(nil, m, data)
				safe := console.Printable(string(line[:len(line)-1])) // \u escapes, legal in JSON strings
				return append(append(out, safe...), '\n')
			}
		}
		return appendJSON
	case "raw":
		return func(out []byte, m *broker.Message, _ []byte) []byte {
			if safe {
				return append(append(out, console.Printable(string(m.Data))...), '\n')
			}
			return append(append(out, m.Data...), '\n')
		}
	}
	return style.appendText
}

// A Style colours the parts of a text line.
type Style struct {
	Number, Subject, Again func(a ...any) string
}

func (s Style) appendText(out []byte, m *broker.Message, data []byte) []byte {
	out = append(out, s.Number("#"+strconv.FormatUint(m.Sequence, 10))...)
	out = append(out, ' ')
	out = append(out, s.Subject(console.Printable(m.Subject))...)
	out = append(out, ' ')
	if data == nil {
		data = m.Data
	}
	out = append(out, console.Printable(string(data))...)
	if m.Deliveries > 1 {
		out = append(out, ' ')
		out = append(out, s.Again("(delivery "+strconv.Itoa(m.Deliveries)+")")...)
	}
	return append(out, '\n')
}

func appendJSON(out []byte, m *broker.Message, data []byte) []byte {
	out = append(out, `{"subject":`...)
	out = appendString(out, m.Subject)
	out = append(out, `,"sequence":`...)
	out = strconv.AppendUint(out, m.Sequence, 10)
	out = append(out, `,"time":"`...)
	out = AppendTime(out, m.Time)
	out = append(out, `","deliveries":`...)
	out = strconv.AppendInt(out, int64(m.Deliveries), 10)
	if len(data) > 0 {
		return append(append(append(out, `,"data":`...), data...), "}\n"...)
	}
	out = append(out, `,"data_base64":"`...)
	out = base64.StdEncoding.AppendEncode(out, m.Data)
	return append(out, "\"}\n"...)
}

// appendString appends s as a JSON string.
func appendString(out []byte, s string) []byte {
	if strings.IndexFunc(s, needsEscape) < 0 {
		return append(append(append(out, '"'), s...), '"')
	}
	text, err := json.Marshal(s)
	if err != nil { // a string always marshals
		return append(out, `""`...)
	}
	return append(out, text...)
}

func needsEscape(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
