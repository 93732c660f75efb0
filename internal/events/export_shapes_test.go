package events

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// record makes a shape for tests: the fields whose names end in "?" are optional.
func record(fields ...any) *shape {
	s := &shape{kind: shapeObject}
	for i := 0; i < len(fields); i += 2 {
		name, optional := strings.CutSuffix(fields[i].(string), "?")
		s.fields = append(s.fields, field{name: name, required: !optional, shape: fields[i+1].(*shape)})
	}
	return s
}

func choice(values ...string) *shape {
	s := &shape{kind: shapeEnum}
	for _, v := range values {
		s.values = append(s.values, enumValue{name: v})
	}
	return s
}

func only(kind string) *shape { return &shape{kind: kind} }

func listOf(items *shape) *shape { return &shape{kind: shapeArray, items: items} }

func mapping(items *shape) *shape { return &shape{kind: shapeMap, items: items} }

// What no built-in contract has, but another catalogue's may.
func TestExportOfOtherShapes(t *testing.T) {
	events := []*exportEvent{{
		subject:     "com.acme.seat:booked-v2",
		description: "it's a: \"seat\" */ # <é>\n- and\r more ${x} `y` // z \\",
		shape: record("seatID", only("string"), "userIDs", listOf(only("string")), "row_no?", only("integer"), "URL2go", only("string"),
			"option?", only("boolean"), "message", listOf(record("at?", only("date-time"))), "prices", mapping(only("number")),
			"seats?", mapping(record("kind", choice("box", "row 1"))), "kind", choice("'box'", "x", "X y\\\n"), "string", record()),
		example: map[string]any{"seatID": "é<\"\n", "userIDs": []any{"a", "b"}, "row_no": json.Number("7"), "URL2go": "", "option": true,
			"message": []any{map[string]any{}, map[string]any{"at": "2030-01-02T03:04:05.678Z"}}, "prices": map[string]any{"b": json.Number("2"), "a": json.Number("1.50")},
			"seats": map[string]any{"": map[string]any{"kind": "box"}}, "kind": "'box'", "string": map[string]any{}},
	}, {
		subject: "com.acme.seat:freed", description: "",
		shape: record("kind", choice("'box'", "x", "X y\\\n"), "rest?", record("kind", choice("a"))), example: map[string]any{"kind": "x"},
	}, {
		subject: "com.acme.seat:other", description: "", // whose kind has other values
		shape: record("kind?", choice("a", "b")), example: map[string]any{},
	}}
	for _, as := range []string{"proto", "avro", "typescript"} {
		x := &export{as: as}
		for _, e := range events {
			x.addEvent(e)
		}
		files, err := x.files()
		if err != nil {
			t.Errorf("%s: %v", as, err)
			continue
		}
		if as != "typescript" {
			entries := entriesOf(t, files)
			if len(entries) != 3 || entries[0].Description != strings.NewReplacer("\n", " ", "\r", " ").Replace(events[0].description) {
				t.Errorf("%s: %q", as, entries)
			}
		}
		compile(t, as, files)
	}
}

func TestManifestOfOddSubjects(t *testing.T) {
	x := &export{as: "jsonschema"}
	subjects := []string{"true", "null", "y", "a:", "a.1e3", "x#a", "x/b", "x'c", `x"d`, "{e}", "&f.y", "é.x.z"}
	for _, s := range subjects {
		x.addEvent(&exportEvent{subject: s, description: s, shape: record("x-"+s, only("string")), example: map[string]any{"x-" + s: s}})
	}
	files, err := x.files()
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entriesOf(t, files) {
		var example map[string]string
		if err := json.Unmarshal([]byte(e.Example), &example); err != nil || example["x-"+subjects[i]] != subjects[i] {
			t.Errorf("%s: %s (%v)", subjects[i], e.Example, err)
		}
		if e.Subject != subjects[i] || e.Description != subjects[i] {
			t.Errorf("%q is in the manifest as %q (%q)", subjects[i], e.Subject, e.Description)
		}
	}
}

// compile checks exported contracts and their examples with the codecs.
func compile(t *testing.T, as string, files []ExportedFile) {
	t.Helper()
	if as == "typescript" {
		text := string(contentOf(t, files, "events.ts"))
		for _, want := range []string{
			"  /** it's a: \"seat\" *\\/ # <é> - and  more ${x} `y` // z \\ */\n  ComAcmeSeatBookedV2 = 'com.acme.seat:booked-v2',\n",
			"  Box = '\\'box\\'',\n  X = 'x',\n  XY = 'X y\\\\\\u000a',\n",
			"    message: Array<{\n      /** RFC 3339, such as 2030-01-02T03:04:05Z */\n      at?: string;\n    }>;\n",
			"    prices: Record<string, number>;\n    seats?: Record<string, {\n      kind: ComAcmeSeatSeatsKind;\n    }>;\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("there is no\n%s\nin\n%s", want, text)
			}
		}
		return
	}
	dir := t.TempDir()
	if err := WriteFiles(dir, files); err != nil {
		t.Fatal(err)
	}
	n, faults, err := Check(dir, func(string) error { return nil })
	if err != nil || n == 0 || len(faults) > 0 {
		t.Errorf("%s: %d events, %v", as, n, faults)
	}
	if as != "proto" {
		return
	}
	// The fields have the names in JSON that they had.
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	codec, err := c.Contracts()[0].codec()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range codec.shape().fields {
		names = append(names, f.name)
	}
	if want := []string{"seatID", "userIDs", "row_no", "URL2go", "option", "message", "prices", "seats", "kind", "string"}; !slices.Equal(names, want) {
		t.Errorf("the fields' names in JSON are %q, want %q", names, want)
	}
}

func TestExportRefusesWhatALanguageCannotSay(t *testing.T) {
	loop := record("next?", only("string"))
	loop.fields[0].shape = listOf(loop)
	open := record()
	open.open = true
	const all = "jsonschema proto avro typescript"
	tests := []struct {
		subject string
		shape   *shape
		kinds   string // that refuse it
		want    string // after "exporting … as …: "
	}{
		{"a:b", record("x", record("y", only("union"))), all, "/x/y: is union, which can't be exported"},
		{"a:b", record("x", listOf(only("anything"))), all, "/x: is anything, which can't be exported"},
		{"a:b", only("string"), all, "is string, must be object"},
		{"a:b", loop, all, "/next: holds itself"},
		{"1:b", record(), all, "no type can be named so: the name must begin with a letter of a to z"},
		{"::", record(), all, "no type can be named so: the name must begin with a letter of a to z"},
		{"a:b", record("x", record(), "X", record()), all, "/X: needs the name ABX, which a:b /x has"},
		{"a:b", record("x", record("y", open)), "proto avro", "/x/y: may have further fields, which a %s can't hold"},
		{"a:b", record("x-y", only("string")), "avro", `/x-y: a field's name must be letters, digits and "_"`},
		{"a:b", record("é", only("string")), "avro", `/é: a field's name must be letters, digits and "_"`},
		{"a:b", record("1x", only("string")), "proto", "/1x: a field's name must begin with a letter of a to z"},
		{"a:b", record("userId", only("string"), "user_id", only("string")), "proto", "/user_id: needs the name user_id, which a:b /userId has"},
		{"a:b", record("x", listOf(listOf(only("string")))), "proto", "/x: is array of array, which a field can't be"},
		{"a:b", record("x", mapping(listOf(only("string")))), "proto", "/x: is map of array, which a field can't be"},
		{"a:b", record("x", choice("unspecified")), "proto", "/x: needs the name A_X_UNSPECIFIED, which a:b /x has"},
		{"a:b", record("x", choice("a:b", "a_b")), "avro", "/x: needs the name a_b, which a:b /x has"},
		{"a:b", record("x", choice("1")), "avro", `/x: no symbol can be made of the value "1"`},
		{"a:b", record("x", choice("1")), "typescript", `/x: no name can be made of the value "1"`},
		{"a:b", record("x", choice("?")), "proto", `/x: no name can be made of the value "?"`},
		{"a:b", record("x", choice("y", "Y")), "typescript", "/x: needs the name Y, which a:b /x has"},
		{"subjects:x", record("x", record(), "", choice("y")), "typescript", "/: needs the name Subjects, which the catalogue has"},
		{"ticketing", record(), "typescript", "needs the name TicketingEvent, which the catalogue has"},
	}
	for _, test := range tests {
		for as := range strings.FieldsSeq(test.kinds) {
			x := &export{as: as}
			x.addEvent(&exportEvent{subject: test.subject, shape: test.shape, example: map[string]any{}})
			_, err := x.files()
			want := "exporting \"" + test.subject + "\" as " + as + ": " + strings.ReplaceAll(test.want, "%s", map[string]string{"proto": "message", "avro": "record"}[as])
			if err == nil || err.Error() != want {
				t.Errorf("%s: got %v\nwant %s", as, err, want)
			}
		}
	}
}

func TestWords(t *testing.T) {
	for name, want := range map[string]string{
		"ticket:created": "ticket created", "userId": "user id", "HTTPServer": "http server", "a1B2": "a1 b2", "": "", "::": "",
		"x_y-Z.Größe": "x y z gr e", "ID": "id", "userID": "user id", "OrderStatus": "order status", "aB": "a b", "A": "a", "9to5": "9to5",
	} {
		if got := strings.Join(words(name), " "); got != want {
			t.Errorf("words of %q: %q, want %q", name, got, want)
		}
	}
}
