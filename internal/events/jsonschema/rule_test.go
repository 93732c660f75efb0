package jsonschema

import (
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"nats-test/internal/events/contract"
	"nats-test/internal/events/ticketing"
	"nats-test/third_party/jsonschema"
)

// builtinCodecs returns the contracts of the built-in catalogue, by subject.
func builtinCodecs(t testing.TB) map[string]*schemaCodec {
	t.Helper()
	compiler := newSchemas(contract.EmbeddedFolder(ticketing.Files("jsonschema")))
	all := make(map[string]*schemaCodec)
	for _, e := range ticketing.Events("jsonschema") {
		c, err := compiler.Compile(contract.Reference{File: e.Contract})
		if err != nil {
			t.Fatal(err)
		}
		all[e.Subject] = c.(*schemaCodec)
	}
	return all
}

// Most data of the built-in events needs no decoder, and valid data needs no
// validator.
func TestBuiltinContractsAreRules(t *testing.T) {
	codecs := builtinCodecs(t)
	for _, e := range ticketing.Events("jsonschema") {
		c := codecs[e.Subject]
		c.validator = func() (*validator, error) {
			t.Errorf("%s: a validator was made", e.Subject)
			return nil, errors.New("none")
		}
		if c.rule == nil {
			t.Fatalf("%s: no rule", e.Subject)
		}
		if valid, compact := c.rule.recognise([]byte(e.Example)); !valid || !compact {
			t.Errorf("%s: the example is not recognised", e.Subject)
		}
		spelt := []byte(strings.Replace(e.Example, `"id"`, `"\u0069d"`, 1))
		if _, faults := c.Encode(spelt); faults != nil {
			t.Errorf("%s: %v", e.Subject, faults)
		}
		newer := []byte(strings.Replace(e.Example, "{", `{"new":1,`, 1))
		if _, faults := c.Decode(newer); faults != nil {
			t.Errorf("%s: %v", e.Subject, faults)
		}
	}
}

// fullValidator returns a full validator of a contract's schema.
func fullValidator(t testing.TB, c *schemaCodec) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(c.Source()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("mem:schema", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("mem:schema")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// A schema that is not held against the metaschema would keep it.
func TestPlainSchemasKeepTheMetaschema(t *testing.T) {
	trusted := 0
	for _, part := range []string{
		`"type":"string"`, `"type":"strin"`, `"type":["string"]`, `"type":"object"`, `"title":"a"`, `"title":1`, `"description":[]`, `"$comment":"a"`,
		`"format":"date-time"`, `"format":"email"`, `"format":1`, `"additionalProperties":false`, `"additionalProperties":1`,
		`"enum":["a","b"]`, `"enum":["a","a"]`, `"enum":[]`, `"enum":"a"`, `"enum":[1]`, `"$schema":"https://json-schema.org/draft/2020-12/schema"`,
		`"$schema":"http://json-schema.org/draft-04/schema#"`, `"$schema":1`, `"$id":1`, `"$id":"a"`, `"$defs":1`, `"minLength":-1`, `"readOnly":1`,
		`"required":["a"]`, `"required":["a","a"]`, `"required":"a"`, `"required":[1]`, `"required":[]`, `"properties":1`, `"properties":{"a":1}`,
		`"properties":{"a":{"type":"string"}}`, `"properties":{"a":{"type":"strin"}}`, `"properties":{"a":{"type":"string","title":1}}`,
		`"properties":{"a":{"type":"string"}},"required":["a"]`, `"properties":{"a":{"type":"object","required":["b"]}}`,
	} {
		for _, schema := range []string{`{` + part + `}`, `{"type":"object",` + part + `}`, `{"type":"string",` + part + `}`, `{"type":"integer",` + part + `}`} {
			doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
			if err != nil {
				t.Fatal(err)
			}
			if !plain(doc, true) {
				continue
			}
			trusted++
			compiler := jsonschema.NewCompiler()
			if err := compiler.AddResource("mem:schema", doc); err != nil {
				t.Fatal(err)
			}
			if _, err := compiler.Compile("mem:schema"); err != nil {
				t.Errorf("%s: %v", schema, err)
			}
		}
	}
	if trusted < 20 {
		t.Errorf("only %d were", trusted)
	}
}

// FuzzCheck holds our verdict against that of a full validator on the schema
// that `publish events` shows, and the quick recogniser against both.
func FuzzCheck(f *testing.F) {
	codecs := builtinCodecs(f)
	references := make(map[string]*jsonschema.Schema)
	for _, e := range ticketing.Events("jsonschema") {
		references[e.Subject] = fullValidator(f, codecs[e.Subject])
		example := []byte(e.Example)
		f.Add(e.Subject, example)
		f.Add(e.Subject, []byte(strings.ReplaceAll(string(example), ",", " ,\n")))
		f.Add(e.Subject, []byte(strings.Replace(string(example), "{", `{"id":"0",`, 1)))
		f.Add(e.Subject, []byte(strings.ReplaceAll(string(example), ":1", ":-0.10e1")))
		f.Add(e.Subject, []byte(strings.ReplaceAll(string(example), "2030-01-02T03:04:05Z", "2028-02-29t23:59:59.5+14:00")))
	}
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		c := codecs[subject]
		if c == nil {
			return
		}
		valid, compact := c.rule.recognise(data)
		sent, faults := c.Encode(data)
		if valid && faults != nil {
			t.Fatalf("recognised, but %v", faults)
		}
		value, decoding := contract.DecodeJSON(data)
		if decoding != nil {
			if faults == nil {
				t.Fatalf("taken, but %v", decoding)
			}
			return
		}
		if hugeExponent.Match(data) || leapSecond.Match(data) {
			return // the reference would count to it; Go's time knows no leap seconds
		}
		if full := references[subject].Validate(value); (full == nil) != (faults == nil) {
			t.Fatalf("ours: %v; a full validator: %v", faults, full)
		}
		if allowed := c.rule.allows(value, false); allowed != (faults == nil) {
			t.Fatalf("the rule allows it: %v; %v", allowed, faults)
		}
		if faults != nil {
			return
		}
		if valid && compact && string(sent) != string(data) {
			t.Fatalf("changed to %s", sent)
		}
		var before, after any
		if json.Unmarshal(data, &before) != nil || json.Unmarshal(sent, &after) != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("changed to %s", sent)
		}
		if _, faults := c.Decode(sent); faults != nil {
			t.Fatalf("what may be published must be accepted: %v", faults)
		}
	})
}

var (
	hugeExponent = regexp.MustCompile(`[eE][-+]?[0-9]{4}`)
	leapSecond   = regexp.MustCompile(`:60`)
)

// A rule must say "valid" of nothing that the library refuses.
func TestRuleFrom(t *testing.T) {
	tests := map[string]bool{
		ticketSchema: true,
		`{"type":"object","properties":{"a":{"type":"string","title":"A"}}}`:                          true,
		`{"type":"object","properties":{"a":{"type":"integer","format":"int64","default":1}}}`:        true,
		`{"type":"object","properties":{"a":{"type":"object","properties":{"b":{"type":"number"}}}}}`: true,
		`{"type":"object","additionalProperties":true}`:                                               true,
		`{"type":"object","additionalProperties":{"type":"string"}}`:                                  false,
		`{"type":"object","required":["a"]}`:                                                          false,
		`{"type":"object","properties":{"a":{"type":"string","minLength":1}}}`:                        false,
		`{"type":"object","properties":{"a":{"type":"string","format":"email"}}}`:                     false,
		`{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}`:                         false,
		`{"type":"object","properties":{"a":{"type":["string","null"]}}}`:                             false,
		`{"type":"object","properties":{"a":{"enum":["x"]}}}`:                                         false,
		`{"type":"object","properties":{"a":{"type":"string","enum":["x",1]}}}`:                       false,
		`{"type":"object","properties":{"a":true}}`:                                                   false,
		`{"type":"object","minProperties":1}`:                                                         false,
		`{"type":"object","unevaluatedProperties":false}`:                                             false,
		`{"type":"string","format":"date-time","enum":["x"]}`:                                         false,
		`{"type":"object","allOf":[]}`:                                                                false,
		`true`:                                                                                        false, `{}`: false,
	}
	for schema, want := range tests {
		doc, err := contract.DecodeJSON([]byte(schema))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := ruleFrom(doc); ok != want {
			t.Errorf("%s: %v", schema, ok)
		}
	}
	// Another vocabulary may have other keywords, or not those of validation.
	c, err := tryJSON(t, "a.json", "a.json", `{"$schema":"https://x.com/m","type":"object","properties":{"a":{"type":"string"}}}`,
		"m.json", `{"$id":"https://x.com/m","$schema":"https://json-schema.org/draft/2020-12/schema","$vocabulary":{"https://json-schema.org/draft/2020-12/vocab/core":true}}`)
	if err != nil || c.(*schemaCodec).rule != nil {
		t.Error(err, "a rule for another vocabulary")
	}
}
