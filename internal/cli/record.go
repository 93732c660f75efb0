package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"nats-test/internal/conn"
)

// stamp is a time as the JavaScript services write it: UTC, milliseconds.
func stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

const stampLayout = "2006-01-02T15:04:05.000Z07:00"

// compact returns JSON without the white space between its parts; data must
// be JSON.
func compact(data []byte) []byte {
	if bytes.IndexAny(data, " \t\r\n") < 0 {
		return data
	}
	var b bytes.Buffer
	b.Grow(len(data))
	if err := json.Compact(&b, data); err != nil {
		return data
	}
	return b.Bytes()
}

// isJSON reports whether data can stand in a JSON document as it is.
func isJSON(data []byte) bool { return json.Valid(data) && utf8.Valid(data) }

// unwrap returns the data inside a record of `listen -o json`, and other data
// as it is. A record of another subject is refused.
func unwrap(data []byte, subject string) ([]byte, error) {
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
	if err != nil || record.Sequence == nil || record.Time == nil || record.Deliveries == nil || record.Data == nil {
		return data, nil // no record: the contract will say what is wrong with it
	}
	if *record.Subject != subject {
		return nil, fmt.Errorf("%w: a record of subject %q can't be published to %q", errContract, *record.Subject, subject)
	}
	return record.Data, nil
}

// A format appends one message to out, as listen prints it, with its line end.
type format func(out []byte, m *conn.Message) []byte

// formats are those of listen's --output. safe escapes what a terminal would
// obey.
func formats(name string, safe bool, style style) format {
	switch name {
	case "json":
		return func(out []byte, m *conn.Message) []byte { return appendJSON(out, m, safe) }
	case "raw":
		return func(out []byte, m *conn.Message) []byte {
			if safe {
				return append(append(out, printable(string(m.Data))...), '\n')
			}
			return append(append(out, m.Data...), '\n')
		}
	}
	return func(out []byte, m *conn.Message) []byte { return appendText(out, m, style) }
}

// A style colours the parts of a line of text.
type style struct {
	number, subject, again func(a ...any) string
}

func appendText(out []byte, m *conn.Message, s style) []byte {
	out = append(out, s.number("#"+strconv.FormatUint(m.Sequence, 10))...)
	out = append(out, ' ')
	out = append(out, s.subject(printable(m.Subject))...)
	out = append(out, ' ')
	data := m.Data
	if isJSON(data) {
		data = compact(data)
	}
	out = append(out, printable(string(data))...)
	if m.Deliveries > 1 {
		out = append(out, ' ')
		out = append(out, s.again("(delivery "+strconv.Itoa(m.Deliveries)+")")...)
	}
	return append(out, '\n')
}

func appendJSON(out []byte, m *conn.Message, safe bool) []byte {
	subject, err := json.Marshal(m.Subject)
	if err != nil {
		subject = []byte(`""`) // a string always marshals
	}
	out = append(out, `{"subject":`...)
	out = append(out, subject...)
	out = append(out, `,"sequence":`...)
	out = strconv.AppendUint(out, m.Sequence, 10)
	out = append(out, `,"time":"`...)
	out = m.Time.UTC().AppendFormat(out, stampLayout)
	out = append(out, `","deliveries":`...)
	out = strconv.AppendInt(out, int64(m.Deliveries), 10)
	if isJSON(m.Data) {
		data := compact(m.Data)
		if safe {
			data = []byte(printable(string(data))) // \u escapes, legal in JSON strings
		}
		return append(append(append(out, `,"data":`...), data...), "}\n"...)
	}
	out = append(out, `,"data_base64":"`...)
	out = base64.StdEncoding.AppendEncode(out, m.Data)
	return append(out, "\"}\n"...)
}
