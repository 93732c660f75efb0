package avro

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"runtime"
	"strings"
	"testing"

	"nats-test/internal/events/contract"
)

func TestAvroFaults(t *testing.T) {
	decimal := `{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`
	tests := []struct{ schema, data, want string }{
		{`"long"`, ``, "not JSON: it is empty"},
		{`"long"`, `"x"`, "is string, must be long"},
		{`"long"`, `1.5`, "is 1.5, must be long"},
		{`"long"`, `9223372036854775808`, "9223372036854775808 is out of range for long"},
		{`"long"`, `1e999999999999999999999`, "1e999999999999999999999 is out of range for long"},
		{`"long"`, `1e-999999999999999999999`, "is 1e-999999999999999999999, must be long"},
		{`"int"`, `2147483648`, "2147483648 is out of range for int"},
		{`"int"`, `true`, "is boolean, must be int"},
		{`"float"`, `1e39`, "1e39 is out of range for float"},
		{`"double"`, `1e309`, "1e309 is out of range for double"},
		{`"double"`, `"inf"`, "is string, must be double"},
		{`"null"`, `0`, "is number, must be null"},
		{`"bytes"`, `"€"`, "holds '€', must be bytes: characters up to U+00FF"},
		{`{"type":"fixed","name":"F","size":2}`, `"a"`, "has 1 bytes, must have 2"},
		{`{"type":"enum","name":"E","symbols":["A","B"]}`, `"C"`, `is "C", must be one of "A", "B"`},
		{`{"type":"array","items":"int"}`, `[1,"a",null]`, "/1: is string, must be int; /2: is null, must be int"},
		{`{"type":"map","values":"int"}`, `{"a/b":"a"}`, "/a~1b: is string, must be int"},
		{`["string",` + avroCard + `]`, `"x"`, `matches none of "string", "com.acme.Card"`},
		{`["string",` + avroCard + `]`, `null`, `matches none of "string", "com.acme.Card"`},
		{`["string",` + avroCard + `]`, `{"Card":{}}`, `matches none of "string", "com.acme.Card"`},
		{`["string",` + avroCard + `]`, `{"com.acme.Card":{"x":1}}`, `/com.acme.Card/number: missing; /com.acme.Card/x: unknown field`},
		{`["null","int"]`, `"x"`, "is string, must be int"},
		{decimal, `20.555`, "20.555 has more than 2 digits after the point, must be decimal(4,2)"},
		{decimal, `"123.45"`, "123.45 is out of range for decimal(4,2)"},
		{decimal, `1e99`, "1e99 is out of range for decimal(4,2)"},
		{decimal, `"abc"`, `"abc" is not a decimal, such as "1.00"`},
		{logicalOf("int", "date"), `"2030-02-30"`, `"2030-02-30" is not a date, such as 2030-01-02`},
		{logicalOf("long", "timestamp-millis"), `"tomorrow"`, `"tomorrow" is not a timestamp-millis, such as 2030-01-02T03:04:05Z`},
		{logicalOf("long", "timestamp-millis"), `"2030-01-02T03:04:05.0001Z"`, `"2030-01-02T03:04:05.0001Z" is finer than timestamp-millis can hold`},
		{logicalOf("long", "timestamp-nanos"), `"2300-01-02T03:04:05Z"`, `"2300-01-02T03:04:05Z" is out of range for timestamp-nanos`},
		{logicalOf("long", "timestamp-nanos"), `"2030-01-02T03:04:05.0000000001Z"`, `"2030-01-02T03:04:05.0000000001Z" is finer than timestamp-nanos can hold`},
		{logicalOf("long", "local-timestamp-millis"), `"2030-01-02T03:04:05Z"`, `"2030-01-02T03:04:05Z" is not a local-timestamp-millis, such as 2030-01-02T03:04:05`},
		{logicalOf("int", "time-millis"), `"25:00:00"`, `"25:00:00" is not a time-millis, such as 03:04:05`},
		{logicalOf("string", "uuid"), `"x"`, `"x" is not a uuid`},
		{`{"type":"fixed","name":"D","size":12,"logicalType":"duration"}`, `{"months":-1,"millis":1,"x":1}`, "/days: missing; /months: must be a whole number from 0 to 4294967295"},
		{avroDefaults, `{"id":1,"note":2,"in":{"e":"C"},"x":1,"a":2}`, `/a: unknown field; /id: is number, must be string; /in/e: is "C", must be one of "A", "B"; /note: is number, must be string; /x: unknown field`},
		{avroLeaf, strings.Repeat(`{"next":`, 5000) + "null" + strings.Repeat("}", 5000), deepNext + ": is nested more than 1000 deep"},
		{avroLeaf, strings.Repeat(`{"next":`, 100_000), "not JSON: nested too deeply (at byte 80001)"},
	}
	for _, test := range tests {
		c := bareAvro(t, test.schema)
		if wire, faults := c.Encode([]byte(test.data)); faultList(faults) != test.want {
			t.Errorf("%s: %.100s: %x, %s, must be %s", test.schema, test.data, wire, faultList(faults), test.want)
		}
	}
	c := bareAvro(t, `{"type":"array","items":"int"}`)
	if _, faults := c.Encode([]byte(`["a"` + strings.Repeat(`,"a"`, 100_000) + `]`)); len(faults) != contract.MaxFaults+1 {
		t.Errorf("%d faults", len(faults))
	}
}

// deepNext is a long path as faults show it.
var deepNext = strings.Repeat("/next", 24) + "/…" + strings.Repeat("/next", 16)

func TestAvroBadBytes(t *testing.T) {
	long := `{"type":"array","items":"long"}`
	tests := []struct{ schema, wire, want string }{
		{`"long"`, "", "ends too early: a number must follow"},
		{`"long"`, "80", "ends too early: a number must follow"},
		{`"long"`, "ffffffffffffffffff02", "is a number of more than 64 bits"},
		{`"int"`, "8080808010", "2147483648 is out of range for int"},
		{`"boolean"`, "02", "is the byte 0x02, must be a boolean, 0 or 1"},
		{`"string"`, "02ff", "is a string that is not UTF-8"},
		{`"string"`, "01", "is -1 bytes long"},
		{`"string"`, "0661", "ends too early: 3 bytes must follow, there are 1"},
		{`"bytes"`, "feffffffffffffffff01", "ends too early: 9223372036854775807 bytes must follow, there are 0"},
		{`"double"`, "00", "ends too early: 8 bytes must follow, there are 1"},
		{`"int"`, "0200", "1 more bytes follow the value"},
		{`{"type":"enum","name":"E","symbols":["A"]}`, "02", "is symbol 1 of an enum which has 1"},
		{`["null","int"]`, "04", "is type 2 of a union which has 2"},
		{`["null","int"]`, "01", "is type -1 of a union which has 2"},
		{long, "ffffffffffffffffff01", "is a block of -9223372036854775808 items"},
		{long, "8080808080808080200202", "/2: ends too early: a number must follow"},
		{`{"type":"array","items":"null"}`, "808080808080808020", "/65536: holds more than 65536 values without bytes"},
		{`{"type":"map","values":"int"}`, "02026102" + "0202620400" + "00", "1 more bytes follow the value"},
		{`{"type":"map","values":"int"}`, "02026180", "/a: ends too early: a number must follow"},
		{avroLeaf, strings.Repeat("02", 1_000_000), deepNext + ": is nested more than 1000 deep"},
		{`{"type":"bytes","logicalType":"decimal","precision":3,"scale":1}`, "0403e8", "is out of range for decimal(3,1)"},
		{logicalOf("string", "uuid"), "0278", `"x" is not a uuid`},
	}
	for _, test := range tests {
		c := bareAvro(t, test.schema)
		wire, err := hex.DecodeString(test.wire)
		if err != nil {
			t.Fatal(err)
		}
		if data, faults := c.Decode(wire); faultList(faults) != test.want || data != nil {
			t.Errorf("%s: %.20s: %s, %s, must be %s", test.schema, test.wire, data, faultList(faults), test.want)
		}
	}
}

// A payload that claims much must not take much.
func TestAvroMemory(t *testing.T) {
	nested := append(binary.AppendVarint(nil, 1<<20), bytes.Repeat([]byte{0x80, 0x40, 0}, 1<<20)...) // a million lists of 4096 nulls
	tests := []struct {
		schema string
		wire   []byte
	}{
		{`{"type":"array","items":{"type":"array","items":"null"}}`, nested},
		{`"bytes"`, append(binary.AppendVarint(nil, 1<<40), 1, 2, 3)},
		{`{"type":"array","items":"int"}`, append(binary.AppendVarint(nil, 1<<40), make([]byte, 50<<20)...)},
		{`{"type":"bytes","logicalType":"decimal","precision":9}`, append(binary.AppendVarint(nil, 50<<20), bytes.Repeat([]byte{1}, 50<<20)...)},
	}
	for _, test := range tests {
		c := bareAvro(t, test.schema)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, faults := c.Decode(test.wire); faults == nil {
			t.Errorf("%s: it is accepted", test.schema)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > uint64(6*len(test.wire)+4<<20) {
			t.Errorf("%s: %d bytes for %d", test.schema, took, len(test.wire))
		}
	}
}
