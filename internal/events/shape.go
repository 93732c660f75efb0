package events

import (
	"slices"

	infer "github.com/google/jsonschema-go/jsonschema"
)

// A shape recognises data that keeps a contract, in one pass and without
// memory. It knows the plain cases only: what it does not recognise may be
// right all the same, and goes to the schema validator, which is some twenty
// times slower and the only one that refuses anything.
type shape struct {
	kind     shapeKind
	fields   []shapeField // of an object, at most 64
	required uint64       // bits of the fields that must be there
	values   []string     // of an enum
}

type shapeField struct {
	name  string
	shape *shape
}

type shapeKind int

const (
	shapeObject shapeKind = iota
	shapeString
	shapeNumber
	shapeInteger
	shapeEnum
	shapeTime
)

// shapeOf returns the shape of a schema, nil if it has a rule that shapes
// don't know.
func shapeOf(s *infer.Schema) *shape {
	switch {
	case s.Type == "object" && len(s.Properties) <= 64:
		object := &shape{kind: shapeObject}
		for name, property := range s.Properties {
			field := shapeOf(property)
			if field == nil {
				return nil
			}
			if slices.Contains(s.Required, name) {
				object.required |= 1 << len(object.fields)
			}
			object.fields = append(object.fields, shapeField{name, field})
		}
		return object
	case s.Type == "string" && s.Enum != nil:
		enum := &shape{kind: shapeEnum}
		for _, v := range s.Enum {
			status, ok := v.(OrderStatus)
			if !ok {
				return nil
			}
			enum.values = append(enum.values, string(status))
		}
		return enum
	case s.Type == "string" && s.Format == "date-time":
		return &shape{kind: shapeTime}
	case s.Type == "string" && s.Format == "":
		return &shape{kind: shapeString}
	case s.Type == "number":
		return &shape{kind: shapeNumber}
	case s.Type == "integer":
		return &shape{kind: shapeInteger}
	}
	return nil
}

// recognise reports whether data is certainly valid, and whether it is
// compact: without white space between its parts.
func (s *shape) recognise(data []byte) (valid, compact bool) {
	if s == nil {
		return false, false
	}
	r := recogniser{data: data, compact: true}
	r.space()
	valid = r.value(s)
	r.space()
	return valid && r.at == len(data), r.compact
}

type recogniser struct {
	data    []byte
	at      int
	compact bool
}

// next returns the byte to be read, 0 at the end.
func (r *recogniser) next() byte {
	if r.at < len(r.data) {
		return r.data[r.at]
	}
	return 0
}

func (r *recogniser) take(b byte) bool {
	if r.next() != b {
		return false
	}
	r.at++
	return true
}

func (r *recogniser) space() {
	for r.at < len(r.data) {
		switch r.data[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
			r.compact = false
		default:
			return
		}
	}
}

func (r *recogniser) value(s *shape) bool {
	switch s.kind {
	case shapeObject:
		return r.object(s)
	case shapeNumber, shapeInteger:
		return r.number(s.kind == shapeNumber)
	}
	text, ok := r.text()
	if !ok {
		return false
	}
	switch s.kind {
	case shapeEnum:
		for _, v := range s.values {
			if string(text) == v {
				return true
			}
		}
		return false
	case shapeTime:
		return isTime(text)
	}
	return true
}

func (r *recogniser) object(s *shape) bool {
	if !r.take('{') {
		return false
	}
	var seen uint64
	for {
		r.space()
		name, ok := r.text()
		if !ok {
			return false
		}
		field := -1
		for i := range s.fields {
			if string(name) == s.fields[i].name {
				field = i
				break
			}
		}
		if field < 0 || seen&(1<<field) != 0 {
			return false
		}
		seen |= 1 << field
		r.space()
		if !r.take(':') {
			return false
		}
		r.space()
		if !r.value(s.fields[field].shape) {
			return false
		}
		r.space()
		if !r.take(',') {
			break
		}
	}
	return r.take('}') && seen&s.required == s.required
}

// text reads a string of printable ASCII without escapes.
func (r *recogniser) text() ([]byte, bool) {
	if !r.take('"') {
		return nil, false
	}
	begin := r.at
	for i, b := range r.data[begin:] {
		if b == '"' {
			r.at = begin + i + 1
			return r.data[begin : begin+i], true
		}
		if b < ' ' || b > '~' || b == '\\' {
			return nil, false
		}
	}
	return nil, false
}

// number reads a number without an exponent.
func (r *recogniser) number(fraction bool) bool {
	r.take('-')
	if !r.take('0') && !r.digits() {
		return false
	}
	if fraction && r.take('.') {
		return r.digits()
	}
	return true // what follows must be a comma or the end, or it is no JSON
}

func (r *recogniser) digits() bool {
	begin := r.at
	for isDigit(r.next()) {
		r.at++
	}
	return r.at > begin
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// isTime recognises 2030-01-02T03:04:05.678Z: UTC, a day that every month has.
func isTime(text []byte) bool {
	const layout = "dddd-dd-ddTdd:dd:dd"
	if len(text) < len(layout)+1 || text[len(text)-1] != 'Z' {
		return false
	}
	for i := range len(layout) {
		if layout[i] == 'd' && !isDigit(text[i]) || layout[i] != 'd' && text[i] != layout[i] {
			return false
		}
	}
	two := func(i int) int { return int(text[i]-'0')*10 + int(text[i+1]-'0') }
	if m, d := two(5), two(8); m < 1 || m > 12 || d < 1 || d > 28 || two(11) > 23 || two(14) > 59 || two(17) > 59 {
		return false
	}
	fraction := text[len(layout) : len(text)-1]
	if len(fraction) == 0 {
		return true
	}
	for _, b := range fraction[1:] {
		if !isDigit(b) {
			return false
		}
	}
	return fraction[0] == '.' && len(fraction) > 1
}
