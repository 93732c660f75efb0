package protobuf

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nats-test/internal/events/contract"
)

func protobufCodecs(t testing.TB) []contract.Codec {
	return []contract.Codec{
		protobufOf(t, "all.proto", "test.All"),
		protobufOf(t, "old.proto", "test.Old"),
		protobufOf(t, "edition.proto", ""),
		protobufOf(t, "acme/ticket.proto", ""),
	}
}

// Any decoded wire data can be encoded, with the same meaning.
func FuzzProtobufWire(f *testing.F) {
	codecs := protobufCodecs(f)
	for i, k := range codecs {
		data, err := k.Sample()
		if err != nil {
			f.Fatal(err)
		}
		wire, _ := k.Encode(data)
		f.Add(byte(i), wire)
	}
	for _, c := range protoConformance {
		wire, _ := codecs[0].Encode([]byte(c.data))
		f.Add(byte(0), wire)
	}
	f.Add(byte(1), []byte("\x0a\x00\xa2\x06\x01x\xaa\x06\x02\x01\x02\xb2\x06\x02\x0a\x00"))
	f.Add(byte(2), []byte("\x18\x01\x23\x18\x01\x24"))
	f.Fuzz(func(t *testing.T, which byte, wire []byte) {
		k := codecs[int(which)%len(codecs)]
		data, faults := k.Decode(wire)
		if faults == nil {
			protoRoundTrip(t, k, data)
		}
	})
}

// Any encoded data can be decoded, and encoding that gives the same bytes.
func FuzzProtobufJSON(f *testing.F) {
	codecs := protobufCodecs(f)
	for i, k := range codecs {
		data, err := k.Sample()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), data)
	}
	for _, c := range protoConformance {
		f.Add(byte(0), []byte(c.data))
	}
	for _, data := range protoRefused {
		f.Add(byte(0), []byte(data))
	}
	f.Add(byte(1), []byte(`{"id":"","[test.note]":"x","[test.sizes]":["SMALL",7],"[test.Holder.holder]":{"n":1},"detail":{},"Line":[]}`))
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		k := codecs[int(which)%len(codecs)]
		wire, faults := k.Encode(data)
		if faults != nil {
			if wire != nil {
				t.Error("faults, and a wire form")
			}
			return
		}
		decoded, faults := k.Decode(wire)
		if faults != nil {
			t.Fatalf("%s: encoded, but not decoded: %v", data, faults)
		}
		again := protoRoundTrip(t, k, decoded)
		// All numbers of google.protobuf.NullValue are null in JSON.
		if !bytes.Equal(again, wire) && !bytes.Contains(data, []byte("ull")) {
			t.Fatalf("%s: %x, and then %x", data, wire, again)
		}
	})
}

func protoRoundTrip(t *testing.T, k contract.Codec, data []byte) []byte {
	t.Helper()
	wire, faults := k.Encode(data)
	if faults != nil {
		t.Fatalf("%s: decoded, but not encoded: %v", data, faults)
	}
	again, faults := k.Decode(wire)
	if !bytes.Equal(again, data) || faults != nil {
		t.Fatalf("%s\nand then %s %v", data, again, faults)
	}
	return wire
}

// Any .proto file is compiled, or refused with the name of a file, in a short time;
// its messages have samples and shapes.
func FuzzProtobufSource(f *testing.F) {
	for _, name := range []string{"all.proto", "old.proto", "edition.proto", "acme/ticket.proto", "acme/money.proto"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("syntax = \"proto3\"; import \"a.proto\"; message A { reserved 1 to max; oneof x { int32 y = 2 [deprecated = true]; } }")
	f.Add("syntax = \"proto2\"; import \"google/protobuf/descriptor.proto\"; extend google.protobuf.FieldOptions { optional A a = 50000; } message A { optional int32 b = 1 [(a) = { b: 1 }]; }")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(dir, "a.proto"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		k, err := newCompiler(contract.NewFolder(dir)).Compile(contract.Reference{File: "a.proto"})
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		var source *contract.SourceError
		if err != nil {
			if !errors.As(err, &source) || source.File == "" {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if k.Shape() == nil {
			t.Fatal("no shape")
		}
		if data, err := k.Sample(); err == nil {
			protoRoundTrip(t, k, data)
		}
	})
}
