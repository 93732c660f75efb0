package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// An avroText is a JSON value that knows where it stands in its file.
type avroText struct {
	kind       byte        // '{', '[', '"', or 0 for what is none of these
	text       string      // of a string
	keys       []string    // of an object, in the file's order
	values     []*avroText // of an object or an array
	begin, end int         // in the file
}

// parseAvroText parses a file that is known to be JSON.
func parseAvroText(data []byte) (*avroText, error) {
	p := avroTextParser{data: data, tokens: json.NewDecoder(bytes.NewReader(data))}
	p.tokens.UseNumber()
	return p.value(0)
}

type avroTextParser struct {
	data   []byte
	tokens *json.Decoder
}

func (p *avroTextParser) value(depth int) (*avroText, error) {
	const deepest = 4000
	if depth > deepest {
		return nil, fmt.Errorf("is nested more than %d deep", deepest)
	}
	t := &avroText{begin: int(p.tokens.InputOffset())}
	for bytes.IndexByte([]byte(" \t\r\n,:"), p.data[t.begin]) >= 0 {
		t.begin++
	}
	token, err := p.tokens.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case string:
		t.kind, t.text = '"', token
	case json.Delim:
		t.kind = byte(token)
		for p.tokens.More() {
			if t.kind == '{' {
				key, err := p.tokens.Token()
				if err != nil {
					return nil, err
				}
				t.keys = append(t.keys, key.(string)) // JSON's keys are strings
			}
			value, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			t.values = append(t.values, value)
		}
		if _, err := p.tokens.Token(); err != nil {
			return nil, err
		}
	}
	t.end = int(p.tokens.InputOffset())
	return t, nil
}

// get returns a property of an object; if there is none, an empty text.
func (t *avroText) get(key string) *avroText {
	if i := slices.Index(t.keys, key); i >= 0 {
		return t.values[i]
	}
	return &avroText{}
}

func (t *avroText) members() []*avroText {
	if t.kind != '[' {
		return nil
	}
	return t.values
}

// compact returns the text without its white space.
func (t *avroText) compact(data []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, data[t.begin:t.end]) != nil {
		return data[t.begin:t.end]
	}
	return b.Bytes()
}

// lineAt returns the line, from 1, of a byte of a file.
func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), len(data))], []byte("\n"))
}
