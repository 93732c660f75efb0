package events

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	twmb "github.com/twmb/avro"

	"nats-test/internal/events/avro"
	"nats-test/internal/events/contract"
	"nats-test/internal/events/jsonschema"
	"nats-test/internal/events/protobuf"
)

// A wood makes random shapes, some of them cyclic.
type wood struct {
	*rand.Rand
	grown []*contract.Shape
}

func (w *wood) shape(depth int) *contract.Shape {
	if len(w.grown) > 0 && w.IntN(8) == 0 {
		return w.grown[w.IntN(len(w.grown))]
	}
	kinds := []string{"string", "boolean", "int32", contract.Any, contract.Enum, contract.Object, contract.Object, contract.Object, contract.Array, contract.Map, contract.Union}
	if depth == 0 {
		kinds = kinds[:5]
	}
	s := of(kinds[w.IntN(len(kinds))])
	w.grown = append(w.grown, s)
	switch s.Kind {
	case contract.Object:
		s.Open = w.IntN(2) == 0
		for i := range w.IntN(5) {
			f := contract.Field{Name: fmt.Sprint("f", i), Number: i + 1, Required: w.IntN(2) == 0, Shape: w.shape(depth - 1)}
			if w.IntN(4) == 0 {
				f.Oneof = "one"
			}
			s.Fields = append(s.Fields, f)
		}
	case contract.Enum:
		s.Values = numbered(0, []string{"a", "b", "c"}[:1+w.IntN(3)]...).Values
	case contract.Array, contract.Map:
		s.Items = w.shape(depth - 1)
	case contract.Union:
		for i := range 1 + w.IntN(3) {
			s.Variants = append(s.Variants, contract.Variant{Name: fmt.Sprint("v", i), Shape: w.shape(depth - 1)})
		}
	}
	return s
}

// copied copies a shape with all its cycles.
func copied(s *contract.Shape, known map[*contract.Shape]*contract.Shape) *contract.Shape {
	if s == nil || known[s] != nil {
		return known[s]
	}
	c := *s
	known[s] = &c
	c.Fields, c.Values, c.Variants = slices.Clone(s.Fields), slices.Clone(s.Values), slices.Clone(s.Variants)
	c.Items = copied(s.Items, known)
	for i := range c.Fields {
		c.Fields[i].Shape = copied(c.Fields[i].Shape, known)
	}
	for i := range c.Variants {
		c.Variants[i].Shape = copied(c.Variants[i].Shape, known)
	}
	return &c
}

// mutate makes one change in one of a copy's shapes.
func (w *wood) mutate(all []*contract.Shape, format *contract.Format) string {
	s := all[w.IntN(len(all))]
	choice := w.IntN(6)
	switch {
	case s.Kind == contract.Object && choice == 0:
		s.Open = !s.Open
		return "open"
	case s.Kind == contract.Object && choice == 1:
		s.Fields = append(s.Fields, contract.Field{Name: "new", Number: 99, Shape: of("string")})
		return "field added"
	case s.Kind == contract.Object && len(s.Fields) > 0:
		i := w.IntN(len(s.Fields))
		f := &s.Fields[i]
		switch {
		case choice == 2:
			s.Fields = slices.Delete(s.Fields, i, i+1)
			return "field removed"
		case choice == 3:
			f.Name = "renamed"
			return "field renamed"
		case choice == 4 && format == protobuf.Format:
			f.Number = 1 + f.Number%len(s.Fields) + w.IntN(2)*50
			if f.Number != i+1 {
				return "number changed"
			}
			f.Oneof += "x"
			return "oneof changed"
		}
		f.Required = !f.Required
		return "required"
	case s.Kind == contract.Enum && choice < 2:
		s.Values = append(s.Values, contract.EnumValue{Name: "new", Number: 99})
		return "value added"
	case s.Kind == contract.Enum && choice < 4:
		s.Values[0].Name = "renamed"
		return "value renamed"
	case s.Kind == contract.Union && choice < 2:
		s.Variants = append(s.Variants, contract.Variant{Name: "new", Shape: of("string")})
		return "variant added"
	case s.Kind == contract.Union && choice < 4 && len(s.Variants) > 1:
		s.Variants = s.Variants[1:]
		return "variant removed"
	}
	if s.Kind == contract.Union && len(s.Variants) == 1 {
		return s.Kind + " kept" // it may be the same as its only variant
	}
	*s = contract.Shape{Kind: "other"}
	return "kind"
}

func FuzzDiffShapes(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := &wood{Rand: rand.New(rand.NewPCG(seed, 0))}
		before := w.shape(4)
		known := make(map[*contract.Shape]*contract.Shape)
		after := copied(before, known)
		for _, format := range []*contract.Format{jsonschema.Format, protobuf.Format, avro.Format} {
			if changes := diffShapes("s", format.Evolution, before, after); len(changes) > 0 {
				t.Fatalf("%s: of itself: %v", format, changes)
			}
			diffShapes("s", format.Evolution, before, w.shape(4))
		}
		var all []*contract.Shape
		for _, s := range w.grown {
			if known[s] != nil {
				all = append(all, known[s])
			}
		}
		format := []*contract.Format{jsonschema.Format, protobuf.Format, avro.Format}[w.IntN(3)]
		done := w.mutate(all, format)
		if changes := diffShapes("s", format.Evolution, before, after); len(changes) == 0 && !strings.HasSuffix(done, "kept") {
			t.Fatalf("%s: not told: %s", format, done)
		}
	})
}

// Types that refer to each other again and again take no more time than there
// are types.
func TestDiffIsLinear(t *testing.T) {
	began := time.Now()
	deep := func() *contract.Shape {
		s := object(may("leaf", "string"))
		for range 60 {
			s = object(contract.Field{Name: "a", Shape: s}, contract.Field{Name: "b", Shape: s})
		}
		return s
	}
	after := deep()
	if changes := diffShapes("s", avro.Format.Evolution, deep(), after); len(changes) > 0 {
		t.Error(changes)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Error(took)
	}
}

// The rules for Avro agree with the library: listeners break if the old schema
// can't read data of the new one, publishers if the new one can't read data of the
// old one. The rules are stricter when a field in use is removed, even with a
// default.
func TestDiffIsAvrosResolution(t *testing.T) {
	record := func(fields string) string { return `{"type":"record","name":"R","fields":[` + fields + `]}` }
	symbols := func(rest string) string { return `{"type":"enum","name":"E",` + rest + `}` }
	stricter := []string{"field removed", "made required", `enum value "y" removed`}
	tests := []struct {
		one, other string
		was, is    *contract.Shape
	}{
		{record(``), record(`{"name":"a","type":"int"}`), object(), object(must("a", "int"))},
		{record(``), record(`{"name":"a","type":"int","default":1}`), object(), object(may("a", "int"))},
		{record(`{"name":"a","type":"int"}`), record(`{"name":"a","type":"int","default":1}`), object(must("a", "int")), object(may("a", "int"))},
		{record(`{"name":"a","type":"int"}`), record(`{"name":"a","type":"long"}`), object(must("a", "int")), object(must("a", "long"))},
		{symbols(`"symbols":["x"]`), symbols(`"symbols":["x","y"]`), enum("x"), enum("x", "y")},
		{symbols(`"symbols":["x"],"default":"x"`), symbols(`"symbols":["x","y"],"default":"x"`), opened(enum("x")), opened(enum("x", "y"))},
		{symbols(`"symbols":["x"],"default":"x"`), symbols(`"symbols":["x"]`), opened(enum("x")), enum("x")},
		{symbols(`"symbols":["x"]`), `"string"`, enum("x"), of("string")},
		{`["null","int"]`, `["null","long"]`, either("null", "int"), either("null", "long")},
		{`["null","int"]`, `"int"`, either("null", "int"), of("int")},
		{`["null","int"]`, `"long"`, either("null", "int"), of("long")},
		{`["null","string"]`, `["null","string","boolean"]`, either("null", "string"), either("null", "string", "boolean")},
		{`{"type":"array","items":"int"}`, `{"type":"array","items":"double"}`, arrayOf(of("int")), arrayOf(of("double"))},
		{`{"type":"map","values":"int"}`, `{"type":"array","items":"int"}`, mapOf(of("int")), arrayOf(of("int"))},
	}
	for _, test := range tests {
		for range 2 {
			before, after := twmb.MustParse(test.one), twmb.MustParse(test.other)
			changes := diffShapes("s", avro.Format.Evolution, test.was, test.is)
			told := brief(changes)
			exactly := brief(slices.DeleteFunc(changes, func(c Change) bool { return slices.Contains(stricter, c.What) }))
			for side, broken := range map[string]bool{
				"(L":  twmb.CheckCompatibility(after, before) != nil,
				"P: ": twmb.CheckCompatibility(before, after) != nil,
			} {
				if broken && !strings.Contains(told, side) || !broken && strings.Contains(exactly, side) {
					t.Errorf("%s became %s: %q is broken: %v, but told is %q", test.one, test.other, side, broken, told)
				}
			}
			test.one, test.other, test.was, test.is = test.other, test.one, test.is, test.was
		}
	}
}
