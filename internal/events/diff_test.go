package events

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/twmb/avro"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

func of(kind string) *shape              { return &shape{kind: kind} }
func object(fields ...field) *shape      { return &shape{kind: shapeObject, fields: fields} }
func opened(s *shape) *shape             { s.open = true; return s }
func enum(names ...string) *shape        { return numbered(-1, names...) }
func union(variants ...variant) *shape   { return &shape{kind: shapeUnion, variants: variants} }
func may(name, kind string) field        { return field{name: name, shape: of(kind)} }
func must(name, kind string) field       { return field{name: name, required: true, shape: of(kind)} }
func num(n int, name, kind string) field { return field{name: name, number: n, shape: of(kind)} }
func in(oneof string, f field) field     { f.oneof = oneof; return f }
func arrayOf(s *shape) *shape            { return &shape{kind: shapeArray, items: s} }
func mapOf(s *shape) *shape              { return &shape{kind: shapeMap, items: s} }
func either(kinds ...string) (all *shape) {
	all = union()
	for _, k := range kinds {
		all.variants = append(all.variants, variant{shape: of(k)})
	}
	return all
}

// numbered returns an enum whose values are numbered from first on.
func numbered(first int, names ...string) *shape {
	s := &shape{kind: shapeEnum}
	for i, name := range names {
		v := enumValue{name: name}
		if first >= 0 {
			v.number = first + i
		}
		s.values = append(s.values, v)
	}
	return s
}

// Every rule, in each format where it differs. In want, L stands for listeners
// that still have the old contract, P for publishers that do.
func TestDiffShapes(t *testing.T) {
	everywhere := []*Format{jsonSchemaFormat, protobufFormat, avroFormat}
	tests := []struct {
		formats       []*Format
		before, after *shape
		want          string
	}{
		{everywhere, object(may("a", "string")), object(), "/a: field removed (L: they read it)"},
		{everywhere, object(must("a", "string")), object(), "/a: field removed (L: they read it)"},
		{everywhere, object(), object(may("a/b", "string")), "/a~1b: field added"},
		{everywhere, object(), object(must("a", "string")), "/a: required field added (P: they leave it out)"},
		{everywhere, object(may("a", "string")), object(must("a", "string")), "/a: made required (P: they may leave it out)"},
		{[]*Format{jsonSchemaFormat, protobufFormat}, object(must("a", "string")), object(may("a", "string")), "/a: made optional (L: they require it)"},
		{[]*Format{avroFormat}, object(must("a", "string")), object(may("a", "string")), "/a: made optional"},
		{everywhere, object(may("a", "string"), may("b", "string")), object(may("b", "string"), may("a", "string")), ""},
		{everywhere, object(), opened(object()), "opened to further fields"},
		{everywhere, opened(object()), object(), "closed to further fields (P: they may send further ones)"},

		// Types. Those of each format are held against its library below.
		{everywhere, of("string"), of("boolean"), "string became boolean (LP: to them it is string)"},
		{everywhere, of(shapeArray), of(shapeMap), "array became map (LP: to them it is array)"},
		{everywhere, of("string"), of(shapeAny), "string became anything (L: to them it is string)"},
		{everywhere, of(shapeAny), of("string"), "anything became string (P: to them it is anything)"},
		{everywhere, of(shapeAny), nil, ""},
		{everywhere, union(), of(shapeAny), "union became anything (L: to them it is union)"},
		{[]*Format{jsonSchemaFormat}, of("number"), of("integer"), "number became integer (P: to them it is number)"},
		{[]*Format{jsonSchemaFormat}, of("integer"), of("number"), "integer became number (L: to them it is integer)"},
		{[]*Format{jsonSchemaFormat}, of("string"), of("date-time"), "string became date-time (P: to them it is string)"},
		{[]*Format{jsonSchemaFormat}, of("string"), enum("a"), "string became enum (P: to them it is string)"},
		{[]*Format{jsonSchemaFormat}, enum("a"), of("string"), "enum became string (L: to them it is enum)"},
		{[]*Format{avroFormat}, of("int"), of("long"), "int became long (L: to them it is int)"},
		{[]*Format{avroFormat}, of("long"), of("int"), "long became int (P: to them it is long)"},
		{[]*Format{avroFormat}, of("string"), of("bytes"), "string became bytes"},
		{[]*Format{avroFormat}, enum("a"), of("string"), "enum became string (LP: to them it is enum)"},
		{[]*Format{protobufFormat}, of("int32"), of("int64"), "int32 became int64 (L: to them it is int32)"},
		{[]*Format{protobufFormat}, of("int32"), of("uint32"), "int32 became uint32 (LP: to them it is int32)"},
		{[]*Format{protobufFormat}, of("string"), of("bytes"), "string became bytes (LP: to them it is string)"},
		{[]*Format{protobufFormat}, of("int32"), arrayOf(of("int32")), "int32 became array (LP: to them it is int32)"},

		// Enums.
		{everywhere, enum("a", "b"), enum("b", "a"), ""},
		{[]*Format{jsonSchemaFormat, avroFormat}, enum("new", "paid"), enum("new"), `enum value "paid" removed (P: they may send it)`},
		{[]*Format{jsonSchemaFormat, avroFormat}, enum("new"), enum("new", "paid"), `enum value "paid" added (L: they refuse it)`},
		{[]*Format{avroFormat}, opened(enum("new")), opened(enum("new", "paid")), `enum value "paid" added`},
		{everywhere, enum("new"), opened(enum("new")), "opened to further values"},
		{everywhere, opened(enum("new")), enum("new"), "closed to further values"},
		{[]*Format{protobufFormat}, numbered(0, "new", "paid"), numbered(0, "new"), `enum value "paid" removed (P: they may send it)`},
		{[]*Format{protobufFormat}, numbered(0, "new"), numbered(0, "new", "paid"), `enum value "paid" added`},
		{[]*Format{protobufFormat}, numbered(0, "new", "paid"), numbered(0, "new", "open"),
			`number 1 now belongs to "open", it was "paid" (LP: they take one for the other)`},
		{[]*Format{protobufFormat}, numbered(0, "new"), numbered(0, "none"),
			`number 0 now belongs to "none", it was "new" (LP: they take one for the other)`},
		{[]*Format{protobufFormat}, numbered(1, "new"), numbered(2, "new"), `enum value "new": number 1 became 2 (LP: to them it is number 1)`},
		{[]*Format{protobufFormat}, numbered(0, "a", "b"), numbered(0, "b", "a"),
			`number 1 now belongs to "a", it was "b" (LP: they take one for the other); ` +
				`number 0 now belongs to "b", it was "a" (LP: they take one for the other)`},
		{[]*Format{protobufFormat}, numbered(0, "a"), numbered(0, "b", "a"),
			`enum value "a": number 0 became 1 (LP: to them it is number 0); ` +
				`enum value "b" added; number 0 now belongs to "b", it was "a" (LP: they take one for the other)`},
		{[]*Format{protobufFormat}, numbered(0, "a"), &shape{kind: shapeEnum, values: []enumValue{{"a", 0}, {"alias", 0}}},
			`enum value "alias" added`},
		{[]*Format{protobufFormat}, &shape{kind: shapeEnum, values: []enumValue{{"a", 0}, {"alias", 0}}}, numbered(0, "a"),
			`enum value "alias" removed (P: they may send it)`},

		// Numbers of fields.
		{[]*Format{protobufFormat}, object(num(3, "row", "string")), object(num(3, "line", "string")),
			`/row: field renamed to "line" (LP: in their JSON it is "row")`},
		{[]*Format{jsonSchemaFormat, avroFormat}, object(may("row", "string")), object(may("line", "string")),
			"/row: field removed (L: they read it); /line: field added"},
		{[]*Format{protobufFormat}, object(num(3, "row", "string")), object(num(3, "seat", "int32")),
			`/row: number 3 now belongs to "seat", it was "row" (LP: they take one for the other)`},
		{[]*Format{protobufFormat}, object(num(3, "row", "string")), object(num(4, "row", "string")),
			"/row: number 3 became 4 (LP: to them it is number 3)"},
		{[]*Format{protobufFormat}, object(num(3, "row", "string"), num(5, "seat", "string")), object(num(3, "seat", "string")),
			`/row: field removed (L: they read it); /seat: number 3 now belongs to "seat", it was "row" (LP: they take one for the other)`},
		{[]*Format{protobufFormat}, object(num(3, "row", "string")), object(num(4, "row", "string"), num(3, "seat", "string")),
			"/row: number 3 became 4 (LP: to them it is number 3); /seat: field added; " +
				`/seat: number 3 now belongs to "seat", it was "row" (LP: they take one for the other)`},
		{[]*Format{protobufFormat}, object(num(3, "row", "string")), object(num(4, "seat", "string")),
			"/row: field removed (L: they read it); /seat: field added"},
		{[]*Format{protobufFormat}, object(num(1, "a", "string"), num(2, "b", "string")),
			object(num(8, "x", "string"), num(9, "y", "string"), num(1, "c", "string"), num(2, "d", "string")),
			`/a: field renamed to "c" (LP: in their JSON it is "a"); /b: field renamed to "d" (LP: in their JSON it is "b"); ` +
				"/x: field added; /y: field added"},

		// Oneofs.
		{[]*Format{protobufFormat}, object(num(1, "a", "string")), object(in("pay", num(1, "a", "string"))),
			`/a: moved into oneof "pay" (P: of several fields that are set, one alone is kept)`},
		{[]*Format{protobufFormat}, object(in("pay", num(1, "a", "string"))), object(num(1, "a", "string")),
			`/a: moved out of oneof "pay" (L: of several fields that are set, one alone is kept)`},
		{[]*Format{protobufFormat}, object(in("pay", num(1, "a", "string"))), object(in("buy", num(1, "a", "string"))),
			`/a: moved from oneof "pay" to oneof "buy" (LP: of several fields that are set, one alone is kept)`},

		// Unions.
		{everywhere, either("null", "string"), either("string", "null"), ""},
		{everywhere, either("null", "string"), either("null", "string", "boolean"), `union variant "boolean" added (L: they refuse it)`},
		{everywhere, either("null", "string"), either("string"), `union variant "null" removed (P: they may send it)`},
		{everywhere, either("null", "string"), of("string"), `union variant "null" removed (P: they may send it)`},
		{everywhere, of("string"), either("null", "string"), `union variant "null" added (L: they refuse it)`},
		{everywhere, of("string"), either("string"), ""},
		{[]*Format{avroFormat}, either("null", "int"), either("null", "long"),
			`union variant "int" removed; union variant "long" added (L: they refuse it)`},
		{[]*Format{jsonSchemaFormat}, either("number"), either("number", "integer"), `union variant "integer" added`},
		{everywhere, union(variant{"Card", object()}), union(variant{"Cash", object()}),
			`union variant "Card" removed (P: they may send it); union variant "Cash" added (L: they refuse it)`},
		{everywhere, union(variant{"Card", object(may("no", "string"))}, variant{"Cash", object()}), object(must("no", "string")),
			`/no: made required (P: they may leave it out); union variant "Cash" removed (P: they may send it)`},
		{everywhere, union(variant{"", object()}, variant{"", object()}), union(variant{"", object()}, variant{"", object(may("a", "string"))}),
			"/a: field added"},

		// What is deeper.
		{everywhere, object(field{name: "items", shape: arrayOf(object(may("a", "string")))}), object(field{name: "items", shape: arrayOf(object())}),
			"/items/*/a: field removed (L: they read it)"},
		{everywhere, object(field{name: "prices", shape: mapOf(of("string"))}), object(field{name: "prices", shape: mapOf(of("boolean"))}),
			"/prices/{}: string became boolean (LP: to them it is string)"},
		{everywhere, of(shapeArray), arrayOf(of("string")), "/*: anything became string (P: to them it is anything)"},
		{[]*Format{protobufFormat}, &shape{kind: shapeMap, fields: []field{num(1, "key", "int32")}, items: of("string")},
			&shape{kind: shapeMap, fields: []field{num(1, "key", "string")}, items: of("string")},
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
		list[i] = Fault{c.Path, c.What}.String()
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
	codec
	is *shape
}

func (s shaped) shape() *shape { return s.is }

func contractWith(subject string, format *Format, s *shape) *Contract {
	return &Contract{Subject: subject, Format: format, codec: func() (codec, error) { return shaped{is: s}, nil }}
}

func TestDiff(t *testing.T) {
	before := newCatalogue(
		contractWith("z", jsonSchemaFormat, object(may("a", "string"))),
		contractWith("gone", jsonSchemaFormat, object()),
		contractWith("other", jsonSchemaFormat, object()),
		contractWith("a", avroFormat, object(must("a", "int"))))
	after := newCatalogue(
		contractWith("new", avroFormat, object()),
		contractWith("other", avroFormat, object()),
		contractWith("a", avroFormat, object(may("a", "long"))),
		contractWith("z", jsonSchemaFormat, object()))
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
	broken := contractWith("a", avroFormat, nil)
	cause := errors.New("broken")
	broken.codec = func() (codec, error) { return nil, cause }
	for which, pair := range map[string][2]*Catalogue{"new": {before, newCatalogue(before.contracts[0], broken)}, "old": {newCatalogue(broken), after}} {
		if _, err := Diff(pair[0], pair[1]); !errors.Is(err, cause) || !strings.Contains(err.Error(), which) {
			t.Errorf("%s: %v", which, err)
		}
	}
}

// What the rules say of types is what the formats' own libraries do.
func TestReads(t *testing.T) {
	check := func(format *Format, reader, writer string, does bool) {
		t.Helper()
		if d := (&comparison{rules: format.Evolution}); d.reads(reader, writer) != does {
			t.Errorf("%s: %s reads %s: should be %v", format, reader, writer, does)
		}
	}
	avros := []string{"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
	for _, reader := range avros {
		for _, writer := range avros {
			err := avro.CheckCompatibility(avro.MustParse(`"`+writer+`"`), avro.MustParse(`"`+reader+`"`))
			check(avroFormat, reader, writer, err == nil)
		}
	}

	values := map[string][]string{"string": {`"x"`, `""`}, "number": {`1`, `1.5`}, "integer": {`1`}, "boolean": {`true`}, "null": {`null`}, "array": {`[]`}, "object": {`{}`}}
	for reader := range values {
		c := jsonschema.NewCompiler()
		if err := c.AddResource("mem:s", map[string]any{"type": reader}); err != nil {
			t.Fatal(err)
		}
		schema := c.MustCompile("mem:s")
		for writer, texts := range values {
			all := true
			for _, text := range texts {
				value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				all = all && schema.Validate(value) == nil
			}
			check(jsonSchemaFormat, reader, writer, all)
		}
	}
	check(jsonSchemaFormat, "date-time", "string", false)
	check(jsonSchemaFormat, "string", "uuid", true)
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
			if d := (&comparison{rules: protobufFormat.Evolution}); d.reads(reader, writer) != all {
				t.Errorf("%s reads %s: should be %v", reader, writer, all)
			}
		}
	}
}

// A wood makes random shapes, some of them cyclic.
type wood struct {
	*rand.Rand
	grown []*shape
}

func (w *wood) shape(depth int) *shape {
	if len(w.grown) > 0 && w.IntN(8) == 0 {
		return w.grown[w.IntN(len(w.grown))]
	}
	kinds := []string{"string", "boolean", "int32", shapeAny, shapeEnum, shapeObject, shapeObject, shapeObject, shapeArray, shapeMap, shapeUnion}
	if depth == 0 {
		kinds = kinds[:5]
	}
	s := of(kinds[w.IntN(len(kinds))])
	w.grown = append(w.grown, s)
	switch s.kind {
	case shapeObject:
		s.open = w.IntN(2) == 0
		for i := range w.IntN(5) {
			f := field{name: fmt.Sprint("f", i), number: i + 1, required: w.IntN(2) == 0, shape: w.shape(depth - 1)}
			if w.IntN(4) == 0 {
				f.oneof = "one"
			}
			s.fields = append(s.fields, f)
		}
	case shapeEnum:
		s.values = numbered(0, []string{"a", "b", "c"}[:1+w.IntN(3)]...).values
	case shapeArray, shapeMap:
		s.items = w.shape(depth - 1)
	case shapeUnion:
		for i := range 1 + w.IntN(3) {
			s.variants = append(s.variants, variant{fmt.Sprint("v", i), w.shape(depth - 1)})
		}
	}
	return s
}

// copied copies a shape with all its cycles.
func copied(s *shape, known map[*shape]*shape) *shape {
	if s == nil || known[s] != nil {
		return known[s]
	}
	c := *s
	known[s] = &c
	c.fields, c.values, c.variants = slices.Clone(s.fields), slices.Clone(s.values), slices.Clone(s.variants)
	c.items = copied(s.items, known)
	for i := range c.fields {
		c.fields[i].shape = copied(c.fields[i].shape, known)
	}
	for i := range c.variants {
		c.variants[i].shape = copied(c.variants[i].shape, known)
	}
	return &c
}

// mutate makes one change in one of a copy's shapes.
func (w *wood) mutate(all []*shape, format *Format) string {
	s := all[w.IntN(len(all))]
	choice := w.IntN(6)
	switch {
	case s.kind == shapeObject && choice == 0:
		s.open = !s.open
		return "open"
	case s.kind == shapeObject && choice == 1:
		s.fields = append(s.fields, field{name: "new", number: 99, shape: of("string")})
		return "field added"
	case s.kind == shapeObject && len(s.fields) > 0:
		i := w.IntN(len(s.fields))
		f := &s.fields[i]
		switch {
		case choice == 2:
			s.fields = slices.Delete(s.fields, i, i+1)
			return "field removed"
		case choice == 3:
			f.name = "renamed"
			return "field renamed"
		case choice == 4 && format == protobufFormat:
			f.number = 1 + f.number%len(s.fields) + w.IntN(2)*50
			if f.number != i+1 {
				return "number changed"
			}
			f.oneof += "x"
			return "oneof changed"
		}
		f.required = !f.required
		return "required"
	case s.kind == shapeEnum && choice < 2:
		s.values = append(s.values, enumValue{"new", 99})
		return "value added"
	case s.kind == shapeEnum && choice < 4:
		s.values[0].name = "renamed"
		return "value renamed"
	case s.kind == shapeUnion && choice < 2:
		s.variants = append(s.variants, variant{"new", of("string")})
		return "variant added"
	case s.kind == shapeUnion && choice < 4 && len(s.variants) > 1:
		s.variants = s.variants[1:]
		return "variant removed"
	}
	if s.kind == shapeUnion && len(s.variants) == 1 {
		return s.kind + " kept" // it may be the same as its only variant
	}
	*s = shape{kind: "other"}
	return "kind"
}

func FuzzDiffShapes(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := &wood{Rand: rand.New(rand.NewPCG(seed, 0))}
		before := w.shape(4)
		known := make(map[*shape]*shape)
		after := copied(before, known)
		for _, format := range []*Format{jsonSchemaFormat, protobufFormat, avroFormat} {
			if changes := diffShapes("s", format.Evolution, before, after); len(changes) > 0 {
				t.Fatalf("%s: of itself: %v", format, changes)
			}
			diffShapes("s", format.Evolution, before, w.shape(4))
		}
		var all []*shape
		for _, s := range w.grown {
			if known[s] != nil {
				all = append(all, known[s])
			}
		}
		format := []*Format{jsonSchemaFormat, protobufFormat, avroFormat}[w.IntN(3)]
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
	deep := func() *shape {
		s := object(may("leaf", "string"))
		for range 60 {
			s = object(field{name: "a", shape: s}, field{name: "b", shape: s})
		}
		return s
	}
	after := deep()
	if changes := diffShapes("s", avroFormat.Evolution, deep(), after); len(changes) > 0 {
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
		was, is    *shape
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
			before, after := avro.MustParse(test.one), avro.MustParse(test.other)
			changes := diffShapes("s", avroFormat.Evolution, test.was, test.is)
			told := brief(changes)
			exactly := brief(slices.DeleteFunc(changes, func(c Change) bool { return slices.Contains(stricter, c.What) }))
			for side, broken := range map[string]bool{
				"(L":  avro.CheckCompatibility(after, before) != nil,
				"P: ": avro.CheckCompatibility(before, after) != nil,
			} {
				if broken && !strings.Contains(told, side) || !broken && strings.Contains(exactly, side) {
					t.Errorf("%s became %s: %q is broken: %v, but told is %q", test.one, test.other, side, broken, told)
				}
			}
			test.one, test.other, test.was, test.is = test.other, test.one, test.is, test.was
		}
	}
}
