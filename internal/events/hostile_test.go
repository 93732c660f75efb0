package events

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// What a manifest costs grows with its text, too: these are the texts that other
// YAML libraries take gigabytes or minutes for.
func TestManifestCostIsLinear(t *testing.T) {
	for name, text := range map[string]func(n int) string{
		"brackets":  func(n int) string { return strings.Repeat("[", n) },
		"braces":    func(n int) string { return strings.Repeat("{a: ", n/4) },
		"dashes":    func(n int) string { return strings.Repeat("- ", n/2) },
		"questions": func(n int) string { return strings.Repeat("? ", n/2) },
		"flow":      func(n int) string { return "events: {" + lines("k%d: 1, ", n/10) + "}" },
		"keys":      func(n int) string { return "events:\n" + lines("  k%d: {contract: a.json}\n", n/28) },
		"same keys": func(n int) string { return "events:\n" + strings.Repeat("  k: {contract: a.json}\n", n/24) },
		"blank lines": func(n int) string {
			return "events:\n  a:\n    description: |\n      x\n" + strings.Repeat("\n", n) + "      y\n"
		},
		"comments": func(n int) string { return strings.Repeat("# c\n", n/4) + "events: {}\n" },
		"an example": func(n int) string {
			return "events: {a: {contract: a.json, example: [" + strings.Repeat("{b: [1]}, ", n/10) + "]}}"
		},
		"references": func(n int) string { return "events: [&a x" + strings.Repeat(", *a", n/4) + "]" },
	} {
		cost := func(n int) uint64 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			entries, faults := parseManifest("events.yaml", []byte(text(n)))
			runtime.ReadMemStats(&after)
			if len(entries) == 0 && len(faults) == 0 || len(faults) > maxFaults+1 {
				t.Errorf("%s: %d entries, %d faults", name, len(entries), len(faults))
			}
			return after.TotalAlloc - before.TotalAlloc
		}
		cost(100)
		if once, twice := cost(100_000), cost(200_000); twice > 3*once+1<<20 || twice > 400*200_000 {
			t.Errorf("%s: %d kB, and %d kB for twice as much", name, once>>10, twice>>10)
		}
	}
}

func lines(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// A small schema can ask for a sample of any size. It is given up.
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
		_, _ = c.sample()
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<30 {
			t.Errorf("%s: %d MB", name, got>>20)
		}
	}
}

// Much can be made of few bytes by long names and defaults. It is refused.
func TestAvroMakesNotTooMuch(t *testing.T) {
	c := bareAvro(t, `{"type":"array","items":{"type":"enum","name":"E","symbols":["`+strings.Repeat("A", 10_000)+`"]}}`)
	wire := append([]byte{0x80, 0x80, 0x02}, make([]byte, 16_385)...) // 16,384 of them
	if _, faults := c.decode(wire); !strings.HasSuffix(listed(faults), tooLarge) {
		t.Errorf("%.200s", listed(faults))
	}
	c = bareAvro(t, `{"type":"array","items":{"type":"record","name":"R","fields":[{"name":"a","type":"string","default":"`+strings.Repeat("a", 10_000)+`"}]}}`)
	if wire, faults := c.encode([]byte("[" + strings.Repeat("{},", 10_000) + "{}]")); !strings.HasSuffix(listed(faults), tooLarge) {
		t.Errorf("%d bytes, %.200s", len(wire), listed(faults))
	}
	c = bareAvro(t, `{"type":"fixed","name":"F","size":2000000000,"logicalType":"decimal","precision":5}`)
	if wire, faults := c.encode([]byte("1")); listed(faults) != tooLarge {
		t.Errorf("%d bytes, %.200s", len(wire), listed(faults))
	}
}

// An error keeps its place when the values after it are looked at.
func TestJSONSchemaFaultsOfNames(t *testing.T) {
	c := compileJSON(t, `{"additionalProperties":{"additionalProperties":{"propertyNames":{"maxLength":2}}}}`)
	_, faults := c.encode([]byte(`{"a":{"b":{"long":1}},"c":{"d":{"e":{"f":1}}},"g":{"h":{"i":1}}}`))
	if got := listed(faults); got != "/a/b/long: as the name of a field: is 4 characters long, must be at most 2" {
		t.Error(got)
	}
}

// Names and paths are told as far as a person reads them.
func TestFaultsAreShort(t *testing.T) {
	long := strings.Repeat("k", 1000)
	want := "/" + long[:longestShown] + "…: unknown field"
	if _, faults := ticketingCodec(t).encode([]byte(`{"id":"1","version":1,"status":"created","userId":"1","expiresAt":"2030-01-02T03:04:05Z","ticket":{"id":"1","price":1},"` + long + `":1}`)); listed(faults) != want {
		t.Errorf("%s, want %s", listed(faults), want)
	}
	c := compileJSON(t, `{"$ref":"#/$defs/n","$defs":{"n":{"type":"object","additionalProperties":{"$ref":"#/$defs/n"}}}}`)
	_, faults := c.encode([]byte(strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)))
	if want := strings.Repeat("/a", 24) + "/…" + strings.Repeat("/a", 16) + ": is number, must be object"; listed(faults) != want {
		t.Errorf("%s, want %s", listed(faults), want)
	}
}

// What explains a fault costs no more than what finds it.
func TestExplainingCostsLittle(t *testing.T) {
	items := func(item string) []byte { return []byte("[" + strings.Repeat(item+",", 50_000) + item + "]") }
	times := func(last string) []byte {
		return []byte(`{"t":[` + strings.Repeat(`"2030-01-02T03:04:05Z",`, 50_000) + `"2030-01-02T03:04:05Z"],"n":` + last + `}`)
	}
	proto, err := protobufFrom(t, reference{file: "a.proto"}, map[string]string{"a.proto": `syntax = "proto3"; import "google/protobuf/timestamp.proto";
		message M { repeated google.protobuf.Timestamp t = 1; int32 n = 2; }`})
	if err != nil {
		t.Fatal(err)
	}
	list := compileJSON(t, `{"items":{"type":"string","minLength":1}}`)
	more := []byte(`{"id":"1","version":1,"status":"created","userId":"1","expiresAt":"2030-01-02T03:04:05Z","ticket":{"id":"1","price":1}` + lines(`,"a%d":1`, 50_000) + "}")
	for name, c := range map[string]struct {
		right, wrong func([]byte) ([]byte, []Fault)
		a, b         []byte
	}{
		"JSON Schema": {list.encode, list.encode, items(`"a"`), items(`""`)},
		"built-in":    {ticketingCodec(t).decode, ticketingCodec(t).encode, more, more},
		"Protobuf":    {proto.encode, proto.encode, times("1"), times(`"x"`)},
	} {
		right, none := cost(c.right, c.a)
		wrong, faults := cost(c.wrong, c.b)
		if none != nil || faults == nil || wrong > right*17/10 {
			t.Errorf("%s: %d kB if it is right, %d kB if it is not: %.200v %.200v", name, right>>10, wrong>>10, none, faults)
		}
	}
}
