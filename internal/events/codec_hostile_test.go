package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
)

// Wire data may be anything.
func TestCodecsSurviveHostileBytes(t *testing.T) {
	const big = 50 << 20
	eachFormat(t, func(t *testing.T, c *Catalogue, _ int) {
		k := contractOf(t, c, "order:placed")
		example, err := k.Example()
		if err != nil {
			t.Fatal(err)
		}
		wire, err := k.Encode(example)
		if err != nil {
			t.Fatal(err)
		}
		hostile := map[string][]byte{
			"empty array":  []byte("[]"),
			"text":         []byte("hello"),
			"zeros":        make([]byte, big),
			"text, 50 MB":  []byte(`{"labels":"` + strings.Repeat("x", big) + `"}`),
			"nested":       []byte(strings.Repeat(`{"lines":[`, 100_000)),
			"nested ended": []byte(strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000)),
			"ones":         bytes.Repeat([]byte{0xff}, 1000),
		}
		for name, data := range hostile {
			if _, err := k.Encode(data); !isInvalid(err) {
				t.Errorf("%s: encoding: %.200v", name, err)
			}
			if _, err := k.Decode(data); !isInvalid(err) {
				t.Errorf("%s: decoding: %.200v", name, err)
			}
		}
		for n := range wire {
			if data, err := k.Decode(wire[:n]); err != nil && !isInvalid(err) || err == nil && !json.Valid(data) {
				t.Errorf("the first %d bytes: %s, %v", n, data, err)
			}
		}
	})
}

func isInvalid(err error) bool {
	invalid, ok := errors.AsType[*InvalidError](err)
	return ok && len(invalid.Faults) <= 200 && len(invalid.Error()) < 100_000
}

func TestCodecsServeManyGoroutines(t *testing.T) {
	eachFormat(t, func(t *testing.T, c *Catalogue, i int) {
		k, err := c.Lookup("order:placed")
		if err != nil {
			t.Fatal(err)
		}
		newer, err := c.Lookup("order:placed:newer")
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				example, err := k.Example()
				if err != nil {
					t.Error(err)
					return
				}
				for range 20 {
					wire, err := k.Encode(example)
					if err != nil {
						t.Error(err)
						return
					}
					data, err := k.Decode(wire)
					if err != nil || string(data) != string(compact(t, example)) {
						t.Errorf("%s, %v", data, err)
					}
					if wire, err = newer.Encode([]byte(formatCases[i].newer)); err != nil {
						t.Error(err)
					}
					if data, err = k.Decode(wire); err != nil || string(data) != formatCases[i].want {
						t.Errorf("%s, %v", data, err)
					}
				}
			})
		}
		all.Wait()
	})
}
