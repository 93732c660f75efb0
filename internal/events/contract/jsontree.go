package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// A Tree is a JSON value with its position in the file.
type Tree struct {
	Kind       byte     // '{', '[', '"', or 0 for what is none of these
	Text       string   // of a string
	Keys       []string // of an object, in the file's order
	Values     []*Tree  // of an object or an array
	Begin, End int      // in the file
}

// ParseTree parses a file known to be valid JSON.
func ParseTree(data []byte) (*Tree, error) {
	p := treeParser{data: data, tokens: json.NewDecoder(bytes.NewReader(data))}
	p.tokens.UseNumber()
	return p.value(0)
}

type treeParser struct {
	data   []byte
	tokens *json.Decoder
}

func (p *treeParser) value(depth int) (*Tree, error) {
	const deepest = 4000
	if depth > deepest {
		return nil, fmt.Errorf("is nested more than %d deep", deepest)
	}
	t := &Tree{Begin: int(p.tokens.InputOffset())}
	for bytes.IndexByte([]byte(" \t\r\n,:"), p.data[t.Begin]) >= 0 {
		t.Begin++
	}
	token, err := p.tokens.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case string:
		t.Kind, t.Text = '"', token
	case json.Delim:
		t.Kind = byte(token)
		for p.tokens.More() {
			if t.Kind == '{' {
				key, err := p.tokens.Token()
				if err != nil {
					return nil, err
				}
				t.Keys = append(t.Keys, key.(string)) // JSON's keys are strings
			}
			value, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			t.Values = append(t.Values, value)
		}
		if _, err := p.tokens.Token(); err != nil {
			return nil, err
		}
	}
	t.End = int(p.tokens.InputOffset())
	return t, nil
}

// Get returns a property of an object, or an empty text if it has none.
func (t *Tree) Get(key string) *Tree {
	if i := slices.Index(t.Keys, key); i >= 0 {
		return t.Values[i]
	}
	return &Tree{}
}

// Members returns the items of an array, nil of anything else.
func (t *Tree) Members() []*Tree {
	if t.Kind != '[' {
		return nil
	}
	return t.Values
}

// Compact returns the text without its white space.
func (t *Tree) Compact(data []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, data[t.Begin:t.End]) != nil {
		return data[t.Begin:t.End]
	}
	return b.Bytes()
}

// LineAt returns the line, from 1, of a byte of a file.
func LineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), len(data))], []byte("\n"))
}
