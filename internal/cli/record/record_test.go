package record

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"nats-test/internal/cli/console"
	"nats-test/internal/conn/broker"
)

// A record is one line of JSON for any event, and can be read back.
func FuzzRecord(f *testing.F) {
	f.Add("ticket:created", uint64(1), []byte(`{"id":"1"}`), 1)
	f.Add("a\"b", uint64(1<<63), []byte("\x1b[31m\x00\xff"), 3)
	f.Add("é", uint64(0), []byte(`{"a" : [1, 2]}`), 2)
	f.Fuzz(func(t *testing.T, subject string, sequence uint64, payload []byte, deliveries int) {
		m := &broker.Message{Subject: subject, Sequence: sequence, Time: time.Unix(1, 5e6), Data: payload, Deliveries: deliveries}
		var data []byte
		if IsJSON(payload) {
			data = Compact(payload)
		}
		for _, safe := range []bool{false, true} {
			line := FormatOf("json", safe, Style{})(nil, m, data)
			if !json.Valid(line) || bytes.Count(line, []byte("\n")) != 1 {
				t.Fatalf("no record: %q", line)
			}
			if plain := strings.TrimSuffix(string(line), "\n"); safe && console.Printable(plain) != plain {
				t.Fatalf("not safe: %q", line)
			}
			if !utf8.ValidString(subject) || data == nil || safe {
				continue
			}
			if back, err := Unwrap(line, subject); err != nil || !bytes.Equal(back, data) {
				t.Fatalf("%q reads back as %q, %v", line, back, err)
			}
		}
	})
}

// Data that only resembles a record is an event's data, checked by its contract.
func TestUnwrapNoRecord(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"subject":null,"sequence":1,"time":"2020-01-01T00:00:00Z","deliveries":1,"data":{}}`,
		`{"subject":"a","sequence":null,"time":"2020-01-01T00:00:00Z","deliveries":1,"data":{}}`,
		`{"subject":"a","sequence":1,"time":"2020-01-01T00:00:00Z","deliveries":1}`,
	} {
		if data, err := Unwrap([]byte(text), "a"); err != nil || string(data) != text {
			t.Errorf("%s: %s, %v", text, data, err)
		}
	}
}
