package events

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"nats-test/internal/events/contract"
	"nats-test/internal/events/jsonschema"
	"nats-test/internal/events/protobuf"
)

// The cost of a manifest grows linearly with its text: these texts take gigabytes
// or minutes in other YAML libraries.
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
			if len(entries) == 0 && len(faults) == 0 || len(faults) > contract.MaxFaults+1 {
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

// Explaining a fault costs no more than finding it.
func TestExplainingCostsLittle(t *testing.T) {
	items := func(item string) []byte { return []byte("[" + strings.Repeat(item+",", 50_000) + item + "]") }
	times := func(last string) []byte {
		return []byte(`{"t":[` + strings.Repeat(`"2030-01-02T03:04:05Z",`, 50_000) + `"2030-01-02T03:04:05Z"],"n":` + last + `}`)
	}
	proto := codecFrom(t, protobuf.Format, contract.Reference{File: "a.proto", Name: "M"}, `syntax = "proto3"; import "google/protobuf/timestamp.proto";
		message M { repeated google.protobuf.Timestamp t = 1; int32 n = 2; }`)
	list := codecFrom(t, jsonschema.Format, contract.Reference{File: "a.json"}, `{"items":{"type":"string","minLength":1}}`)
	more := []byte(`{"id":"1","version":1,"status":"created","userId":"1","expiresAt":"2030-01-02T03:04:05Z","ticket":{"id":"1","price":1}` + lines(`,"a%d":1`, 50_000) + "}")
	for name, c := range map[string]struct {
		right, wrong func([]byte) ([]byte, []contract.Fault)
		a, b         []byte
	}{
		"JSON Schema": {list.Encode, list.Encode, items(`"a"`), items(`""`)},
		"built-in":    {ticketingCodec(t).Decode, ticketingCodec(t).Encode, more, more},
		"Protobuf":    {proto.Encode, proto.Encode, times("1"), times(`"x"`)},
	} {
		right, none := cost(c.right, c.a)
		wrong, faults := cost(c.wrong, c.b)
		if none != nil || faults == nil || wrong > right*17/10 {
			t.Errorf("%s: %d kB if it is right, %d kB if it is not: %.200v %.200v", name, right>>10, wrong>>10, none, faults)
		}
	}
}
