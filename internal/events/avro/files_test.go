package avro

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"nats-test/internal/events/contract"
)

// doubling returns a record with 2^n strings: each level is two of the one below.
func doubling(n int) string {
	inner := `"string"`
	for i := range n {
		ref := inner
		if i > 0 {
			ref = fmt.Sprintf(`"W%d"`, i-1)
		}
		inner = fmt.Sprintf(`{"type":"record","name":"W%d","fields":[{"name":"a","type":%s},{"name":"b","type":%s}]}`, i, inner, ref)
	}
	return inner
}

func TestAvroFiles(t *testing.T) {
	a := avroFiles(t, map[string]string{
		"money.avsc":     `{"type":"record","name":"Money","namespace":"com.acme","fields":[{"name":"cents","type":"long"}]}`,
		"money2.avsc":    `{"type":"record","name":"Money","namespace":"com.other","fields":[{"name":"x","type":"com.acme.Money"}]}`,
		"plain.avsc":     `{"type":"fixed","name":"Plain","size":1}`,
		"order.avsc":     `{"type":"record","name":"com.acme.Order","fields":[{"name":"a","type":"Money"},{"name":"b","type":{"type":"array","items":"com.acme.Money"}},{"name":"c","type":["null","com.other.Money"]},{"name":"p","type":"Plain"},{"name":"w","type":{"type":"enum","name":"W","symbols":["A"]}},{"name":"w2","type":"W"}]}`,
		"list.avsc":      "[\n {\"type\":\"record\",\"name\":\"a.A\",\"fields\":[{\"name\":\"b\",\"type\":\"B\"}]},\n {\"type\":\"enum\",\"name\":\"a.B\",\"symbols\":[\"X\"]}\n]",
		"tree.avsc":      `{"type":"record","name":"a.Tree","fields":[{"name":"kids","type":{"type":"map","values":"Tree"}}]}`,
		"unknown.avsc":   "{\"type\":\"record\",\"name\":\"com.acme.U\",\"fields\":[\n{\"name\":\"a\",\"type\":\"Mony\"}]}",
		"c1.avsc":        `{"type":"record","name":"C1","fields":[{"name":"a","type":["null","C2"]}]}`,
		"c2.avsc":        `{"type":"record","name":"C2","fields":[{"name":"a","type":["null","C1"]}]}`,
		"v1.avsc":        `{"type":"enum","name":"V","symbols":["A"]}`,
		"v2.avsc":        "\n{\"type\":\"enum\",\"name\":\"V\",\"symbols\":[\"B\"]}",
		"v.avsc":         `{"type":"array","items":"V"}`,
		"same1.avsc":     `{"type":"record","name":"S1","fields":[{"name":"a","type":{"type":"enum","name":"Same","symbols":["A"]}},{"name":"b","type":["null","S2"]}]}`,
		"same2.avsc":     `{"type":"record","name":"S2","fields":[{"name":"a","type":{"type": "enum", "name": "Same", "symbols": ["A"]}}]}`,
		"differs.avsc":   `{"type":"record","name":"S3","fields":[{"name":"a","type":{"type":"enum","name":"Same","symbols":["B"]}},{"name":"b","type":["null","S2"]}]}`,
		"empty.avsc":     ``,
		"text.avsc":      "{\n  \"type\": x\n}",
		"default.avsc":   "{\"type\":\"record\",\"name\":\"D\",\"fields\":[\n{\"name\":\"count\",\"type\":\"int\",\"default\":\"x\"}]}",
		"twice.avsc":     `["null",{"type":"enum","name":"T2","symbols":["A"]},{"type":"enum","name":"T2","symbols":["A"]}]`,
		"deep.avsc":      strings.Repeat(`{"type":"array","items":`, 2000) + `"int"` + strings.Repeat(`}`, 2000),
		"endless.avsc":   `{"type":"record","name":"Endless","fields":[{"name":"a","type":"Endless"}]}`,
		"huge.avsc":      `{"type":"fixed","name":"Huge","size":1000000000}`,
		"none-of.avsc":   `{"type":"enum","name":"NoneOf","symbols":[]}`,
		"wide.avsc":      doubling(30),
		"notes/any.json": `{}`,
	})
	tests := []struct{ file, name, sample, err string }{
		{"order.avsc", "", `{"a":{"cents":1},"b":[{"cents":1}],"c":{"x":{"cents":1}},"p":"0","w":"A","w2":"A"}`, ""},
		{"order.avsc", "com.acme.W", `"A"`, ""},
		{"list.avsc", "a.A", `{"b":"X"}`, ""},
		{"list.avsc", "a.B", `"X"`, ""},
		{"tree.avsc", "", `{"kids":{}}`, ""},
		{"same1.avsc", "", `{"a":"A","b":{"a":"A"}}`, ""},
		{"list.avsc", "", "", `list.avsc: defines several types: name one, such as "list.avsc#a.A"`},
		{"list.avsc", "a.C", "", `list.avsc: defines no type "a.C" (did you mean "a.A"?)`},
		{"unknown.avsc", "", "", `unknown.avsc:2: unknown type "Mony" (did you mean "com.acme.Money"?); a file could not be read: empty.avsc: not JSON`},
		{"c1.avsc", "", "", "c2.avsc:1: the files need each other in a circle: c2.avsc, c1.avsc, c2.avsc"},
		{"v.avsc", "", "", `v2.avsc:2: "V" is defined differently in v1.avsc, and v.avsc uses it`},
		{"differs.avsc", "", "", `same2.avsc:1: "Same" is defined differently in differs.avsc`},
		{"empty.avsc", "", "", `empty.avsc: not JSON: it is empty`},
		{"text.avsc", "", "", `text.avsc:2: not JSON: expected a value, found 'x' (line 2, byte 11)`},
		{"default.avsc", "", "", `default.avsc:2: `},
		{"twice.avsc", "", "", `twice.avsc:1: "T2" is defined twice`},
		{"deep.avsc", "", "", `deep.avsc:1: is nested more than 1000 deep`},
		{"none.avsc", "", "", `none.avsc: there is no such file in the catalogue's folder`},
	}
	for _, test := range tests {
		c, err := a.Compile(contract.Reference{File: test.file, Name: test.name})
		if err != nil {
			var source *contract.SourceError
			if test.err == "" || !strings.HasPrefix(err.Error(), test.err) || !errors.As(err, &source) {
				t.Errorf("%s#%s: %v, must be %s", test.file, test.name, err, test.err)
			}
			continue
		}
		if sample, err := c.Sample(); string(sample) != test.sample {
			t.Errorf("%s#%s: %s (%v), must be %s%s", test.file, test.name, sample, err, test.sample, test.err)
		}
	}
	if _, err := a.Compile(contract.Reference{File: "tree.avsc", Encoding: "json"}); err == nil || err.Error() !=
		`tree.avsc: encoding "json" is unknown: must be "single-object" or "binary"` {
		t.Error(err)
	}
	for _, file := range []string{"endless.avsc", "huge.avsc", "none-of.avsc", "wide.avsc"} {
		if sample, err := avroContract(t, a, contract.Reference{File: file}).Sample(); err == nil {
			t.Errorf("%s has a sample, %.100s", file, sample)
		}
	}
	if got := avroContract(t, a, contract.Reference{File: "list.avsc", Name: "a.B"}).Source(); got != "{\n  \"type\": \"enum\",\n  \"name\": \"a.B\",\n  \"symbols\": [\n    \"X\"\n  ]\n}\n" {
		t.Error(got)
	}
	if got := avroContract(t, a, contract.Reference{File: "tree.avsc"}).Source(); !strings.HasSuffix(got, "}\n") || strings.HasSuffix(got, "\n\n") {
		t.Error(got)
	}
}

func TestAvroShape(t *testing.T) {
	c := bareAvro(t, `{"type":"record","name":"R","fields":[
	 {"name":"id","type":"string"},
	 {"name":"next","type":["null","R"],"default":null},
	 {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
	 {"name":"tags","type":{"type":"map","values":{"type":"array","items":{"type":"enum","name":"E","symbols":["A","B"]}}}},
	 {"name":"hash","type":{"type":"fixed","name":"H","size":4}}]}`)
	s := c.Shape()
	if s.Kind != contract.Object || !s.Open || len(s.Fields) != 5 || !s.Fields[0].Required || s.Fields[1].Required {
		t.Fatalf("%+v", s)
	}
	next := s.Fields[1].Shape
	if next.Kind != contract.Union || next.Variants[0].Name != "null" || next.Variants[1].Name != "R" || next.Variants[1].Shape != s {
		t.Errorf("%+v", next)
	}
	enum := s.Fields[3].Shape.Items.Items
	if s.Fields[2].Shape.Kind != "decimal(9,2)" || s.Fields[3].Shape.Kind != contract.Map || enum.Kind != contract.Enum || enum.Values[1].Name != "B" ||
		s.Fields[4].Shape.Kind != "fixed(4)" || s.Fields[0].Shape.Kind != "string" {
		t.Errorf("%+v", s)
	}
}

// Long names and defaults can expand a few bytes to large JSON. This is refused.
func TestAvroMakesNotTooMuch(t *testing.T) {
	c := bareAvro(t, `{"type":"array","items":{"type":"enum","name":"E","symbols":["`+strings.Repeat("A", 10_000)+`"]}}`)
	wire := append([]byte{0x80, 0x80, 0x02}, make([]byte, 16_385)...) // 16,384 of them
	if _, faults := c.Decode(wire); !strings.HasSuffix(faultList(faults), tooLarge) {
		t.Errorf("%.200s", faultList(faults))
	}
	c = bareAvro(t, `{"type":"array","items":{"type":"record","name":"R","fields":[{"name":"a","type":"string","default":"`+strings.Repeat("a", 10_000)+`"}]}}`)
	if wire, faults := c.Encode([]byte("[" + strings.Repeat("{},", 10_000) + "{}]")); !strings.HasSuffix(faultList(faults), tooLarge) {
		t.Errorf("%d bytes, %.200s", len(wire), faultList(faults))
	}
	c = bareAvro(t, `{"type":"fixed","name":"F","size":2000000000,"logicalType":"decimal","precision":5}`)
	if wire, faults := c.Encode([]byte("1")); faultList(faults) != tooLarge {
		t.Errorf("%d bytes, %.200s", len(wire), faultList(faults))
	}
}
