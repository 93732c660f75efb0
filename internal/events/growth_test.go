package events

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"nats-test/internal/brokertest"
	"nats-test/internal/events/avro"
	"nats-test/internal/events/contract"
	"nats-test/internal/events/jsonschema"
	"nats-test/internal/events/protobuf"
)

// The cost of an event grows only with its size, whether it is valid or invalid,
// deep or wide. It is measured in allocated bytes, which are the same on every
// machine.
func TestCostIsLinear(t *testing.T) {
	const size = 50_000
	perByte := 600
	if brokertest.Race { // allocates more
		perByte = 900
	}
	for name, c := range costCases(t) {
		t.Run(name, func(t *testing.T) {
			for way, check := range map[string]func([]byte) ([]byte, []contract.Fault){"encode": c.codec.Encode, "decode": c.codec.Decode} {
				for shape, data := range c.data {
					if strings.HasPrefix(shape, "wire") != (c.binary && way == "decode") {
						continue
					}
					once, twice := data(size), data(2*size)
					_, _ = check(once) // includes everything made on first use
					a, before := cost(check, once)
					b, faults := cost(check, twice)
					// Slices double, and small costs don't matter. A check that is
					// too costly ends at its budget, which is linear.
					if b > 3*a+1<<20 && !spent(before) && !spent(faults) {
						t.Errorf("%s, %s: %d kB allocate %d kB, %d kB allocate %d kB", way, shape, len(once)>>10, a>>10, len(twice)>>10, b>>10)
					}
					if most := uint64(24<<20 + perByte*len(twice)); b > most {
						t.Errorf("%s, %s: %d kB allocate %d kB", way, shape, len(twice)>>10, b>>10)
					}
					told := 0
					for _, f := range faults {
						told += len(f.String())
					}
					if len(faults) > contract.MaxFaults+1 || told > 1000*(len(faults)+1) && told > 4000*len(faults) {
						t.Errorf("%s, %s: %d faults of %d bytes", way, shape, len(faults), told)
					}
				}
			}
		})
	}
}

// spent reports whether a check used up its budget.
func spent(faults []contract.Fault) bool {
	return strings.Contains(told(faults), "too costly") || strings.Contains(told(faults), "more ways than can be explained")
}

func cost(check func([]byte) ([]byte, []contract.Fault), data []byte) (bytes uint64, faults []contract.Fault) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, faults = check(data)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, faults
}

// A costCase is a contract, and data of about the given number of bytes: JSON, or
// wire data for a shape called "wire…".
type costCase struct {
	codec  contract.Codec
	binary bool // wire data is not JSON
	data   map[string]func(size int) []byte
}

func costCases(t *testing.T) map[string]costCase {
	const (
		tree    = `{"$ref":"#/$defs/n","$defs":{"n":{"anyOf":[{"type":"string"},{"type":"array","items":{"$ref":"#/$defs/n"}},{"type":"array","minItems":1,"items":{"$ref":"#/$defs/n"}},{"type":"object","additionalProperties":{"$ref":"#/$defs/n"}}]}}}`
		tagged  = `{"$ref":"#/$defs/n","$defs":{"n":{"oneOf":[{"properties":{"a":{"const":1},"n":{"$ref":"#/$defs/n"}},"required":["a"]},{"properties":{"a":{"const":2},"n":{"$ref":"#/$defs/n"}},"required":["a"]}]}}}`
		closed  = `{"items":{"anyOf":[{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false},{"type":"null"}]},"additionalProperties":false}`
		uneval  = `{"allOf":[{"properties":{"a":true}},{"patternProperties":{"^b":true}}],"items":{"$ref":"#"},"unevaluatedProperties":false,"unevaluatedItems":{"type":"string"}}`
		unique  = `{"uniqueItems":true,"items":{"$ref":"#"},"propertyNames":{"maxLength":9},"contains":{"const":7}}`
		lists   = `{"additionalProperties":{"type":"array","items":{"type":"string"}}}`
		enums   = `{"items":{"enum":["a",2,3.5,{"a":1},[1]]},"additionalProperties":{"const":{"a":[1]}}}`
		numbers = `{"items":{"type":"integer","multipleOf":3,"minimum":0},"additionalProperties":{"type":"number"}}`
	)
	cases := map[string]costCase{"built-in": {codec: ticketingCodec(t), data: jsonShapes()}}
	for name, schema := range map[string]string{"tree": tree, "tagged": tagged, "closed": closed, "uneval": uneval, "unique": unique, "lists": lists, "enums": enums, "numbers": numbers} {
		cases["JSON Schema "+name] = costCase{codec: codecFrom(t, jsonschema.Format, contract.Reference{File: "a.json"}, schema), data: jsonShapes()}
	}
	proto := codecFrom(t, protobuf.Format, contract.Reference{File: "a.proto", Name: "M"}, `syntax = "proto3";
		import "google/protobuf/any.proto"; import "google/protobuf/struct.proto";
		message M {
			repeated int64 items = 1; map<string, L> fields = 2; M n = 3; repeated M list = 4; repeated google.protobuf.Value values = 5;
			google.protobuf.Any any = 6; repeated bytes bytes = 7; repeated E enums = 8; string text = 9; int32 last = 10;
		}
		message L { repeated int32 l = 1; }
		enum E { A = 0; B = 1; }`)
	shapes := jsonShapes()
	for name, item := range map[string]string{"items": "1", "values": "1", "bytes": `"YQ=="`, "enums": `"A"`, "list": "{}"} {
		shapes["proto "+name+" with a wrong one"] = func(size int) []byte {
			return []byte(`{"` + name + `":[` + strings.Repeat(item+",", size/(len(item)+1)) + item + `],"last":"x"}`)
		}
		shapes["proto wrong "+name] = func(size int) []byte {
			return []byte(`{"` + name + `":[` + strings.Repeat(`true,[],`, size/8) + `7.5]}`)
		}
	}
	shapes["proto long key"] = func(size int) []byte {
		return []byte(`{"fields":{"` + strings.Repeat("k", size/2) + `":{"l":[` + strings.Repeat(`"x",`, size/8) + `1]}}}`)
	}
	for field := range 10 {
		shapes[fmt.Sprintf("wire of field %d", field+1)] = func(size int) []byte {
			return bytes.Repeat(append(tag(protowire.Number(field+1)), 0), size/2)
		}
	}
	shapes["wire of Anys"] = func(size int) []byte {
		var wire []byte
		for range 20 {
			inner := append(protowire.AppendString(tag(1), "/M"), protowire.AppendBytes(tag(2), wire)...)
			wire = protowire.AppendBytes(tag(6), inner)
		}
		return append(wire, protowire.AppendString(tag(9), strings.Repeat("x", size))...)
	}
	cases["Protobuf"] = costCase{codec: proto, binary: true, data: shapes}

	shapes = jsonShapes()
	shapes["avro long key"] = func(size int) []byte {
		return []byte(`{"map":{"` + strings.Repeat("k", size/2) + `":[` + strings.Repeat(`1,`, size/4) + `1]}}`)
	}
	shapes["avro list"] = func(size int) []byte {
		return []byte(`{"map":{},"list":[` + strings.Repeat(`{"e499":"A"},{"x":1},`, size/24) + `1]}`)
	}
	for name, wire := range map[string][]byte{"zeros": {0}, "ones": {1}, "twos": {2}, "sixes": {6}, "lists": {2, 2, 2, 0, 0}, "large": {0xfe, 0xff, 0x7f}} {
		shapes["wire of "+name] = func(size int) []byte { return bytes.Repeat(wire, size/len(wire)) }
	}
	var many strings.Builder
	for i := range 500 {
		fmt.Fprintf(&many, `,{"type":"enum","name":"e%d","symbols":["A"]}`, i)
	}
	cases["Avro"] = costCase{binary: true, data: shapes, codec: codecFrom(t, avro.Format, contract.Reference{File: "a.avsc", Encoding: "binary"}, `{"type":"record","name":"R","fields":[
		{"name":"map","type":{"type":"map","values":{"type":"array","items":"string"}},"default":{}},
		{"name":"list","type":{"type":"array","items":["null"`+many.String()+`]},"default":[]},
		{"name":"n","type":["null","R"],"default":null},
		{"name":"nulls","type":{"type":"array","items":"null"},"default":[]}]}`)}
	return cases
}

// tag returns the tag of a message's field on the wire.
func tag(field protowire.Number) []byte {
	return protowire.AppendTag(nil, field, protowire.BytesType)
}

func ticketingCodec(t *testing.T) contract.Codec {
	k, err := Ticketing().Lookup("order:created")
	if err != nil {
		t.Fatal(err)
	}
	c, err := k.codec()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// jsonShapes makes JSON that is deep, wide, wrong, or the same again and again.
func jsonShapes() map[string]func(size int) []byte {
	list := func(item string) func(size int) []byte {
		return func(size int) []byte {
			return []byte("[" + strings.Repeat(item+",", size/(len(item)+1)) + item + "]")
		}
	}
	fields := func(format string) func(size int) []byte {
		return func(size int) []byte {
			var b strings.Builder
			for i := 0; b.Len() < size; i++ {
				fmt.Fprintf(&b, format, i)
				b.WriteByte(',')
			}
			return []byte("{" + strings.TrimSuffix(b.String(), ",") + "}")
		}
	}
	deep := func(levels int, open, inside, end string) func(size int) []byte {
		return func(size int) []byte {
			inside := strings.Repeat(inside, size/len(inside))
			return []byte(strings.Repeat(open, levels) + `"` + inside + `"` + strings.Repeat(end, levels))
		}
	}
	return map[string]func(size int) []byte{
		"numbers":          list("1"),
		"texts":            list(`"a"`),
		"nulls":            list("null"),
		"lists":            list("[]"),
		"objects":          list(`{"a":1}`),
		"unknown fields":   list(`{"b":1,"c":[]}`),
		"large numbers":    list("1e999"),
		"small numbers":    list("-1.5e-999"),
		"long numbers":     list(strings.Repeat("9", 900)),
		"fields":           fields(`"a%d":1`),
		"fields of lists":  fields(`"b%d":[1,[],""]`),
		"fields of fields": fields(`"a%d":{"a":{"a":1}}`),
		"one field":        func(size int) []byte { return []byte("{" + strings.Repeat(`"a":1,`, size/6) + `"a":2}`) },
		"different lists": func(size int) []byte {
			return []byte("[" + strings.TrimSuffix(strings.Repeat("[[],[[]]],[[[]],[]],", size/20), ",") + "]")
		},
		"a long name": func(size int) []byte {
			return []byte(`{"` + strings.Repeat("k", size/2) + `":[` + strings.Repeat("1,", size/4) + "1]}")
		},
		"long names": func(size int) []byte {
			return []byte(strings.Repeat(`{"`+strings.Repeat("k", size/100)+`":[1,`, 100) + "1" + strings.Repeat("]}", 100))
		},
		"deep lists":     deep(20, "[", "x", "]"),
		"deeper lists":   deep(400, "[", "x", "]"),
		"deep objects":   deep(20, `{"n":`, "x", "}"),
		"deeper objects": deep(400, `{"a":1,"n":`, "x", "}"),
		"deep tags":      deep(100, `{"a":2,"n":`, "x", "}"),
		"too deep":       func(size int) []byte { return []byte(strings.Repeat("[", size)) },
		"a long text":    deep(0, "", "x", ""),
		"escapes":        deep(0, "", `\u0000`, ""),
		"broken":         func(size int) []byte { return bytes.Repeat([]byte{0xff}, size) },
	}
}
