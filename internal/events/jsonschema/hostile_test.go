package jsonschema

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"nats-test/internal/events/contract"
)

func TestJSONSchemaFaultsAreBounded(t *testing.T) {
	c := compileJSON(t, `{"items":{"type":"string"}}`)
	_, faults := c.Encode([]byte("[1" + strings.Repeat(",1", 149) + "]"))
	if len(faults) != contract.MaxFaults+1 || faults[contract.MaxFaults].Problem != "and there are more faults" {
		t.Errorf("%d faults, the last is %v", len(faults), faults[len(faults)-1])
	}
}

func TestJSONSchemaBoundsHostileData(t *testing.T) {
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	middle := strings.Repeat("[", 9_000) + "1" + strings.Repeat("]", 9_000)
	nodes := strings.Repeat(`{"op":"x","args":[`, 100) + strings.Repeat("]}", 100)
	const tree = `{"$ref":"#/$defs/node","$defs":{"node":{"oneOf":[
		{"properties":{"op":{"const":"and"},"args":{"items":{"$ref":"#/$defs/node"}}},"required":["op"]},
		{"properties":{"op":{"const":"or"},"args":{"items":{"$ref":"#/$defs/node"}}},"required":["op"]}]}}}`
	const twice = `{"$ref":"#/$defs/n","$defs":{"n":{"anyOf":[{"type":"string"},
		{"properties":{"a":{"$ref":"#/$defs/n"}},"type":"object"},{"properties":{"a":{"$ref":"#/$defs/n"}},"type":"object"}]}}}`
	tests := []struct{ name, schema, data, want string }{
		{"50 MB", `{"minLength":1}`, `"` + strings.Repeat("x", 50<<20) + `"`, ""},
		{"50 MB of a field", ticketSchema, `{"id":"1","title":"` + strings.Repeat("x", 50<<20) + `"}`, ""},
		{"10 MB of numbers", `{"items":{"type":"string"}}`, "[1" + strings.Repeat(",1", 5<<20) + "]", "holds too many values to be checked"},
		{"100,000 deep", `{"items":{"$ref":"#"}}`, deep, "not JSON: nested too deeply"},
		{"9,000 deep", `{"type":"array","items":{"$ref":"#"}}`, middle, "is nested more than 500 deep"},
		{"2^100 alternatives that an enum tells apart", tree, nodes, `/op: is "x", must be one of "and", "or"`},
		{"2^100 alternatives", twice, strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), "is too costly to check against its contract"},
		{"900 kB of a name, and 150,000 faults", `{"additionalProperties":{"items":{"type":"string"}}}`, `{"` + strings.Repeat("k", 600_000) + `":[1` + strings.Repeat(",1", 150_000) + "]}", "/kkk"},
		{"many digits", `{"multipleOf":3}`, strings.Repeat("9", 1<<20), "holds a number that is too large"},
	}
	for _, test := range tests {
		begun := time.Now()
		json.Valid([]byte(test.data))
		limit := max(30*time.Second, 100*time.Since(begun)) // on a slow machine, with the race detector
		c := compileJSON(t, test.schema)
		for _, check := range []func([]byte) ([]byte, []contract.Fault){c.Encode, c.Decode} {
			_, faults := check([]byte(test.data))
			if got := listed(faults); test.want == "" && got != "" || !strings.HasPrefix(got, test.want) {
				t.Errorf("%s: %.200s", test.name, got)
			}
		}
		if took := time.Since(begun); took > limit {
			t.Errorf("%s: %v", test.name, took)
		}
	}
	if _, faults := compileJSON(t, tree).Encode([]byte(`{"op":"and","args":[{"op":"or","args":[{"op":"and"}]}]}`)); faults != nil {
		t.Error(faults)
	}
}

// With $dynamicRef, only data shows that a schema has no end.
func TestJSONSchemaEndlessAtLast(t *testing.T) {
	c := compileJSON(t, `{"$id":"https://x.com/o","$dynamicAnchor":"n","$ref":"i",
		"$defs":{"i":{"$id":"i","$dynamicRef":"#n","$defs":{"n":{"$dynamicAnchor":"n"}}}}}`)
	if _, faults := c.Decode([]byte(`{"a":1}`)); listed(faults) != "can't be checked: the contract refers to itself without end" {
		t.Error(faults)
	}
	if data, err := c.Sample(); err == nil {
		t.Errorf("%s", data)
	}
}

// A small schema can require a sample of any size; the sampler gives up.
func TestSampleOfAnExplodingSchema(t *testing.T) {
	var defs strings.Builder
	for i := range 24 {
		fmt.Fprintf(&defs, `"d%d":{"required":["a","b"],"properties":{"a":{"$ref":"#/$defs/d%d"},"b":{"$ref":"#/$defs/d%d"}}},`, i, i+1, i+1)
	}
	for name, schema := range map[string]string{
		"required": `{"$ref":"#/$defs/d0","$defs":{` + defs.String() + `"d24":{"type":"string"}}}`,
		"items":    `{"items":` + strings.Repeat(`{"minItems":200,"items":`, 20) + "{}" + strings.Repeat("}", 20) + `,"minItems":200}`,
		"examples": `{"examples":[[` + strings.Repeat("1,", 100_000) + `2]],"items":{"type":"string"},"anyOf":[{"minItems":1},{"minItems":2},{"minItems":3}]}`,
	} {
		c := compileJSON(t, schema)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = c.Sample()
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<30 {
			t.Errorf("%s: %d MB", name, got>>20)
		}
	}
}

// An error keeps its place while later values are checked.
func TestJSONSchemaFaultsOfNames(t *testing.T) {
	c := compileJSON(t, `{"additionalProperties":{"additionalProperties":{"propertyNames":{"maxLength":2}}}}`)
	_, faults := c.Encode([]byte(`{"a":{"b":{"long":1}},"c":{"d":{"e":{"f":1}}},"g":{"h":{"i":1}}}`))
	if got := listed(faults); got != "/a/b/long: as the name of a field: is 4 characters long, must be at most 2" {
		t.Error(got)
	}
}

// Names and paths in faults are shortened to a readable length.
func TestFaultsAreShort(t *testing.T) {
	long := strings.Repeat("k", 1000)
	want := "/" + long[:contract.LongestShown] + "…: unknown field"
	if _, faults := builtinCodecs(t)["order:created"].Encode([]byte(`{"id":"1","version":1,"status":"created","userId":"1","expiresAt":"2030-01-02T03:04:05Z","ticket":{"id":"1","price":1},"` + long + `":1}`)); listed(faults) != want {
		t.Errorf("%s, want %s", listed(faults), want)
	}
	c := compileJSON(t, `{"$ref":"#/$defs/n","$defs":{"n":{"type":"object","additionalProperties":{"$ref":"#/$defs/n"}}}}`)
	_, faults := c.Encode([]byte(strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)))
	if want := strings.Repeat("/a", 24) + "/…" + strings.Repeat("/a", 16) + ": is number, must be object"; listed(faults) != want {
		t.Errorf("%s, want %s", listed(faults), want)
	}
}
