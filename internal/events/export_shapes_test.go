package events

import (
	"strings"
	"testing"

	"nats-test/internal/events/contract"
)

// record makes a shape for tests: the fields whose names end in "?" are optional.
func record(fields ...any) *contract.Shape {
	s := &contract.Shape{Kind: contract.Object}
	for i := 0; i < len(fields); i += 2 {
		name, optional := strings.CutSuffix(fields[i].(string), "?")
		s.Fields = append(s.Fields, contract.Field{Name: name, Required: !optional, Shape: fields[i+1].(*contract.Shape)})
	}
	return s
}

func choice(values ...string) *contract.Shape {
	s := &contract.Shape{Kind: contract.Enum}
	for _, v := range values {
		s.Values = append(s.Values, contract.EnumValue{Name: v})
	}
	return s
}

func only(kind string) *contract.Shape { return &contract.Shape{Kind: kind} }

func listOf(items *contract.Shape) *contract.Shape {
	return &contract.Shape{Kind: contract.Array, Items: items}
}

func mapping(items *contract.Shape) *contract.Shape {
	return &contract.Shape{Kind: contract.Map, Items: items}
}

// Shapes that the built-in catalogue lacks, but other catalogues may have.
func TestTypeScriptOfOtherShapes(t *testing.T) {
	x := &export{}
	x.addEvent(&exportEvent{
		subject:     "com.acme.seat:booked-v2",
		description: "it's a: \"seat\" */ # <é>\n- and\r more ${x} `y` // z \\",
		shape: record("seatID", only("string"), "userIDs", listOf(only("string")), "row_no?", only("integer"), "URL2go", only("string"),
			"option?", only("boolean"), "message", listOf(record("at?", only(exportTime))), "prices", mapping(only("number")),
			"seats?", mapping(record("kind", choice("box", "row 1"))), "kind", choice("'box'", "x", "X y\\\n"), "string", record()),
	})
	x.addEvent(&exportEvent{subject: "com.acme.seat:freed", shape: record("kind", choice("'box'", "x", "X y\\\n"), "rest?", record("kind", choice("a")))})
	x.addEvent(&exportEvent{subject: "com.acme.seat:other", shape: record("kind?", choice("a", "b"))}) // whose kind has other values
	text := x.typeScript()
	if x.err != nil {
		t.Fatal(x.err)
	}
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
}

func TestTypeScriptRefusesWhatItCannotSay(t *testing.T) {
	loop := record("next?", only("string"))
	loop.Fields[0].Shape = listOf(loop)
	tests := []struct {
		subject string
		shape   *contract.Shape
		want    string // after "exporting … as typescript: "
	}{
		{"a:b", record("x", record("y", only("union"))), "/x/y: is union, which can't be exported"},
		{"a:b", record("x", listOf(only("anything"))), "/x: is anything, which can't be exported"},
		{"a:b", only("string"), "is string, must be object"},
		{"a:b", loop, "/next: holds itself"},
		{"1:b", record(), "can't name a type: the subject must begin with a letter from a to z"},
		{"::", record(), "can't name a type: the subject must begin with a letter from a to z"},
		{"a:b", record("x", record(), "X", record()), "/X: needs the name ABX, which a:b /x already has"},
		{"a:b", record("x", choice("1")), `/x: no name can be made of the value "1"`},
		{"a:b", record("x", choice("y", "Y")), "/x: needs the name Y, which a:b /x already has"},
		{"subjects:x", record("x", record(), "", choice("y")), "/: needs the name Subjects, which the catalogue already has"},
		{"ticketing", record(), "needs the name TicketingEvent, which the catalogue already has"},
	}
	for _, test := range tests {
		x := &export{}
		x.addEvent(&exportEvent{subject: test.subject, shape: test.shape})
		_ = x.typeScript()
		want := "exporting \"" + test.subject + "\" as typescript: " + test.want
		if x.err == nil || x.err.Error() != want {
			t.Errorf("got %v\nwant %s", x.err, want)
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
