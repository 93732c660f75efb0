package events

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	twmb "github.com/twmb/avro"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"nats-test/internal/events/avro"
	"nats-test/internal/events/contract"
	"nats-test/internal/events/jsonschema"
	"nats-test/internal/events/protobuf"
	validator "nats-test/third_party/jsonschema"
)

func of(kind string) *contract.Shape { return &contract.Shape{Kind: kind} }
func object(fields ...contract.Field) *contract.Shape {
	return &contract.Shape{Kind: contract.Object, Fields: fields}
}
func opened(s *contract.Shape) *contract.Shape { s.Open = true; return s }
func enum(names ...string) *contract.Shape     { return numbered(-1, names...) }
func union(variants ...contract.Variant) *contract.Shape {
	return &contract.Shape{Kind: contract.Union, Variants: variants}
}
func may(name, kind string) contract.Field { return contract.Field{Name: name, Shape: of(kind)} }
func must(name, kind string) contract.Field {
	return contract.Field{Name: name, Required: true, Shape: of(kind)}
}
func num(n int, name, kind string) contract.Field {
	return contract.Field{Name: name, Number: n, Shape: of(kind)}
}
func in(oneof string, f contract.Field) contract.Field { f.Oneof = oneof; return f }
func arrayOf(s *contract.Shape) *contract.Shape {
	return &contract.Shape{Kind: contract.Array, Items: s}
}
func mapOf(s *contract.Shape) *contract.Shape { return &contract.Shape{Kind: contract.Map, Items: s} }
func either(kinds ...string) (all *contract.Shape) {
	all = union()
	for _, k := range kinds {
		all.Variants = append(all.Variants, contract.Variant{Shape: of(k)})
	}
	return all
}

// numbered returns an enum whose values are numbered from first on.
func numbered(first int, names ...string) *contract.Shape {
	s := &contract.Shape{Kind: contract.Enum}
	for i, name := range names {
		v := contract.EnumValue{Name: name}
		if first >= 0 {
			v.Number = first + i
		}
		s.Values = append(s.Values, v)
	}
	return s
}

// Every rule, in each format where it differs. In want, L stands for listeners
// that still have the old contract, P for publishers that do.
func TestDiffShapes(t *testing.T) {
	everywhere := []*contract.Format{jsonschema.Format, protobuf.Format, avro.Format}
	tests := []struct {
		formats       []*contract.Format
		before, after *contract.Shape
		want          string
	}{
		{everywhere, object(may("a", "string")), object(), "/a: field removed (L: they read it)"},
		{everywhere, object(must("a", "string")), object(), "/a: field removed (L: they read it)"},
		{everywhere, object(), object(may("a/b", "string")), "/a~1b: field added"},
		{everywhere, object(), object(must("a", "string")), "/a: required field added (P: they leave it out)"},
		{everywhere, object(may("a", "string")), object(must("a", "string")), "/a: made required (P: they may leave it out)"},
		{[]*contract.Format{jsonschema.Format, protobuf.Format}, object(must("a", "string")), object(may("a", "string")), "/a: made optional (L: they require it)"},
		{[]*contract.Format{avro.Format}, object(must("a", "string")), object(may("a", "string")), "/a: made optional"},
		{everywhere, object(may("a", "string"), may("b", "string")), object(may("b", "string"), may("a", "string")), ""},
		{everywhere, object(), opened(object()), "opened to further fields"},
		{everywhere, opened(object()), object(), "closed to further fields (P: they may send further ones)"},

		// Types. Those of each format are held against its library below.
		{everywhere, of("string"), of("boolean"), "string became boolean (LP: to them it is string)"},
		{everywhere, of(contract.Array), of(contract.Map), "array became map (LP: to them it is array)"},
		{everywhere, of("string"), of(contract.Any), "string became anything (L: to them it is string)"},
		{everywhere, of(contract.Any), of("string"), "anything became string (P: to them it is anything)"},
		{everywhere, of(contract.Any), nil, ""},
		{everywhere, union(), of(contract.Any), "union became anything (L: to them it is union)"},
		{[]*contract.Format{jsonschema.Format}, of("number"), of("integer"), "number became integer (P: to them it is number)"},
		{[]*contract.Format{jsonschema.Format}, of("integer"), of("number"), "integer became number (L: to them it is integer)"},
		{[]*contract.Format{jsonschema.Format}, of("string"), of("date-time"), "string became date-time (P: to them it is string)"},
		{[]*contract.Format{jsonschema.Format}, of("string"), enum("a"), "string became enum (P: to them it is string)"},
		{[]*contract.Format{jsonschema.Format}, enum("a"), of("string"), "enum became string (L: to them it is enum)"},
		{[]*contract.Format{avro.Format}, of("int"), of("long"), "int became long (L: to them it is int)"},
		{[]*contract.Format{avro.Format}, of("long"), of("int"), "long became int (P: to them it is long)"},
		{[]*contract.Format{avro.Format}, of("string"), of("bytes"), "string became bytes"},
		{[]*contract.Format{avro.Format}, enum("a"), of("string"), "enum became string (LP: to them it is enum)"},
		{[]*contract.Format{protobuf.Format}, of("int32"), of("int64"), "int32 became int64 (L: to them it is int32)"},
		{[]*contract.Format{protobuf.Format}, of("int32"), of("uint32"), "int32 became uint32 (LP: to them it is int32)"},
		{[]*contract.Format{protobuf.Format}, of("string"), of("bytes"), "string became bytes (LP: to them it is string)"},
		{[]*contract.Format{protobuf.Format}, of("int32"), arrayOf(of("int32")), "int32 became array (LP: to them it is int32)"},

		// Enums.
		{everywhere, enum("a", "b"), enum("b", "a"), ""},
		{[]*contract.Format{jsonschema.Format, avro.Format}, enum("new", "paid"), enum("new"), `enum value "paid" removed (P: they may send it)`},
		{[]*contract.Format{jsonschema.Format, avro.Format}, enum("new"), enum("new", "paid"), `enum value "paid" added (L: they refuse it)`},
		{[]*contract.Format{avro.Format}, opened(enum("new")), opened(enum("new", "paid")), `enum value "paid" added`},
		{everywhere, enum("new"), opened(enum("new")), "opened to further values"},
		{everywhere, opened(enum("new")), enum("new"), "closed to further values"},
		{[]*contract.Format{protobuf.Format}, numbered(0, "new", "paid"), numbered(0, "new"), `enum value "paid" removed (P: they may send it)`},
		{[]*contract.Format{protobuf.Format}, numbered(0, "new"), numbered(0, "new", "paid"), `enum value "paid" added`},
		{[]*contract.Format{protobuf.Format}, numbered(0, "new", "paid"), numbered(0, "new", "open"),
			`number 1 now belongs to "open", it was "paid" (LP: they take one for the other)`},
		{[]*contract.Format{protobuf.Format}, numbered(0, "new"), numbered(0, "none"),
			`number 0 now belongs to "none", it was "new" (LP: they take one for the other)`},
		{[]*contract.Format{protobuf.Format}, numbered(1, "new"), numbered(2, "new"), `enum value "new": number 1 became 2 (LP: to them it is number 1)`},
		{[]*contract.Format{protobuf.Format}, numbered(0, "a", "b"), numbered(0, "b", "a"),
			`number 1 now belongs to "a", it was "b" (LP: they take one for the other); ` +
				`number 0 now belongs to "b", it was "a" (LP: they take one for the other)`},
		{[]*contract.Format{protobuf.Format}, numbered(0, "a"), numbered(0, "b", "a"),
			`enum value "a": number 0 became 1 (LP: to them it is number 0); ` +
				`enum value "b" added; number 0 now belongs to "b", it was "a" (LP: they take one for the other)`},
		{[]*contract.Format{protobuf.Format}, numbered(0, "a"), &contract.Shape{Kind: contract.Enum, Values: []contract.EnumValue{{Name: "a", Number: 0}, {Name: "alias", Number: 0}}},
			`enum value "alias" added`},
		{[]*contract.Format{protobuf.Format}, &contract.Shape{Kind: contract.Enum, Values: []contract.EnumValue{{Name: "a", Number: 0}, {Name: "alias", Number: 0}}}, numbered(0, "a"),
			`enum value "alias" removed (P: they may send it)`},

		// Numbers of fields.
		{[]*contract.Format{protobuf.Format}, object(num(3, "row", "string")), object(num(3, "line", "string")),
			`/row: field renamed to "line" (LP: in their JSON it is "row")`},
		{[]*contract.Format{jsonschema.Format, avro.Format}, object(may("row", "string")), object(may("line", "string")),
			"/row: field removed (L: they read it); /line: field added"},
		{[]*contract.Format{protobuf.Format}, object(num(3, "row", "string")), object(num(3, "seat", "int32")),
			`/row: number 3 now belongs to "seat", it was "row" (LP: they take one for the other)`},
		{[]*contract.Format{protobuf.Format}, object(num(3, "row", "string")), object(num(4, "row", "string")),
			"/row: number 3 became 4 (LP: to them it is number 3)"},
		{[]*contract.Format{protobuf.Format}, object(num(3, "row", "string"), num(5, "seat", "string")), object(num(3, "seat", "string")),
			`/row: field removed (L: they read it); /seat: number 3 now belongs to "seat", it was "row" (LP: they take one for the other)`},
		{[]*contract.Format{protobuf.Format}, object(num(3, "row", "string")), object(num(4, "row", "string"), num(3, "seat", "string")),
			"/row: number 3 became 4 (LP: to them it is number 3); /seat: field added; " +
				`/seat: number 3 now belongs to "seat", it was "row" (LP: they take one for the other)`},
		{[]*contract.Format{protobuf.Format}, object(num(3, "row", "string")), object(num(4, "seat", "string")),
			"/row: field removed (L: they read it); /seat: field added"},
		{[]*contract.Format{protobuf.Format}, object(num(1, "a", "string"), num(2, "b", "string")),
			object(num(8, "x", "string"), num(9, "y", "string"), num(1, "c", "string"), num(2, "d", "string")),
			`/a: field renamed to "c" (LP: in their JSON it is "a"); /b: field renamed to "d" (LP: in their JSON it is "b"); ` +
				"/x: field added; /y: field added"},

		// Oneofs.
		{[]*contract.Format{protobuf.Format}, object(num(1, "a", "string")), object(in("pay", num(1, "a", "string"))),
			`/a: moved into oneof "pay" (P: of several fields that are set, one alone is kept)`},
		{[]*contract.Format{protobuf.Format}, object(in("pay", num(1, "a", "string"))), object(num(1, "a", "string")),
			`/a: moved out of oneof "pay" (L: of several fields that are set, one alone is kept)`},
		{[]*contract.Format{protobuf.Format}, object(in("pay", num(1, "a", "string"))), object(in("buy", num(1, "a", "string"))),
			`/a: moved from oneof "pay" to oneof "buy" (LP: of several fields that are set, one alone is kept)`},

		// Unions.
		{everywhere, either("null", "string"), either("string", "null"), ""},
		{everywhere, either("null", "string"), either("null", "string", "boolean"), `union variant "boolean" added (L: they refuse it)`},
		{everywhere, either("null", "string"), either("string"), `union variant "null" removed (P: they may send it)`},
		{everywhere, either("null", "string"), of("string"), `union variant "null" removed (P: they may send it)`},
		{everywhere, of("string"), either("null", "string"), `union variant "null" added (L: they refuse it)`},
		{everywhere, of("string"), either("string"), ""},
		{[]*contract.Format{avro.Format}, either("null", "int"), either("null", "long"),
			`union variant "int" removed; union variant "long" added (L: they refuse it)`},
		{[]*contract.Format{jsonschema.Format}, either("number"), either("number", "integer"), `union variant "integer" added`},
		{everywhere, union(contract.Variant{Name: "Card", Shape: object()}), union(contract.Variant{Name: "Cash", Shape: object()}),
			`union variant "Card" removed (P: they may send it); union variant "Cash" added (L: they refuse it)`},
		{everywhere, union(contract.Variant{Name: "Card", Shape: object(may("no", "string"))}, contract.Variant{Name: "Cash", Shape: object()}), object(must("no", "string")),
			`/no: made required (P: they may leave it out); union variant "Cash" removed (P: they may send it)`},
		{everywhere, union(contract.Variant{Name: "", Shape: object()}, contract.Variant{Name: "", Shape: object()}), union(contract.Variant{Name: "", Shape: object()}, contract.Variant{Name: "", Shape: object(may("a", "string"))}),
			"/a: field added"},

		// What is deeper.
		{everywhere, object(contract.Field{Name: "items", Shape: arrayOf(object(may("a", "string")))}), object(contract.Field{Name: "items", Shape: arrayOf(object())}),
			"/items/*/a: field removed (L: they read it)"},
		{everywhere, object(contract.Field{Name: "prices", Shape: mapOf(of("string"))}), object(contract.Field{Name: "prices", Shape: mapOf(of("boolean"))}),
			"/prices/{}: string became boolean (LP: to them it is string)"},
		{everywhere, of(contract.Array), arrayOf(of("string")), "/*: anything became string (P: to them it is anything)"},
		{[]*contract.Format{protobuf.Format}, &contract.Shape{Kind: contract.Map, Fields: []contract.Field{num(1, "key", "int32")}, Items: of("string")},
			&contract.Shape{Kind: contract.Map, Fields: []contract.Field{num(1, "key", "string")}, Items: of("string")},
			"/key: int32 became string (LP: to them it is int32)"},
	}
	for _, test := range tests {
		for _, format := range test.formats {
			if got := brief(diffShapes("s", format.Evolution, test.before, test.after)); got != test.want {
				t.Errorf("%s:\n got %s\nwant %s", format, got, test.want)
			}
		}
	}
}

func brief(changes []Change) string {
	list := make([]string, len(changes))
	for i, c := range changes {
		list[i] = contract.Fault{Path: c.Path, Problem: c.What}.String()
		if c.Breaks != "" {
			list[i] += " (" + strings.NewReplacer("listeners", "L", "publishers", "P", " and ", "",
				" that still have the old contract", "").Replace(c.Breaks) + ")"
		}
	}
	return strings.Join(list, "; ")
}

func TestChangeString(t *testing.T) {
	for want, c := range map[string]Change{
		"a:b: event added": {Subject: "a:b", What: "event added"},
		"a:b /id: field removed; breaks listeners that still have the old contract: they read it": {
			"a:b", "/id", "field removed", breaks(true, false, "they read it")},
	} {
		if c.String() != want {
			t.Error(c)
		}
	}
}

// shaped is a codec that has a shape alone.
type shaped struct {
	contract.Codec
	is *contract.Shape
}

func (s shaped) Shape() *contract.Shape { return s.is }

func contractWith(subject string, format *contract.Format, s *contract.Shape) *Contract {
	return &Contract{Subject: subject, Format: format, codec: func() (contract.Codec, error) { return shaped{is: s}, nil }}
}

func TestDiff(t *testing.T) {
	before := newCatalogue(
		contractWith("z", jsonschema.Format, object(may("a", "string"))),
		contractWith("gone", jsonschema.Format, object()),
		contractWith("other", jsonschema.Format, object()),
		contractWith("a", avro.Format, object(must("a", "int"))))
	after := newCatalogue(
		contractWith("new", avro.Format, object()),
		contractWith("other", avro.Format, object()),
		contractWith("a", avro.Format, object(may("a", "long"))),
		contractWith("z", jsonschema.Format, object()))
	changes, err := Diff(before, after)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range changes {
		got = append(got, c.Subject+" "+brief([]Change{c}))
	}
	want := []string{
		"z /a: field removed (L: they read it)",
		"gone event removed (LP: they still use it)",
		"other format jsonschema became avro (LP: to them it is jsonschema)",
		"a /a: made optional",
		"a /a: int became long (L: to them it is int)",
		"new event added",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if changes, err := Diff(before, before); len(changes) > 0 || err != nil {
		t.Error(changes, err)
	}
	broken := contractWith("a", avro.Format, nil)
	cause := errors.New("broken")
	broken.codec = func() (contract.Codec, error) { return nil, cause }
	for which, pair := range map[string][2]*Catalogue{"new": {before, newCatalogue(before.contracts[0], broken)}, "old": {newCatalogue(broken), after}} {
		if _, err := Diff(pair[0], pair[1]); !errors.Is(err, cause) || !strings.Contains(err.Error(), which) {
			t.Errorf("%s: %v", which, err)
		}
	}
}

// What the rules say of types is what the formats' own libraries do.
func TestReads(t *testing.T) {
	check := func(format *contract.Format, reader, writer string, does bool) {
		t.Helper()
		if d := (&comparison{rules: format.Evolution}); d.reads(reader, writer) != does {
			t.Errorf("%s: %s reads %s: should be %v", format, reader, writer, does)
		}
	}
	avros := []string{"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
	for _, reader := range avros {
		for _, writer := range avros {
			err := twmb.CheckCompatibility(twmb.MustParse(`"`+writer+`"`), twmb.MustParse(`"`+reader+`"`))
			check(avro.Format, reader, writer, err == nil)
		}
	}

	values := map[string][]string{"string": {`"x"`, `""`}, "number": {`1`, `1.5`}, "integer": {`1`}, "boolean": {`true`}, "null": {`null`}, "array": {`[]`}, "object": {`{}`}}
	for reader := range values {
		c := validator.NewCompiler()
		if err := c.AddResource("mem:s", map[string]any{"type": reader}); err != nil {
			t.Fatal(err)
		}
		schema := c.MustCompile("mem:s")
		for writer, texts := range values {
			all := true
			for _, text := range texts {
				value, err := validator.UnmarshalJSON(strings.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				all = all && schema.Validate(value) == nil
			}
			check(jsonschema.Format, reader, writer, all)
		}
	}
	check(jsonschema.Format, "date-time", "string", false)
	check(jsonschema.Format, "string", "uuid", true)
}

// A Protobuf type reads another if the same bytes are the same JSON to it, but
// for the quotes around what has 64 bits.
func TestReadsProtobuf(t *testing.T) {
	values := map[string][]string{
		"bool": {"true"}, "string": {`"é"`, `"YQ=="`}, "bytes": {`"YQ=="`}, "float": {"1.5"}, "double": {"1.5"},
		"int32": {"-1", "1", "2147483647"}, "sint32": {"-1", "1", "2147483647"}, "sfixed32": {"-1", "1"}, "uint32": {"1", "4294967295"}, "fixed32": {"1", "4294967295"},
		"int64": {"-1", "1", "9223372036854775807"}, "sint64": {"-1", "1", "9223372036854775807"}, "sfixed64": {"-1", "1"},
		"uint64": {"1", "18446744073709551615"}, "fixed64": {"1", "18446744073709551615"},
	}
	messages := make(map[string]protoreflect.MessageDescriptor)
	for kind := range values {
		wire := descriptorpb.FieldDescriptorProto_Type_value["TYPE_"+strings.ToUpper(kind)]
		file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
			Name: proto.String("x.proto"), Syntax: proto.String("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("M"), Field: []*descriptorpb.FieldDescriptorProto{{
				Name: proto.String("f"), Number: proto.Int32(1),
				Type: descriptorpb.FieldDescriptorProto_Type(wire).Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			}}}},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		messages[kind] = file.Messages().Get(0)
	}
	read := func(reader, writer, text string) bool {
		written, got := dynamicpb.NewMessage(messages[writer]), dynamicpb.NewMessage(messages[reader])
		if err := protojson.Unmarshal([]byte(`{"f":`+text+`}`), written); err != nil {
			t.Fatal(err)
		}
		wire, err := proto.Marshal(written)
		if err != nil {
			t.Fatal(err)
		}
		if proto.Unmarshal(wire, got) != nil {
			return false
		}
		back, err := protojson.Marshal(got)
		plain := strings.NewReplacer(" ", "", `"`, "")
		return err == nil && plain.Replace(string(back)) == plain.Replace(`{"f":`+text+`}`)
	}
	for reader := range values {
		for writer, texts := range values {
			all := true
			for _, text := range texts {
				all = all && read(reader, writer, text)
			}
			if d := (&comparison{rules: protobuf.Format.Evolution}); d.reads(reader, writer) != all {
				t.Errorf("%s reads %s: should be %v", reader, writer, all)
			}
		}
	}
}

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

// Whom a change of an Avro contract breaks, by the rules, is whom it breaks by
// the library: listeners if the old schema can't read what the new one wrote,
// publishers if the new one can't read what the old one wrote. The rules are
// stricter where something that others rely on is gone, default or not.
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
