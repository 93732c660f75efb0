package jsonschema

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"nats-test/internal/events/contract"
)

func TestJSONSchemaSample(t *testing.T) {
	tests := []struct{ schema, want string }{
		{ticketSchema, `{"at":"2030-01-02T03:04:05Z","id":"id-1","price":1.5,"status":"open","title":"title","version":1}`},
		{`{"examples":[{"a":1}],"type":"object"}`, `{"a":1}`},
		{`{"examples":["wrong",7],"type":"integer"}`, `7`},
		{`{"default":"d","type":"string"}`, `"d"`},
		{`{"const":null}`, `null`},
		{`{"enum":["x","yy"],"minLength":2}`, `"yy"`},
		{`{"type":"object","properties":{"orderId":{"type":"string"},"tags":{"type":"array","items":{"type":"string"},"minItems":2,"uniqueItems":true}}}`,
			`{"orderId":"order-1","tags":["tag","tag-2"]}`},
		{`{"type":"integer","exclusiveMinimum":10,"multipleOf":7}`, `14`},
		{`{"type":"number","minimum":0.05,"maximum":0.07,"multipleOf":0.01}`, `0.05`},
		{`{"type":"string","pattern":"^[A-Z]{3}-\\d{4}$"}`, `"AAA-0000"`},
		{`{"type":"string","pattern":"^(a|b)+$","minLength":5,"maxLength":6}`, `"aaaaa"`},
		{`{"type":"string","minLength":10}`, `"textxxxxxx"`},
		{`{"type":"string","maxLength":2}`, `"te"`},
		{`{"type":"object","additionalProperties":{"type":"integer"}}`, `{"key-1":1}`},
		{`{"type":"object","patternProperties":{"^x-[a-z]+$":{"type":"integer"}},"additionalProperties":false,"minProperties":2}`, `{"x-a":1,"x-aaa":1}`},
		{`{"type":"object","patternProperties":{"^S_":{"type":"string"},"^I_":{"type":"number"}}}`, `{"I_":1.5}`},
		{`{"type":"object","propertyNames":{"pattern":"^[a-z]{2}$"},"minProperties":1}`, `{"aa":"aa"}`},
		{`{"allOf":[{"properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{"minimum":3}},"required":["b"]}]}`, `{"a":"a","b":3}`},
		{`{"oneOf":[{"type":"string"},{"minLength":3}]}`, ``},
		{`{"properties":{"kind":{"enum":["a","b"]}},"required":["kind"],"if":{"properties":{"kind":{"const":"a"}}},"then":{"required":["x"]},"else":{"required":["y"]}}`, ``},
		{`{"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"id":{"type":"string"},"next":{"$ref":"#/$defs/n"}},"required":["id"]}}}`, `{"id":"id-1","next":{"id":"id-1"}}`},
		{`{"type":"object","properties":{"children":{"type":"array","items":{"$ref":"#"}}},"required":["children"]}`, ``},
		{`{"dependentRequired":{"a":["b"]},"properties":{"a":true},"minProperties":1,"maxProperties":2}`, ``},
		{`{"type":"array","contains":{"const":5},"minContains":2,"prefixItems":[{"type":"string"}]}`, ``},
		{`{"type":"array","uniqueItems":true,"items":{"enum":["x","y","z"]},"minItems":3}`, `["x","y","z"]`},
		{`{"type":"array","minItems":150}`, ``},
		{`{"type":["null","object"],"properties":{"a":{"type":"boolean"}}}`, `{"a":true}`},
		{`{}`, `"text"`},
		{`true`, `"text"`},
		{`{"not":{"type":"string"}}`, ``},
		{`{"allOf":[{"multipleOf":4},{"multipleOf":6}],"minimum":1,"type":"integer"}`, ``},
		{`{"type":"string","format":"email","maxLength":6}`, `"a@b.de"`},
	}
	for _, f := range []string{"date-time", "date", "time", "duration", "period", "email", "uuid", "uri", "iri", "uri-reference", "iri-reference",
		"uri-template", "ipv4", "ipv6", "hostname", "json-pointer", "relative-json-pointer", "regex", "semver"} {
		tests = append(tests, struct{ schema, want string }{
			`{"type":"array","items":{"type":"string","format":"` + f + `"},"minItems":40,"uniqueItems":true}`, ""})
	}
	for _, test := range tests {
		c := compileJSON(t, test.schema)
		got, err := c.Sample()
		if err != nil || test.want != "" && string(got) != test.want {
			t.Errorf("%s: %s, %v, want %s", test.schema, got, err, test.want)
			continue
		}
		if _, faults := c.Encode(got); faults != nil {
			t.Errorf("%s: %s: %v", test.schema, got, faults)
		}
		if again, err := c.Sample(); string(again) != string(got) {
			t.Errorf("%s: another sample: %s, %v", test.schema, again, err)
		}
	}
	for _, impossible := range []string{`false`, `{"type":"integer","minimum":3,"maximum":2}`, `{"not":{}}`,
		`{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}`, `{"minLength":100000000,"type":"string"}`,
		`{"minItems":100000000,"type":"array"}`, `{"minProperties":100000000,"type":"object"}`} {
		if got, err := compileJSON(t, impossible).Sample(); err == nil || !strings.Contains(err.Error(), `"example"`) {
			t.Errorf("%s: %s, %v", impossible, got, err)
		}
	}
}

func TestPatternTexts(t *testing.T) {
	for _, pattern := range []string{`^[A-Z]{2,4}$`, `^(\+\d{1,3} )?\d+$`, `^\S+@\S+\.\S+$`, `a*b+c?`, `^[^a-z]$`, `^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$`, `^(?i)abc$`, `^.{3}$`, `^é{2}$`} {
		found := false
		for text := range patternTexts(pattern, 0, 3) {
			found = found || regexp.MustCompile(pattern).MatchString(text)
		}
		if !found {
			t.Error(pattern)
		}
	}
}

// describe writes a shape on one line; a recursive one ends in "…".
func describe(s *contract.Shape, seen map[*contract.Shape]bool) string {
	if seen[s] {
		return "…"
	}
	seen[s] = true
	defer delete(seen, s)
	var parts []string
	for _, f := range s.Fields {
		mark := "?"
		if f.Required {
			mark = ""
		}
		parts = append(parts, f.Name+mark+":"+describe(f.Shape, seen))
	}
	if s.Open {
		parts = append(parts, "*")
	}
	if s.Items != nil {
		parts = append(parts, describe(s.Items, seen))
	}
	for _, v := range s.Values {
		parts = append(parts, v.Name)
	}
	for _, v := range s.Variants {
		parts = append(parts, v.Name+"="+describe(v.Shape, seen))
	}
	if parts == nil {
		return s.Kind
	}
	return s.Kind + "(" + strings.Join(parts, " ") + ")"
}

func TestJSONSchemaShape(t *testing.T) {
	for schema, want := range map[string]string{
		ticketSchema:                  "object(id:string version?:integer title:string price?:number status?:enum(open sold) at?:string (date-time))",
		`true`:                        "anything",
		`{}`:                          "anything",
		`{"const":1}`:                 "enum(1)",
		`{"enum":["a",null,{"b":1}]}`: `enum(a null {"b":1})`,
		`{"type":["string","null"]}`:  "union(null=null string=string)",
		`{"type":"array","items":{"type":"integer"}}`:                    "array(integer)",
		`{"type":"array"}`:                                               "array(anything)",
		`{"type":"object","additionalProperties":{"type":"integer"}}`:    "map(integer)",
		`{"type":"object"}`:                                              "object(*)",
		`{"properties":{"b":{"type":"null"},"a":true},"required":["a"]}`: "object(b?:null a:anything *)",
		`{"oneOf":[{"$ref":"#/$defs/Card"},{"title":"Cash","type":"object"},{"type":"string"}],"$defs":{"Card":{"type":"object","additionalProperties":false}}}`:                                                               "union(Card=object Cash=object(*) string=string)",
		`{"allOf":[{"$ref":"#/$defs/base"},{"properties":{"x":{"type":"string"}},"required":["x"]}],"$defs":{"base":{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}},"unevaluatedProperties":false}`: "object(x:string id:string)",
		`{"type":"object","properties":{"next":{"$ref":"#"}},"additionalProperties":false}`:                                                                                                                                    "object(next?:…)",
		`{"type":"object","properties":{"a":true,"b":true},"anyOf":[{"required":["a"]},{"required":["b"]}]}`:                                                                                                                   "object(a?:anything b?:anything *)",
	} {
		c := compileJSON(t, schema)
		if got := describe(c.Shape(), map[*contract.Shape]bool{}); got != want {
			t.Errorf("%s:\n got %s\nwant %s", schema, got, want)
		}
	}
}

func FuzzJSONSchema(f *testing.F) {
	for _, schema := range []string{ticketSchema, `{"$ref":"#"}`, `{"oneOf":[{"type":"string"},{"properties":{"a":{"$ref":"#"}},"additionalProperties":false}]}`,
		`{"type":"array","contains":{"const":5},"minContains":2,"prefixItems":[{"type":"string"}],"unevaluatedItems":false}`,
		`{"$id":"a","$anchor":"x","$dynamicAnchor":"y","$dynamicRef":"#y","if":{"minimum":1},"then":{"multipleOf":0.1},"patternProperties":{"^a":false}}`,
		`{"propertyNames":{"pattern":"[a-z]{2,}"},"minProperties":2,"dependentRequired":{"a":["b"]},"dependentSchemas":{"b":{"not":{"const":1}}},"unevaluatedProperties":false}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"$ref":"b.json#/c"}},"items":[{"$ref":"#/definitions/a"}],"additionalItems":false}`} {
		for _, data := range []string{`{"id":"1","title":"T"}`, `[5,{"a":{"a":1}}]`, `1e400`, `"x"`} {
			f.Add([]byte(schema), []byte(data))
		}
	}
	f.Add([]byte(`{"type":"object","properties":{"a":{"type":"string"}},"required":["b"],"additionalProperties":false}`), []byte(`{"a":""}`))
	f.Add([]byte(`{"type":"object","properties":{"id":{"type":"string"},"total":{"type":"number","minimum":0}},"required":["id","total"]}`), []byte(`{"id":""}`))
	f.Add([]byte(`{"type":"integer","enum":[1,2]}`), []byte(`5`))
	dir := f.TempDir()
	writeFile(f, dir, "b.json", `{"$id":"https://x.com/b","c":{"type":"string","format":"date"}}`)
	f.Fuzz(func(t *testing.T, schema, data []byte) {
		step := func(name string) func() {
			begun := time.Now()
			return func() {
				if took := time.Since(begun); took > 3*time.Second {
					t.Fatalf("%s took %v", name, took)
				}
			}
		}
		compiled := step("compile")
		writeFile(t, dir, "schema.json", string(schema))
		c, err := newSchemas(contract.NewFolder(dir)).Compile(contract.Reference{File: "schema.json"})
		if err != nil {
			if _, ok := err.(*contract.SourceError); !ok { //nolint:errorlint // it must be one itself
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		compiled()
		checked := step("encode and decode")
		sent, faults := c.Encode(data)
		got, fewer := c.Decode(data)
		checked()
		sampled := step("sample")
		sample, err := c.Sample()
		sampled()
		if faults == nil && (fewer != nil || string(got) != string(sent)) {
			t.Fatalf("encoded as %s, but decoded as %s, %v", sent, got, fewer)
		}
		v, uncompiled := c.(*schemaCodec).validator()
		if uncompiled != nil {
			t.Fatalf("plain, but does not compile: %v", uncompiled)
		}
		if rule := c.(*schemaCodec).rule; rule != nil && faults == nil {
			value, err := contract.DecodeJSON(data)
			if err != nil || v.schema.Validate(value) != nil {
				t.Fatal("recognised, but invalid")
			}
		}
		if err == nil {
			if _, faults := c.Encode(sample); faults != nil {
				t.Fatalf("the sample %s: %v", sample, faults)
			}
		}
		if c.Shape() == nil || c.Source() == "" {
			t.Fatal("no shape or source")
		}
	})
}
