package avro

import (
	"bytes"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nats-test/internal/events/contract"
)

// fuzzAvroSchemas are those of the round trips, and one with everything in it.
func fuzzAvroSchemas() []string {
	return append(slices.Sorted(maps.Keys(avroRoundTrips)), avroDefaults,
		`{"type":"array","items":{"type":"map","values":["null",`+avroLeaf+`,{"type":"array","items":"null"},{"type":"map","values":"string"}]}}`)
}

// Decoded data can be encoded, with the same meaning.
func FuzzAvroWire(f *testing.F) {
	var codecs []*typeCodec
	for i, schema := range fuzzAvroSchemas() {
		c := bareAvro(f, schema)
		codecs = append(codecs, c)
		for _, data := range avroRoundTrips[schema] {
			wire, _ := c.Encode([]byte(data))
			f.Add(byte(i), wire)
		}
	}
	hostile, err := hex.DecodeString("ffffffffffffffffff01")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(len(codecs)-1), hostile)
	f.Fuzz(func(t *testing.T, which byte, wire []byte) {
		c := codecs[int(which)%len(codecs)]
		data, faults := c.Decode(wire)
		if faults != nil {
			return
		}
		own, faults := c.Encode(data)
		if faults != nil {
			t.Fatalf("%x is %s, which is refused: %s", wire, data, faultList(faults))
		}
		if again, faults := c.Decode(own); !bytes.Equal(again, data) {
			t.Fatalf("%x is %s, then %s (%s)", wire, data, again, faultList(faults))
		}
	})
}

// Encoded data can be decoded, and encoding that gives the same bytes.
func FuzzAvroJSON(f *testing.F) {
	var codecs []*typeCodec
	for i, schema := range fuzzAvroSchemas() {
		codecs = append(codecs, bareAvro(f, schema))
		for _, data := range avroRoundTrips[schema] {
			f.Add(byte(i), []byte(data))
		}
	}
	f.Add(byte(0), []byte(`1e999999999`))
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		c := codecs[int(which)%len(codecs)]
		wire, faults := c.Encode(data)
		if faults != nil {
			return
		}
		plain, faults := c.Decode(wire)
		if faults != nil {
			t.Fatalf("%s is %x, which is refused: %s", data, wire, faultList(faults))
		}
		if again, faults := c.Encode(plain); !bytes.Equal(again, wire) {
			t.Fatalf("%s is %x, but %s is %x (%s)", data, wire, plain, again, faultList(faults))
		}
	})
}

// Any file is a contract or an error; a contract has a sample that it accepts,
// if it has any.
func FuzzAvroSchema(f *testing.F) {
	for _, schema := range fuzzAvroSchemas() {
		f.Add([]byte(schema))
	}
	f.Add([]byte(`[{"type":"record","name":"a.A","fields":[{"name":"b","type":"B"}]},{"type":"enum","name":"a.B","symbols":["X"]}]`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, schema []byte) {
		if err := os.WriteFile(filepath.Join(dir, "a.avsc"), schema, 0o600); err != nil {
			t.Fatal(err)
		}
		a := newCompiler(contract.NewFolder(dir))
		compiled, err := a.Compile(contract.Reference{File: "a.avsc"})
		if err != nil {
			return
		}
		c := compiled.(*typeCodec)
		_ = c.Shape()
		sample, err := c.Sample()
		if err != nil {
			return
		}
		wire, faults := c.Encode(sample)
		if faults != nil {
			t.Fatalf("%s: the sample %s: %s", schema, sample, faultList(faults))
		}
		if again, faults := c.Decode(wire); !bytes.Equal(again, sample) {
			t.Fatalf("%s: the sample %s is %s (%s)", schema, sample, again, faultList(faults))
		}
		if _, ok := a.version(0); ok {
			t.Fatal("a schema with the fingerprint 0")
		}
	})
}

const avroTicket = `{"type":"record","name":"com.acme.TicketCreated","fields":[
 {"name":"id","type":"string"},
 {"name":"version","type":"long"},
 {"name":"title","type":"string"},
 {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
 {"name":"userId","type":"string"},
 {"name":"orderId","type":["null","string"],"default":null},
 {"name":"createdAt","type":{"type":"long","logicalType":"timestamp-millis"}}]}`

func BenchmarkAvro(b *testing.B) {
	c := avroContract(b, avroFiles(b, map[string]string{"t.avsc": avroTicket}), contract.Reference{File: "t.avsc"})
	data := []byte(`{"id":"tck_1","version":1,"title":"Concert","price":"20.50","userId":"usr_1","orderId":null,"createdAt":"2030-01-02T03:04:05.000Z"}`)
	wire, faults := c.Encode(data)
	if faults != nil {
		b.Fatal(faultList(faults))
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, faults := c.Encode(data); faults != nil {
				b.Fatal(faultList(faults))
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if again, faults := c.Decode(wire); len(again) != len(data) {
				b.Fatal(faultList(faults))
			}
		}
	})
	b.Run("compile", func(b *testing.B) {
		b.ReportAllocs()
		folder := avroFiles(b, map[string]string{"t.avsc": avroTicket}).folder
		for b.Loop() {
			if _, err := newCompiler(folder).Compile(contract.Reference{File: "t.avsc"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
