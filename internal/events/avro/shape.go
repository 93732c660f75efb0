package avro

import (
	"errors"
	"slices"
	"strings"
	"time"

	"nats-test/internal/events/contract"
)

// readsAvro follows schema resolution in Avro's specification.
func readsAvro(reader, writer string) bool {
	return slices.Contains(map[string][]string{
		"long": {"int"}, "float": {"int", "long"}, "double": {"int", "long", "float"},
		"string": {"bytes"}, "bytes": {"string"},
	}[reader], writer)
}

func (c *typeCodec) Shape() *contract.Shape {
	return shapeOf(c.root, map[*schemaType]*contract.Shape{})
}

// shapeOf returns the shape of t. made holds shapes in progress, since types may be
// recursive.
func shapeOf(t *schemaType, made map[*schemaType]*contract.Shape) *contract.Shape {
	if s := made[t]; s != nil {
		return s
	}
	s := &contract.Shape{Kind: t.word()}
	made[t] = s
	switch t.kind {
	case "record":
		s.Kind, s.Open = contract.Object, true
		for _, f := range t.fields {
			s.Fields = append(s.Fields, contract.Field{Name: f.name, Required: f.fallback == nil, Shape: shapeOf(f.kind, made)})
		}
	case "enum":
		s.Kind = contract.Enum
		for _, symbol := range t.symbols {
			s.Values = append(s.Values, contract.EnumValue{Name: symbol})
		}
	case "array":
		s.Kind, s.Items = contract.Array, shapeOf(t.items, made)
	case "map":
		s.Kind, s.Items = contract.Map, shapeOf(t.items, made)
	case "union":
		s.Kind = contract.Union
		for _, branch := range t.branches {
			s.Variants = append(s.Variants, contract.Variant{Name: branch.name, Shape: shapeOf(branch, made)})
		}
	}
	return s
}

func (c *typeCodec) Sample() ([]byte, error) {
	s := sampler{open: map[*schemaType]bool{}}
	if !s.value(c.root, "text") {
		return nil, errors.New("the contract has no value that could be a sample: each is too large, or holds another one of itself")
	}
	return s.out, nil
}

// Limits of a sample, which people read.
const (
	maxSampleValues = 10_000 // values
	maxSampleBytes  = 1 << 20
)

type sampler struct {
	out   []byte
	open  map[*schemaType]bool // records around the value
	steps int
}

// value appends a value of type t, as decode writes it, for a field called name. It
// returns false if no finite value is possible here.
func (s *sampler) value(t *schemaType, name string) bool {
	if s.steps++; s.full() || s.open[t] || t.size > maxSampleBytes || t.kind == "enum" && len(t.symbols) == 0 {
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

func (s *sampler) full() bool {
	return s.steps > maxSampleValues || len(s.out) > maxSampleBytes
}

func (s *sampler) record(t *schemaType) bool {
	s.out = append(s.out, '{')
	for i, f := range t.fields {
		if i > 0 {
			s.out = append(s.out, ',')
		}
		s.out = append(s.out, f.key...)
		if f.fallback != nil {
			r := valueReader{wire: f.fallback}
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

// either appends one value, or other if one has no end.
func (s *sampler) either(one func() bool, other string) bool {
	before := len(s.out)
	if one() {
		return true
	}
	s.out = append(s.out[:before], other...)
	return !s.full()
}

func (s *sampler) wrapped(begin string, t *schemaType, name, end string) bool {
	s.out = append(s.out, begin...)
	ok := s.value(t, name)
	s.out = append(s.out, end...)
	return ok
}

func (s *sampler) union(t *schemaType, name string) bool {
	before := len(s.out)
	null := false
	for _, branch := range t.branches {
		begin, end := "{"+string(contract.AppendJSONString(nil, branch.name))+":", "}"
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

// sample returns a value of a type without inner values.
func (t *schemaType) sample(name string) []byte {
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
		return contract.AppendJSONString(nil, t.symbols[0])
	case "fixed":
		return contract.AppendJSONString(nil, strings.Repeat("0", t.size))
	}
	return contract.AppendJSONString(nil, name) // names are ASCII, and so also valid for bytes
}

// example returns a decimal of the type as JSON: 1, if that is in range.
func (t *schemaType) example() string {
	if t.scale < t.precision {
		return string(contract.AppendJSONString(nil, "1"+strings.TrimSuffix("."+strings.Repeat("0", t.scale), ".")))
	}
	return string(contract.AppendJSONString(nil, "0."+strings.Repeat("0", t.scale-1)+"1"))
}
