package jsonschema

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"nats-test/internal/events/contract"
)

func compileJSON(t testing.TB, schema string) contract.Codec {
	t.Helper()
	c, err := tryJSON(t, "schema.json", "schema.json", schema)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tryJSON compiles a contract of a folder with the files: name, text, ….
func tryJSON(t testing.TB, at string, files ...string) (contract.Codec, error) {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		writeFile(t, dir, files[i], files[i+1])
	}
	file, name, _ := strings.Cut(at, "#")
	return newSchemas(contract.NewFolder(dir)).Compile(contract.Reference{File: file, Name: name})
}

func listed(faults []contract.Fault) string {
	all := make([]string, len(faults))
	for i, f := range faults {
		all[i] = f.String()
	}
	return strings.Join(all, "; ")
}

const ticketSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "properties": {
    "id": {"type": "string"},
    "version": {"type": "integer"},
    "title": {"type": "string"},
    "price": {"type": "number"},
    "status": {"type": "string", "enum": ["open", "sold"]},
    "at": {"type": "string", "format": "date-time"}
  },
  "required": ["id", "title"],
  "additionalProperties": false
}`

func TestJSONSchemaFaults(t *testing.T) {
	tests := []struct{ schema, data, want string }{
		{ticketSchema, `{"id":"1","title":"T"}`, ""},
		{ticketSchema, `{"id":1,"price":"1","version":1.5,"status":"x","at":"2030","titel":true}`,
			`/at: "2030" is not a date-time, such as 2030-01-02T03:04:05Z; /id: is number, must be string; ` +
				`/price: is string, must be number; /status: is "x", must be one of "open", "sold"; /titel: unknown field; ` +
				`/title: missing; /version: is number, must be integer`},
		{ticketSchema, `{"id":"1"} 2`, "not JSON: text follows the value"},
		{ticketSchema, `[]`, "is array, must be object"},
		{`{"type":["string","null"]}`, `1`, "is number, must be null or string"},
		{`{"minimum":2.5}`, `1e0`, "is 1, must be at least 2.5"},
		{`{"maximum":2}`, `3`, "is 3, must be at most 2"},
		{`{"exclusiveMinimum":2}`, `2`, "is 2, must be more than 2"},
		{`{"exclusiveMaximum":2}`, `2.0`, "is 2, must be less than 2"},
		{`{"multipleOf":0.01}`, `0.015`, "is 0.015, must be a multiple of 0.01"},
		{`{"minLength":2}`, `"é"`, "is 1 character long, must be at least 2"},
		{`{"maxLength":2}`, `"abc"`, "is 3 characters long, must be at most 2"},
		{`{"pattern":"^a"}`, `"b"`, `"b" does not match the pattern "^a"`},
		{`{"const":{"a":1}}`, `2`, `is 2, must be {"a":1}`},
		{`{"enum":[1,null,"x"]}`, `2`, `is 2, must be one of 1, null, "x"`},
		{`{"format":"email"}`, `"x"`, `"x" is not a valid email`},
		{`{"minItems":1}`, `[]`, "has 0 items, must have at least 1"},
		{`{"maxItems":1}`, `[1,2]`, "has 2 items, must have at most 1"},
		{`{"uniqueItems":true}`, `[1,2,1.0]`, "its items 0 and 2 are the same"},
		{`{"contains":{"const":1}}`, `[2]`, "has no item that matches the one required"},
		{`{"contains":{"const":1},"minContains":2}`, `[1]`, "has 1 matching item, must have at least 2"},
		{`{"contains":{"const":1},"maxContains":1}`, `[1,1]`, "has 2 matching items, must have at most 1"},
		{`{"prefixItems":[true],"items":false}`, `[1,2]`, "/1: must not be there"},
		{`{"minProperties":1}`, `{}`, "has 0 fields, must have at least 1"},
		{`{"maxProperties":0}`, `{"a":1}`, "has 1 field, must have at most 0"},
		{`{"propertyNames":{"maxLength":1}}`, `{"ab":1}`, "/ab: as the name of a field: is 2 characters long, must be at most 1"},
		{`{"dependentRequired":{"a":["b"]}}`, `{"a":1}`, `/b: missing, required because "a" is present`},
		{`{"not":{"type":"string"}}`, `"a"`, `matches what the contract excludes with "not"`},
		{`false`, `1`, "must not be there"},
		{`{"properties":{"a/b~":{"type":"string"}}}`, `{"a/b~":1}`, "/a~1b~0: is number, must be string"},
		{`{"unevaluatedProperties":false,"allOf":[{"properties":{"a":true}}]}`, `{"a":1,"b":2}`, "/b: unknown field"},
		{`{"properties":{"unevaluatedProperties":false}}`, `{"unevaluatedProperties":1}`, "/unevaluatedProperties: must not be there"},
		{`{"oneOf":[{"minimum":1},{"maximum":5}]}`, `3`, "matches the alternatives 1 and 2, must match only one"},
		{`{"anyOf":[{"type":"string"},{"type":"number"}]}`, `true`, "is boolean, must be string or number"},
		{`{"anyOf":[{"type":"string","minLength":3},{"type":"number"}]}`, `"ab"`, "is 2 characters long, must be at least 3"},
		{`{"oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{}`, "matches none of the 2 alternatives"},
		// The distinguishing field selects the alternative, not the number of
		// faults.
		{`{"oneOf":[
			{"properties":{"type":{"const":"card"},"number":{"type":"string"},"expiry":{"type":"string"}},"required":["type","number","expiry"]},
			{"properties":{"type":{"const":"cash"}},"required":["type"]}]}`, `{"type":"card"}`, "/expiry: missing; /number: missing"},
		{`{"oneOf":[{"properties":{"type":{"const":"card"}}},{"properties":{"type":{"const":"cash"}}}]}`, `{"type":"gold"}`,
			`/type: is "gold", must be one of "card", "cash"`},
		{`{"items":{"type":"string"},"maxItems":0}`, `[1]`, "has 1 item, must have at most 0; /0: is number, must be string"},
		{`{"type":"number"}`, `1e999999999`, "holds a number that is too large or too long: 1e999999999"},
		{`{"minimum":0}`, `1e9999999`, "holds a number that is too large or too long: 1e9999999"},
	}
	for _, test := range tests {
		c := compileJSON(t, test.schema)
		got, faults := c.Encode([]byte(test.data))
		if listed(faults) != test.want {
			t.Errorf("%s: %s\n got %s\nwant %s", test.schema, test.data, listed(faults), test.want)
		}
		if faults == nil && string(got) != test.data {
			t.Errorf("changed to %s", got)
		}
	}
}

// The wire form is the author's text without white space.
func TestJSONSchemaKeepsTheText(t *testing.T) {
	for _, schema := range []string{ticketSchema, `{"required":["id"]}`} {
		c := compileJSON(t, schema)
		data := " {\n\"title\" : \"\\u00e9<&>\",\t\"id\":\"1\", \"price\": 1.50 } "
		want := `{"title":"\u00e9<&>","id":"1","price":1.50}`
		for _, check := range []func([]byte) ([]byte, []contract.Fault){c.Encode, c.Decode} {
			got, faults := check([]byte(data))
			again, _ := check(got)
			if string(got) != want || faults != nil || &again[0] != &got[0] {
				t.Errorf("%s, %v", got, faults)
			}
		}
	}
}

func TestJSONSchemaAcceptsWhatIsNewer(t *testing.T) {
	const closed = `{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}`
	tests := []struct {
		schema, data string
		accepted     bool
	}{
		{closed, `{"a":1,"new":{"x":[1]}}`, true},
		{closed, `{"a":"1","new":1}`, false},
		{closed, `{"new":1}`, false},
		{`{"properties":{"x":` + closed + `}}`, `{"x":{"a":1,"new":1}}`, true},
		{`{"items":` + closed + `}`, `[{"a":1},{"a":2,"new":1}]`, true},
		{`{"items":` + closed + `}`, `[{"a":1,"new":1},{"new":1}]`, false},
		{`{"$ref":"#/$defs/c","$defs":{"c":` + closed + `}}`, `{"a":1,"new":1}`, true},
		{`{"allOf":[` + closed + `,{"required":["b"]}]}`, `{"a":1,"b":1}`, true},
		{`{"allOf":[` + closed + `,{"required":["b"]}]}`, `{"a":1,"c":1}`, false},
		{`{"oneOf":[` + closed + `,{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"additionalProperties":false}]}`, `{"b":"x","new":1}`, true},
		{`{"oneOf":[` + closed + `,{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"additionalProperties":false}]}`, `{"b":1,"new":1}`, false},
		{`{"anyOf":[` + closed + `,{"type":"null"}]}`, `{"a":1,"new":1}`, true},
		{`{"anyOf":[{"type":"string"},{"type":"null"}]}`, `{"a":1,"new":1}`, false},
		{`{"oneOf":[{"required":["a"]},{"required":["b"]}],"additionalProperties":false,"properties":{"a":true,"b":true}}`, `{"a":1,"b":1,"new":1}`, false},
		{`{"properties":{"a":true},"unevaluatedProperties":false}`, `{"a":1,"new":1}`, true},
		{`{"allOf":[{"properties":{"a":{"type":"string"}}}],"unevaluatedProperties":false}`, `{"a":"","new":1}`, true},
		{`{"allOf":[{"properties":{"a":{"type":"string"}}}],"unevaluatedProperties":false}`, `{"a":1,"new":1}`, false},
		{`{"$ref":"#/$defs/n","$defs":{"n":{"properties":{"next":{"$ref":"#/$defs/n"}},"unevaluatedProperties":false}}}`, `{"next":{"next":{"new":1}},"new":1}`, true},
		{`{"not":` + closed + `}`, `{"a":1}`, false},
		{`{"additionalProperties":false,"not":{"required":["new"]}}`, `{"new":1}`, false},
		{`{"properties":{"unevaluatedProperties":false}}`, `{"unevaluatedProperties":1}`, false},
		{`{"properties":{"properties":{"unevaluatedProperties":false}}}`, `{"properties":{"new":1}}`, true},
		{`{"properties":{"a":{"$ref":"#/unevaluatedProperties"},"b":true},"unevaluatedProperties":false}`, `{"a":1}`, false},
		{`{"unevaluatedItems":false}`, `[1]`, false},
		{`{"prefixItems":[true],"items":false}`, `[1,2]`, false},
		{`{"additionalProperties":{"type":"string"}}`, `{"new":1}`, false},
		{`{"contains":` + closed + `}`, `[{"a":1,"new":1}]`, false},
		{`{"propertyNames":{"enum":["a"]}}`, `{"new":1}`, false},
		{`{"if":{"required":["a"]},"then":` + closed + `}`, `{"a":1,"new":1}`, true},
		{`{"dependentSchemas":{"a":` + closed + `}}`, `{"a":1,"new":1}`, true},
		{`{"patternProperties":{"^x-":` + closed + `},"additionalProperties":false}`, `{"x-1":{"a":1,"new":1},"y":1}`, true},
		// A new field of a closed object does not affect the checks around it.
		{`{"$ref":"#/$defs/pair","unevaluatedItems":false,"$defs":{"pair":{"prefixItems":[` + closed + `,true]}}}`, `[{"a":1,"new":1},2]`, true},
		{`{"$ref":"#/$defs/pair","unevaluatedItems":false,"$defs":{"pair":{"prefixItems":[` + closed + `,true]}}}`, `[{"a":1,"new":1},2,3]`, false},
		{`{"allOf":[{"properties":{"x":` + closed + `}}],"unevaluatedProperties":{"type":"string"}}`, `{"x":{"a":1,"new":1},"y":""}`, true},
		{`{"allOf":[{"properties":{"x":` + closed + `}}],"unevaluatedProperties":{"type":"string"}}`, `{"x":{"a":1,"new":1},"y":1}`, false},
		{`{"allOf":[{"properties":{"x":` + closed + `}}],"unevaluatedProperties":{"type":"string"},"not":{"required":["z"]}}`, `{"x":{"a":1,"new":1},"z":""}`, false},
	}
	for _, test := range tests {
		c := compileJSON(t, test.schema)
		got, faults := c.Decode([]byte(test.data))
		if accepted := faults == nil; accepted != test.accepted || accepted && string(got) != test.data {
			t.Errorf("%s: %s: %s, %s", test.schema, test.data, got, listed(faults))
		}
		if _, faults := c.Encode([]byte(test.data)); faults == nil && test.accepted && strings.Contains(test.data, "new") {
			t.Errorf("%s: %s: a publisher may not send unknown fields", test.schema, test.data)
		}
	}
}

func TestJSONSchemaReferences(t *testing.T) {
	const address = `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`
	tests := map[string][]string{ // the contract, and the files; {"at":{"city":1}} breaks it
		"beside":               {"a.json", "a.json", `{"properties":{"at":{"$ref":"address.json"}}}`, "address.json", address},
		"below":                {"x/a.json", "x/a.json", `{"properties":{"at":{"$ref":"../y/my%20address.json"}}}`, "y/my address.json", address},
		"a definition":         {"a.json#/$defs/Event", "a.json", `{"$defs":{"Event":{"properties":{"at":{"$ref":"#/$defs/A"}}},"A":` + address + `}}`},
		"an anchor":            {"a.json#event", "a.json", `{"$defs":{"x/y z":{"$anchor":"event","properties":{"at":` + address + `}}}}`},
		"an escaped pointer":   {"a.json#/$defs/x~1y z%", "a.json", `{"$defs":{"x/y z%":{"properties":{"at":` + address + `}}}}`},
		"a part of a file":     {"a.json", "a.json", `{"properties":{"at":{"$ref":"b.json#/$defs/address"}}}`, "b.json", `{"$defs":{"address":` + address + `}}`},
		"by an $id":            {"a.json", "a.json", `{"properties":{"at":{"$ref":"https://acme.com/address"}}}`, "z/b.json", strings.Replace(address, "{", `{"$id":"https://acme.com/address",`, 1)},
		"by $ids":              {"a.json", "a.json", `{"$id":"https://acme.com/event","properties":{"at":{"$ref":"address"}}}`, "z/b.json", strings.Replace(address, "{", `{"$id":"https://acme.com/address",`, 1)},
		"by an $id's folder":   {"x/a.json", "x/a.json", `{"$id":"https://acme.com/s/a.json","properties":{"at":{"$ref":"b.json"}}}`, "x/b.json", address},
		"by a relative $id":    {"a.json", "a.json", `{"properties":{"at":{"$ref":"/schemas/address"}}}`, "b.json", strings.Replace(address, "{", `{"$id":"/schemas/address",`, 1)},
		"an $id inside":        {"a.json", "a.json", `{"$defs":{"x":` + strings.Replace(address, "{", `{"$id":"address",`, 1) + `},"properties":{"at":{"$ref":"address"}}}`},
		"each other":           {"a.json", "a.json", `{"properties":{"at":{"$ref":"b.json"}}}`, "b.json", `{"properties":{"city":{"type":"string"},"at":{"$ref":"a.json"}}}`},
		"the metaschema":       {"a.json", "a.json", `{"$defs":{"x":{"$ref":"https://json-schema.org/draft/2020-12/schema"}},"properties":{"at":` + address + `}}`},
		"draft 7":              {"a.json", "a.json", `{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":` + address + `},"properties":{"at":{"$ref":"#/definitions/a"}}}`},
		"a $dynamicRef":        {"a.json", "a.json", `{"$defs":{"a":{"$dynamicAnchor":"a","type":"object","properties":{"city":{"type":"string"}}}},"properties":{"at":{"$dynamicRef":"#a"}}}`},
		"a file without .json": {"a.schema", "a.schema", `{"properties":{"at":{"$ref":"address.schema"}}}`, "address.schema", address},
	}
	for name, files := range tests {
		c, err := tryJSON(t, files[0], files[1:]...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, faults := c.Encode([]byte(`{"at":{"city":"Bonn"}}`)); faults != nil {
			t.Errorf("%s: %v", name, faults)
		}
		if _, faults := c.Encode([]byte(`{"at":{"city":1}}`)); listed(faults) != "/at/city: is number, must be string" {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

func TestJSONSchemaFromSeveralGoroutines(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "a.json", `{"$defs":{"A":{"properties":{"b":{"$ref":"b.json"}},"additionalProperties":false}}}`)
	writeFile(t, dir, "b.json", `{"properties":{"c":{"$ref":"c.json"},"d":{"type":"string"}}}`)
	writeFile(t, dir, "c.json", `{"type":"integer"}`)
	writeFile(t, dir, "d.json", `{"type":"integer"}`)
	schemas := newSchemas(contract.NewFolder(dir))
	c, err := schemas.Compile(contract.Reference{File: "a.json", Name: "/$defs/A"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, faults := c.Decode([]byte(`{"b":{"c":1},"new":2}`)); faults != nil {
				t.Error(faults)
			}
			if _, err := c.Sample(); err != nil || c.Source() == "" {
				t.Error(err)
			}
			if got := describe(c.Shape(), map[*contract.Shape]bool{}); got != "object(b?:object(c?:integer d?:string *))" {
				t.Error(got)
			}
		})
	}
	if _, err := schemas.Compile(contract.Reference{File: "d.json"}); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// The first contract pays for the library's metaschemas, once a process.
func BenchmarkJSONSchemaCompile(b *testing.B) {
	dir := b.TempDir()
	writeFile(b, dir, "a.json", ticketSchema)
	for b.Loop() {
		if _, err := newSchemas(contract.NewFolder(dir)).Compile(contract.Reference{File: "a.json"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONSchema(b *testing.B) {
	c := compileJSON(b, ticketSchema)
	for name, data := range map[string]string{
		"recognised": `{"id":"ticket-000001","version":1,"title":"Concert in the great hall, row 12","price":20.5}`,
		"validated":  `{"id":"ticket-000001","version":1,"title":"Concert in the great hall, row 12","price":2e1}`,
		"newer":      `{"id":"ticket-000001","version":1,"title":"Concert in the great hall, row 12","row":12}`,
	} {
		for way, check := range map[string]func([]byte) ([]byte, []contract.Fault){"encode": c.Encode, "decode": c.Decode} {
			if name == "newer" && way == "encode" {
				continue
			}
			b.Run(fmt.Sprintf("%s/%s", way, name), func(b *testing.B) {
				for b.Loop() {
					if _, faults := check([]byte(data)); faults != nil {
						b.Fatal(faults)
					}
				}
			})
		}
	}
}
