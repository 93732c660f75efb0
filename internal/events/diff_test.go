package events

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"nats-test/internal/events/avro"
	"nats-test/internal/events/contract"
	"nats-test/internal/events/jsonschema"
	"nats-test/internal/events/protobuf"
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

// Every rule, in each format where it differs. In want, L means listeners that
// still have the old contract, P publishers.
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
		{everywhere, object(), opened(object()), "now allows further fields"},
		{everywhere, opened(object()), object(), "no longer allows further fields (P: they may send further ones)"},

		// Types. Those of each format are held against its library below.
		{everywhere, of("string"), of("boolean"), "string became boolean (LP: they use string)"},
		{everywhere, of(contract.Array), of(contract.Map), "array became map (LP: they use array)"},
		{everywhere, of("string"), of(contract.Any), "string became anything (L: they use string)"},
		{everywhere, of(contract.Any), of("string"), "anything became string (P: they use anything)"},
		{everywhere, of(contract.Any), nil, ""},
		{everywhere, union(), of(contract.Any), "union became anything (L: they use union)"},
		{[]*contract.Format{jsonschema.Format}, of("number"), of("integer"), "number became integer (P: they use number)"},
		{[]*contract.Format{jsonschema.Format}, of("integer"), of("number"), "integer became number (L: they use integer)"},
		{[]*contract.Format{jsonschema.Format}, of("string"), of("date-time"), "string became date-time (P: they use string)"},
		{[]*contract.Format{jsonschema.Format}, of("string"), enum("a"), "string became enum (P: they use string)"},
		{[]*contract.Format{jsonschema.Format}, enum("a"), of("string"), "enum became string (L: they use enum)"},
		{[]*contract.Format{avro.Format}, of("int"), of("long"), "int became long (L: they use int)"},
		{[]*contract.Format{avro.Format}, of("long"), of("int"), "long became int (P: they use long)"},
		{[]*contract.Format{avro.Format}, of("string"), of("bytes"), "string became bytes"},
		{[]*contract.Format{avro.Format}, enum("a"), of("string"), "enum became string (LP: they use enum)"},
		{[]*contract.Format{protobuf.Format}, of("int32"), of("int64"), "int32 became int64 (L: they use int32)"},
		{[]*contract.Format{protobuf.Format}, of("int32"), of("uint32"), "int32 became uint32 (LP: they use int32)"},
		{[]*contract.Format{protobuf.Format}, of("string"), of("bytes"), "string became bytes (LP: they use string)"},
		{[]*contract.Format{protobuf.Format}, of("int32"), arrayOf(of("int32")), "int32 became array (LP: they use int32)"},

		// Enums.
		{everywhere, enum("a", "b"), enum("b", "a"), ""},
		{[]*contract.Format{jsonschema.Format, avro.Format}, enum("new", "paid"), enum("new"), `enum value "paid" removed (P: they may send it)`},
		{[]*contract.Format{jsonschema.Format, avro.Format}, enum("new"), enum("new", "paid"), `enum value "paid" added (L: they refuse it)`},
		{[]*contract.Format{avro.Format}, opened(enum("new")), opened(enum("new", "paid")), `enum value "paid" added`},
		{everywhere, enum("new"), opened(enum("new")), "now allows further values"},
		{everywhere, opened(enum("new")), enum("new"), "no longer allows further values"},
		{[]*contract.Format{protobuf.Format}, numbered(0, "new", "paid"), numbered(0, "new"), `enum value "paid" removed (P: they may send it)`},
		{[]*contract.Format{protobuf.Format}, numbered(0, "new"), numbered(0, "new", "paid"), `enum value "paid" added`},
		{[]*contract.Format{protobuf.Format}, numbered(0, "new", "paid"), numbered(0, "new", "open"),
			`number 1 now belongs to "open", it was "paid" (LP: they mix the two up)`},
		{[]*contract.Format{protobuf.Format}, numbered(0, "new"), numbered(0, "none"),
			`number 0 now belongs to "none", it was "new" (LP: they mix the two up)`},
		{[]*contract.Format{protobuf.Format}, numbered(1, "new"), numbered(2, "new"), `enum value "new": number 1 became 2 (LP: they use number 1)`},
		{[]*contract.Format{protobuf.Format}, numbered(0, "a", "b"), numbered(0, "b", "a"),
			`number 1 now belongs to "a", it was "b" (LP: they mix the two up); ` +
				`number 0 now belongs to "b", it was "a" (LP: they mix the two up)`},
		{[]*contract.Format{protobuf.Format}, numbered(0, "a"), numbered(0, "b", "a"),
			`enum value "a": number 0 became 1 (LP: they use number 0); ` +
				`enum value "b" added; number 0 now belongs to "b", it was "a" (LP: they mix the two up)`},
		{[]*contract.Format{protobuf.Format}, numbered(0, "a"), &contract.Shape{Kind: contract.Enum, Values: []contract.EnumValue{{Name: "a", Number: 0}, {Name: "alias", Number: 0}}},
			`enum value "alias" added`},
		{[]*contract.Format{protobuf.Format}, &contract.Shape{Kind: contract.Enum, Values: []contract.EnumValue{{Name: "a", Number: 0}, {Name: "alias", Number: 0}}}, numbered(0, "a"),
			`enum value "alias" removed (P: they may send it)`},

		// Numbers of fields.
		{[]*contract.Format{protobuf.Format}, object(num(3, "row", "string")), object(num(3, "line", "string")),
			`/row: field renamed to "line" (LP: their JSON has "row")`},
		{[]*contract.Format{jsonschema.Format, avro.Format}, object(may("row", "string")), object(may("line", "string")),
			"/row: field removed (L: they read it); /line: field added"},
		{[]*contract.Format{protobuf.Format}, object(num(3, "row", "string")), object(num(3, "seat", "int32")),
			`/row: number 3 now belongs to "seat", it was "row" (LP: they mix the two up)`},
		{[]*contract.Format{protobuf.Format}, object(num(3, "row", "string")), object(num(4, "row", "string")),
			"/row: number 3 became 4 (LP: they use number 3)"},
		{[]*contract.Format{protobuf.Format}, object(num(3, "row", "string"), num(5, "seat", "string")), object(num(3, "seat", "string")),
			`/row: field removed (L: they read it); /seat: number 3 now belongs to "seat", it was "row" (LP: they mix the two up)`},
		{[]*contract.Format{protobuf.Format}, object(num(3, "row", "string")), object(num(4, "row", "string"), num(3, "seat", "string")),
			"/row: number 3 became 4 (LP: they use number 3); /seat: field added; " +
				`/seat: number 3 now belongs to "seat", it was "row" (LP: they mix the two up)`},
		{[]*contract.Format{protobuf.Format}, object(num(3, "row", "string")), object(num(4, "seat", "string")),
			"/row: field removed (L: they read it); /seat: field added"},
		{[]*contract.Format{protobuf.Format}, object(num(1, "a", "string"), num(2, "b", "string")),
			object(num(8, "x", "string"), num(9, "y", "string"), num(1, "c", "string"), num(2, "d", "string")),
			`/a: field renamed to "c" (LP: their JSON has "a"); /b: field renamed to "d" (LP: their JSON has "b"); ` +
				"/x: field added; /y: field added"},

		// Oneofs.
		{[]*contract.Format{protobuf.Format}, object(num(1, "a", "string")), object(in("pay", num(1, "a", "string"))),
			`/a: moved into oneof "pay" (P: only one of several fields set is kept)`},
		{[]*contract.Format{protobuf.Format}, object(in("pay", num(1, "a", "string"))), object(num(1, "a", "string")),
			`/a: moved out of oneof "pay" (L: only one of several fields set is kept)`},
		{[]*contract.Format{protobuf.Format}, object(in("pay", num(1, "a", "string"))), object(in("buy", num(1, "a", "string"))),
			`/a: moved from oneof "pay" to oneof "buy" (LP: only one of several fields set is kept)`},

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

		// Nested differences.
		{everywhere, object(contract.Field{Name: "items", Shape: arrayOf(object(may("a", "string")))}), object(contract.Field{Name: "items", Shape: arrayOf(object())}),
			"/items/*/a: field removed (L: they read it)"},
		{everywhere, object(contract.Field{Name: "prices", Shape: mapOf(of("string"))}), object(contract.Field{Name: "prices", Shape: mapOf(of("boolean"))}),
			"/prices/{}: string became boolean (LP: they use string)"},
		{everywhere, of(contract.Array), arrayOf(of("string")), "/*: anything became string (P: they use anything)"},
		{[]*contract.Format{protobuf.Format}, &contract.Shape{Kind: contract.Map, Fields: []contract.Field{num(1, "key", "int32")}, Items: of("string")},
			&contract.Shape{Kind: contract.Map, Fields: []contract.Field{num(1, "key", "string")}, Items: of("string")},
			"/key: int32 became string (LP: they use int32)"},
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
		"other format jsonschema became avro (LP: they use jsonschema)",
		"a /a: made optional",
		"a /a: int became long (L: they use int)",
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
