package events

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// readsAvro is what schema resolution in Avro's specification allows.
func readsAvro(reader, writer string) bool {
	return slices.Contains(map[string][]string{
		"long": {"int"}, "float": {"int", "long"}, "double": {"int", "long", "float"},
		"string": {"bytes"}, "bytes": {"string"},
	}[reader], writer)
}

func (c *avroCodec) shape() *shape { return avroShape(c.root, map[*avroType]*shape{}) }

// avroShape returns the shape of t. Those that are already being made are in
// made, since types may hold themselves.
func avroShape(t *avroType, made map[*avroType]*shape) *shape {
	if s := made[t]; s != nil {
		return s
	}
	s := &shape{kind: t.word()}
	made[t] = s
	switch t.kind {
	case "record":
		s.kind, s.open = shapeObject, true
		for _, f := range t.fields {
			s.fields = append(s.fields, field{name: f.name, required: f.fallback == nil, shape: avroShape(f.kind, made)})
		}
	case "enum":
		s.kind = shapeEnum
		for _, symbol := range t.symbols {
			s.values = append(s.values, enumValue{name: symbol})
		}
	case "array":
		s.kind, s.items = shapeArray, avroShape(t.items, made)
	case "map":
		s.kind, s.items = shapeMap, avroShape(t.items, made)
	case "union":
		s.kind = shapeUnion
		for _, branch := range t.branches {
			s.variants = append(s.variants, variant{branch.name, avroShape(branch, made)})
		}
	}
	return s
}

func (c *avroCodec) sample() ([]byte, error) {
	s := avroSampler{open: map[*avroType]bool{}}
	if !s.value(c.root, "text") {
		return nil, errors.New("the contract has no value that could be a sample: each is too large, or holds another one of itself")
	}
	return s.out, nil
}

// A sample is for people to look at.
const (
	maxAvroSample      = 10_000 // values
	maxAvroSampleBytes = 1 << 20
)

type avroSampler struct {
	out   []byte
	open  map[*avroType]bool // records that the value is in
	steps int
}

// value appends a value of type t, JSON as decode writes it, to the field or
// the like of that name. It is false if none can end here.
func (s *avroSampler) value(t *avroType, name string) bool {
	if s.steps++; s.full() || s.open[t] || t.size > maxAvroSampleBytes || t.kind == "enum" && len(t.symbols) == 0 {
		return false
	}
	switch t.kind {
	case "record":
		s.open[t] = true
		defer delete(s.open, t)
		return s.record(t)
	case "array":
		return s.either(func() bool { return s.wrapped("[", t.items, name, "]") }, "[]")
	case "map":
		return s.either(func() bool { return s.wrapped(`{"key":`, t.items, name, "}") }, "{}")
	case "union":
		return s.union(t, name)
	}
	s.out = append(s.out, t.sample(name)...)
	return true
}

func (s *avroSampler) full() bool {
	return s.steps > maxAvroSample || len(s.out) > maxAvroSampleBytes
}

func (s *avroSampler) record(t *avroType) bool {
	s.out = append(s.out, '{')
	for i, f := range t.fields {
		if i > 0 {
			s.out = append(s.out, ',')
		}
		s.out = append(s.out, f.key...)
		if f.fallback != nil {
			r := avroReader{wire: f.fallback}
			if !r.readAll(f.kind) {
				return false
			}
			s.out = append(s.out, r.out...)
		} else if !s.value(f.kind, f.name) {
			return false
		}
	}
	s.out = append(s.out, '}')
	return true
}

// either appends one value, or the other if the one never ends.
func (s *avroSampler) either(one func() bool, other string) bool {
	before := len(s.out)
	if one() {
		return true
	}
	s.out = append(s.out[:before], other...)
	return !s.full()
}

func (s *avroSampler) wrapped(begin string, t *avroType, name, end string) bool {
	s.out = append(s.out, begin...)
	ok := s.value(t, name)
	s.out = append(s.out, end...)
	return ok
}

func (s *avroSampler) union(t *avroType, name string) bool {
	before := len(s.out)
	null := false
	for _, branch := range t.branches {
		begin, end := "{"+string(appendJSONString(nil, branch.name))+":", "}"
		switch {
		case branch.kind == "null":
			null = true
			continue
		case t.optional != nil:
			begin, end = "", ""
		}
		if s.wrapped(begin, branch, name, end) {
			return true
		}
		s.out = s.out[:before]
	}
	if null {
		s.out = append(s.out, "null"...)
	}
	return null && !s.full()
}

// sample returns a value of a type that holds no other.
func (t *avroType) sample(name string) []byte {
	if u, ok := t.unit(); ok {
		at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		return append(at.AppendFormat([]byte{'"'}, u.layout), '"')
	}
	switch t.logical {
	case "decimal":
		return []byte(t.example())
	case "uuid":
		return []byte(`"123e4567-e89b-42d3-a456-426614174000"`)
	case "duration":
		return []byte(`{"months":1,"days":1,"millis":1}`)
	}
	switch t.kind {
	case "null":
		return []byte("null")
	case "boolean":
		return []byte("true")
	case "int", "long", "float", "double":
		return []byte("1")
	case "enum":
		return appendJSONString(nil, t.symbols[0])
	case "fixed":
		return appendJSONString(nil, strings.Repeat("0", t.size))
	}
	return appendJSONString(nil, name) // a name is ASCII, so it will do for bytes, too
}

// example returns a decimal of the type as JSON: one, if it can be written.
func (t *avroType) example() string {
	if t.scale < t.precision {
		return string(appendJSONString(nil, "1"+strings.TrimSuffix("."+strings.Repeat("0", t.scale), ".")))
	}
	return string(appendJSONString(nil, "0."+strings.Repeat("0", t.scale-1)+"1"))
}
