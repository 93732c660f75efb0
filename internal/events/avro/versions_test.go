package avro

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"

	"nats-test/internal/events/contract"
)

// Translating another version takes the library's tree of the whole event.
func TestAvroMemoryOfOtherVersions(t *testing.T) {
	a := avroFiles(t, map[string]string{
		"new.avsc": `{"type":"record","name":"T","fields":[{"name":"list","type":{"type":"array","items":"long"}}]}`,
		"old.avsc": `{"type":"record","name":"T","fields":[{"name":"list","type":{"type":"array","items":"int"}}]}`,
	})
	c := avroContract(t, a, contract.Reference{File: "new.avsc"})
	old := avroContract(t, a, contract.Reference{File: "old.avsc"})
	wireOf := func(n int) []byte {
		wire := append(binary.AppendVarint(bytes.Clone(old.header), int64(n)), make([]byte, n)...)
		return append(wire, 0)
	}
	if data, faults := c.Decode(wireOf(100_000)); len(data) != len(`{"list":[]}`)+2*100_000-1 {
		t.Error(faultList(faults))
	}
	if _, faults := c.Decode(wireOf(1 << 20)); !strings.HasSuffix(faultList(faults), ": has more than 524288 values, which is too many for another version's") {
		t.Error(faultList(faults))
	}
}

// Data of another version with another meaning is refused.
func TestAvroVersionsOfOtherMeaning(t *testing.T) {
	record := func(of string) string {
		return `{"type":"record","name":"T","fields":[{"name":"x","type":["null",` + of + `]}]}`
	}
	logical := func(kind, name string) string { return `{"type":"` + kind + `","logicalType":"` + name + `"}` }
	for _, test := range []struct{ writer, reader, data, want string }{
		{logical("int", "date"), logical("long", "timestamp-millis"), `{"x":"2030-01-02"}`, "it has date where the contract has timestamp-millis"},
		{`"int"`, logical("long", "timestamp-millis"), `{"x":1}`, "it has int where the contract has timestamp-millis"},
		{`"string"`, `{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, `{"x":"a"}`, "it has string where the contract has decimal(4,2)"},
		{`"int"`, `"long"`, `{"x":1}`, ""},
		{logical("int", "date"), `"long"`, `{"x":"1970-01-02"}`, ""},
	} {
		a := avroFiles(t, map[string]string{"new.avsc": record(test.reader), "old.avsc": record(test.writer)})
		wire, faults := avroContract(t, a, contract.Reference{File: "old.avsc"}).Encode([]byte(test.data))
		if faults != nil {
			t.Fatal(faultList(faults))
		}
		data, faults := avroContract(t, a, contract.Reference{File: "new.avsc"}).Decode(wire)
		if got := faultList(faults); test.want == "" && faults != nil || !strings.Contains(got, test.want) {
			t.Errorf("%s as %s: %s %s", test.writer, test.reader, data, got)
		}
	}
}

// A logical type that does not fit its size is ignored, defaults must be valid, and
// a comma is not a decimal point.
func TestAvroSmallPrint(t *testing.T) {
	a := avroFiles(t, map[string]string{
		"fixed.avsc":   `{"type":"record","name":"F","fields":[{"name":"d","type":{"type":"fixed","name":"D","size":5,"logicalType":"duration"}},{"name":"u","type":{"type":"fixed","name":"U","size":5,"logicalType":"uuid"}}]}`,
		"default.avsc": `{"type":"record","name":"G","fields":[{"name":"u","type":{"type":"string","logicalType":"uuid"},"default":""}]}`,
		"map.avsc":     `{"type":"record","name":"M","fields":[{"name":"m","type":{"type":"map","values":"int"},"default":{"c":3,"a":1,"b":2}}]}`,
		"nanos.avsc":   `{"type":"record","name":"N","fields":[{"name":"at","type":{"type":"long","logicalType":"timestamp-nanos"}}]}`,
	})
	data := `{"d":"abcde","u":"abcde"}`
	wire, faults := avroContract(t, a, contract.Reference{File: "fixed.avsc"}).Encode([]byte(data))
	got, wrong := avroContract(t, a, contract.Reference{File: "fixed.avsc"}).Decode(wire)
	if faults != nil || wrong != nil || string(got) != data {
		t.Errorf("%s, %v, %v", got, faults, wrong)
	}
	if _, err := a.Compile(contract.Reference{File: "default.avsc"}); err == nil || !strings.Contains(err.Error(), `the default of field "u"`) {
		t.Error(err)
	}
	c := avroContract(t, a, contract.Reference{File: "map.avsc"})
	filled, _ := c.Encode([]byte(`{}`))
	given, _ := c.Encode([]byte(`{"m":{"a":1,"b":2,"c":3}}`))
	if !bytes.Equal(filled, given) {
		t.Errorf("the default is %x, written out %x", filled, given)
	}
	if _, faults := avroContract(t, a, contract.Reference{File: "nanos.avsc"}).Encode([]byte(`{"at":"2030-01-01T00:00:00,1234567899Z"}`)); faults == nil {
		t.Error("a digit was lost")
	}
}

func TestAvroSingleObject(t *testing.T) {
	record := func(fields string) string {
		return `{"type":"record","name":"T","namespace":"com.acme","fields":[` + fields + `]}`
	}
	a := avroFiles(t, map[string]string{
		"t.avsc":         record(`{"name":"id","type":"string"},{"name":"n","type":"long","default":7},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"},"default":0},{"name":"u","type":["string","long"],"default":"x"}`),
		"old/t-1.avsc":   record(`{"name":"id","type":"string"},{"name":"gone","type":"int"},{"name":"n","type":"int"}`),
		"old/t-2.avsc":   record(`{"name":"id","type":"long"}`),
		"old/list.avsc":  `[{"type":"record","name":"com.acme.X","fields":[]},` + record(`{"name":"id","type":"string"}`) + `]`,
		"old/wrong.avsc": `{`,
	})
	c := avroContract(t, a, contract.Reference{File: "t.avsc"})
	old := avroContract(t, a, contract.Reference{File: "old/t-1.avsc"})
	other := avroContract(t, a, contract.Reference{File: "old/t-2.avsc"})
	listed := avroContract(t, a, contract.Reference{File: "old/list.avsc", Name: "com.acme.T"})
	wireOf := func(c *typeCodec, data string) []byte {
		wire, faults := c.Encode([]byte(data))
		if faults != nil {
			t.Fatal(faultList(faults))
		}
		return wire
	}
	oldWire := wireOf(old, `{"id":"a","gone":1,"n":2}`)
	tests := []struct {
		wire []byte
		want string
	}{
		{wireOf(c, `{"id":"a"}`), `{"id":"a","n":7,"at":"1970-01-01T00:00:00.000Z","u":{"string":"x"}}`},
		{oldWire, `{"id":"a","n":2,"at":"1970-01-01T00:00:00.000Z","u":{"string":"x"}}`},
		{wireOf(listed, `{"id":"a"}`), `{"id":"a","n":7,"at":"1970-01-01T00:00:00.000Z","u":{"string":"x"}}`},
		{oldWire[:len(oldWire)-1], "was written with another schema of the catalogue, fingerprint " +
			fmt.Sprintf("%016x", binary.LittleEndian.Uint64(oldWire[2:])) + ": /n: ends too early: a number must follow"},
		{wireOf(other, `{"id":1}`), "was written with another schema of the catalogue, fingerprint " +
			fmt.Sprintf("%016x", binary.LittleEndian.Uint64(other.header[2:])) + ", that the contract can't read: "},
		{[]byte("\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08"), "was written with a schema whose fingerprint is 0807060504030201: no schema in the catalogue has it"},
		{[]byte("\xc3\x01\x01"), "ends in the middle of the schema's fingerprint"},
		{[]byte(`{"id":"a"}`), "is not an Avro single object: it must begin with the bytes C3 01 (a contract with \"encoding: binary\" takes bare values)"},
		{nil, "is not an Avro single object"},
		{append(wireOf(c, `{"id":"a"}`), 1), "1 more bytes follow the value"},
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for _, test := range tests {
				data, faults := c.Decode(test.wire)
				if got := string(data) + faultList(faults); !strings.HasPrefix(got, test.want) {
					t.Errorf("%x: %s, must be %s", test.wire, got, test.want)
				}
			}
		})
	}
	wait.Wait()
}
