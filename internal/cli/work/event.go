package work

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"nats-test/internal/cli/record"
	"nats-test/internal/conn"
	"nats-test/internal/worker"
	"nats-test/internal/worker/process"
)

// traced are headers that go to a handler's environment under their own names
// (W3C Trace Context and Baggage; OpenTelemetry reads them there).
var traced = map[string]string{"traceparent": "TRACEPARENT", "tracestate": "TRACESTATE", "baggage": "BAGGAGE"}

// recordRoom is about how much longer a record is than the data in it.
const recordRoom = 160

// inputOf returns a function that makes an event what its handler gets: the data on
// stdin, what else is known in the environment.
func inputOf(group string, loop bool) func(t *conn.Task, data []byte, attempt int) process.Event {
	format := record.FormatOf("json", false, record.Style{})
	return func(t *conn.Task, data []byte, attempt int) process.Event {
		e := process.Event{Number: t.Sequence, Data: data}
		if loop {
			e.Record = format(make([]byte, 0, len(data)+recordRoom), &t.Message, data)
			return e
		}
		e.Env = []string{
			"EVENT_SUBJECT=" + t.Subject,
			"EVENT_SEQUENCE=" + strconv.FormatUint(t.Sequence, 10),
			"EVENT_TIME=" + string(record.AppendTime(nil, t.Time)),
			"EVENT_ID=" + worker.EventID(t),
			"EVENT_DELIVERIES=" + strconv.Itoa(t.Deliveries),
			"EVENT_ATTEMPT=" + strconv.Itoa(attempt),
			"EVENT_GROUP=" + group,
		}
		for key, values := range t.Header {
			value := strings.Join(values, ", ")
			if name, ok := traced[strings.ToLower(key)]; ok {
				e.Env = append(e.Env, name+"="+value)
			}
			e.Env = append(e.Env, "EVENT_HEADER_"+variable(key)+"="+value)
		}
		return e
	}
}

// variable makes an environment variable's name of a header's.
func variable(header string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, header)
}

// keyOf returns a function that finds the value at a JSON pointer in an event's data,
// as JSON; "" where there is none.
func keyOf(pointer string) func(data []byte) string {
	var path []string
	for token := range jsontext.Pointer(pointer).Tokens() {
		path = append(path, token)
	}
	return func(data []byte) string { return string(valueAt(jsontext.Value(data), path)) }
}

// valueAt returns the value at a path of names and indexes.
func valueAt(value jsontext.Value, path []string) jsontext.Value {
	for _, name := range path {
		d := jsontext.NewDecoder(strings.NewReader(string(value)), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		begin, err := d.ReadToken()
		if err != nil || begin.Kind() != '{' && begin.Kind() != '[' {
			return nil
		}
		found := false
		for i := 0; !found; i++ {
			at := strconv.Itoa(i)
			if begin.Kind() == '{' {
				token, err := d.ReadToken()
				if err != nil || token.Kind() != '"' {
					return nil
				}
				at = token.String()
			}
			next, err := d.ReadValue()
			if err != nil {
				return nil
			}
			if found = at == name; found {
				value = next.Clone()
			}
		}
	}
	_ = value.Canonicalize() // 1.0 and 1 are one key
	return value
}
