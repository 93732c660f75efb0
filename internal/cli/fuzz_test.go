package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"nats-test/internal/conn/broker"
)

// Whatever stands on stdin: values that are JSON, then one end.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"", "{}", "{}\n\n[1,\n2] 3", "{\"a\":", "oops", "{}{}x", "\"\xff\"", "\n\n\n1\n]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		src := newValues(bytes.NewReader(input))
		for n := 0; ; n++ {
			data, where, err := src.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if !strings.HasPrefix(where, "line ") {
				t.Fatalf("nowhere: %q", where)
			}
			if err != nil {
				if exitCode(err) != exitContract {
					t.Fatalf("exit code %d: %v", exitCode(err), err)
				}
				return
			}
			if !json.Valid(data) || n > len(input) {
				t.Fatalf("value %d is %q", n, data)
			}
		}
	})
}

// A record is one line of JSON, whatever it holds, and reads back.
func FuzzRecord(f *testing.F) {
	f.Add("ticket:created", uint64(1), []byte(`{"id":"1"}`), 1)
	f.Add("a\"b", uint64(1<<63), []byte("\x1b[31m\x00\xff"), 3)
	f.Add("é", uint64(0), []byte(`{"a" : [1, 2]}`), 2)
	f.Fuzz(func(t *testing.T, subject string, sequence uint64, payload []byte, deliveries int) {
		m := &broker.Message{Subject: subject, Sequence: sequence, Time: time.Unix(1, 5e6), Data: payload, Deliveries: deliveries}
		var data []byte
		if isJSON(payload) {
			data = compact(payload)
		}
		for _, safe := range []bool{false, true} {
			line := formatOf("json", safe, style{})(nil, m, data)
			if !json.Valid(line) || bytes.Count(line, []byte("\n")) != 1 {
				t.Fatalf("no record: %q", line)
			}
			if safe && strings.ContainsFunc(strings.TrimSuffix(string(line), "\n"), unprintable) {
				t.Fatalf("not safe: %q", line)
			}
			if !utf8.ValidString(subject) || data == nil || safe {
				continue
			}
			if back, err := unwrap(line, subject); err != nil || !bytes.Equal(back, data) {
				t.Fatalf("%q reads back as %q, %v", line, back, err)
			}
		}
	})
}

// What is printable stays as it is; everything else is escaped.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"plain", "\x1b]0;x\x07", "\u202e", "\u009b", "\xff", "日本 🎫", "a\u2028b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := printable(s)
		if strings.ContainsFunc(got, unprintable) || !utf8.ValidString(got) {
			t.Fatalf("%q gets through as %q", s, got)
		}
		if utf8.ValidString(s) && !strings.ContainsFunc(s, unprintable) && got != s {
			t.Fatalf("%q became %q", s, got)
		}
	})
}
