package protobuf

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"nats-test/internal/events/contract"
)

// nestedWire returns wire bytes of the given number of levels: each head is
// followed by the length and the bytes of the next level.
func nestedWire(levels int, heads ...[]byte) []byte {
	var reversed [][]byte
	size := 0
	for i := range levels {
		head := heads[len(heads)-1-i%len(heads)]
		head = protowire.AppendVarint(bytes.Clone(head), uint64(size))
		size += len(head)
		reversed = append(reversed, head)
	}
	slices.Reverse(reversed)
	return bytes.Join(reversed, nil)
}

func protoTag(field protowire.Number) []byte {
	return protowire.AppendTag(nil, field, protowire.BytesType)
}

// nestedAnyWire returns the bytes of a google.protobuf.Any in an Any, and so on.
func nestedAnyWire(levels int) []byte {
	return nestedWire(levels, append(protowire.AppendString(protoTag(1), "/google.protobuf.Any"), protoTag(2)...))
}

// Data at the nesting limit can be encoded and decoded; deeper data is refused both
// ways.
func TestProtobufDepth(t *testing.T) {
	for name, c := range map[string]struct {
		name string
		data func(levels int) string
		most int
	}{
		"message": {"test.All", func(n int) string {
			return strings.Repeat(`{"nested":{"all":`, n/2) + `{"int32":1}` + strings.Repeat(`}}`, n/2)
		}, 99},
		"map": {"test.All", func(n int) string {
			return strings.Repeat(`{"byUint64":{"1":{"all":`, n/2) + `{"int32":1}` + strings.Repeat(`}}}`, n/2)
		}, 99},
		"list": {"test.All", func(n int) string {
			return strings.Repeat(`{"nesteds":[{"all":`, n/2) + `{}` + strings.Repeat(`}]}`, n/2)
		}, 99},
		"Struct": {"test.All", func(n int) string {
			return `{"struct":` + strings.Repeat(`{"a":`, n/2) + `{}` + strings.Repeat(`}`, n/2) + `}`
		}, 98},
		"ListValue": {"test.All", func(n int) string {
			return `{"listValue":` + strings.Repeat(`[`, n/2) + strings.Repeat(`]`, n/2) + `}`
		}, 98 + 2},
		"Any": {"test.All", func(n int) string {
			return `{"any":` + strings.Repeat(`{"@type":"/google.protobuf.Any","value":`, n) + `{}` + strings.Repeat(`}`, n) + `}`
		}, 98},
		"Any of lists": {"test.All", func(n int) string {
			return strings.Repeat(`{"anys":[{"@type":"/test.All","nesteds":[{"all":`, n/4) + `{"int32s":[1]}` + strings.Repeat(`}]}]}`, n/4)
		}, 99},
	} {
		k := protobufOf(t, "all.proto", c.name)
		wire, faults := k.Encode([]byte(c.data(c.most)))
		if faults != nil {
			t.Errorf("%s: %v", name, faults)
			continue
		}
		data, faults := k.Decode(wire)
		if faults != nil {
			t.Errorf("%s: %v", name, faults)
			continue
		}
		if again, faults := k.Encode(data); !bytes.Equal(again, wire) || faults != nil {
			t.Errorf("%s: %v", name, faults)
		}
		for _, deeper := range []int{c.most + 4, 2000, 100_000} {
			if _, faults := k.Encode([]byte(c.data(deeper))); faults == nil {
				t.Errorf("%s: %d levels were encoded", name, deeper)
			}
		}
	}
	k := protobufOf(t, "all.proto", "test.All")
	for name, c := range map[string]struct {
		codec contract.Codec
		wire  []byte
	}{
		"messages": {k, nestedWire(100_000, protoTag(16), protoTag(2))},
		"Any":      {k, protowire.AppendBytes(protoTag(87), nestedAnyWire(100_000))},
		"groups":   {protobufOf(t, "edition.proto", ""), append(bytes.Repeat([]byte{0x23}, 100_000), bytes.Repeat([]byte{0x24}, 100_000)...)},
	} {
		if _, faults := c.codec.Decode(c.wire); faults == nil {
			t.Errorf("%s: was decoded", name)
		}
	}
}

func TestProtobufHuge(t *testing.T) {
	k := protobufOf(t, "acme/ticket.proto", "")
	data := []byte(`{"id":"` + strings.Repeat("x", 50<<20) + `"}`)
	wire, faults := k.Encode(data)
	if faults != nil {
		t.Fatal(faults)
	}
	if got, faults := k.Decode(wire); len(got) < 50<<20 || faults != nil {
		t.Errorf("%d bytes, %v", len(got), faults)
	}
	// A wrong value in a huge list is found.
	data = []byte(`{"tags":[` + strings.Repeat(`"x",`, 1<<17) + `1]}`)
	if _, faults := k.Encode(data); faultsText(faults) != "/tags/131072: is number, must be string" {
		t.Error(faults)
	}
	// Costly data of a quarter of a broker's maximum size.
	for name, wire := range map[string][]byte{
		"empty messages": bytes.Repeat([]byte{0x8a, 0x02, 0x00}, 1<<18/3),
		"map entries":    bytes.Repeat([]byte{0xca, 0x02, 0x00}, 1<<18/3),
		"empty Anys":     bytes.Repeat([]byte{0xda, 0x05, 0x00}, 1<<18/3),
		"unknown fields": bytes.Repeat([]byte{0xf8, 0x3f, 0x00}, 1<<18/3),
		"oneof":          bytes.Repeat([]byte{0x98, 0x03, 0x00, 0xa2, 0x03, 0x00}, 1<<18/6),
		"nested Anys":    protowire.AppendBytes(protoTag(87), nestedAnyWire(90)),
	} {
		if _, faults := protobufOf(t, "all.proto", "test.All").Decode(wire); faults != nil {
			t.Errorf("%s: %v", name, faults)
		}
	}
	// Messages of two bytes are shown with all their fields: not too many.
	wire = bytes.Repeat([]byte{0x8a, 0x02, 0x00}, maxFields)
	if data, faults := protobufOf(t, "all.proto", "test.All").Decode(wire); !strings.Contains(faultsText(faults), "has more than 524288 fields") {
		t.Errorf("%d bytes, %v", len(data), faults)
	}
}

// An Any may hold any message of the catalogue, from any file, and an extension may
// be defined anywhere. An invalid file does not matter.
func TestProtobufCatalogue(t *testing.T) {
	const head = "syntax = \"proto3\"; package x;\n"
	files := map[string]string{
		"a.proto":              head + `import "google/protobuf/any.proto"; message A { google.protobuf.Any any = 1; }`,
		"sub/b.proto":          head + "message B { int32 n = 1; }",
		"broken.proto":         head + "message {",
		"twice.proto":          head + "message B { string other = 1; } message A {}",
		"node_modules/c.proto": head + "message C {}",
	}
	a, err := protobufFrom(t, contract.Reference{File: "a.proto"}, files)
	if err != nil {
		t.Fatal(err)
	}
	data := []byte(`{"any":{"@type":"type.googleapis.com/x.B","n":5}}`)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			wire, faults := a.Encode(data)
			got, more := a.Decode(wire)
			if !bytes.Equal(got, data) || faults != nil || more != nil {
				t.Errorf("%s %v %v", got, faults, more)
			}
		})
	}
	all.Wait()
	_, faults := a.Encode([]byte(`{"any":{"@type":"x.C"}}`))
	if got := faultsText(faults); got != `/any/@type: the catalogue has no message "x.C"` {
		t.Error(got)
	}
}

// Each file is compiled once, and several contracts share it.
func TestProtobufOnce(t *testing.T) {
	p := newCompiler(contract.NewFolder("testdata"))
	for range 2 {
		for _, r := range []contract.Reference{{File: "acme/ticket.proto"}, {File: "acme/money.proto"}, {File: "old.proto", Name: "test.Holder"}} {
			if _, err := p.Compile(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(p.files) != 4 { // with timestamp.proto
		t.Errorf("%d files", len(p.files))
	}
}

func BenchmarkProtobuf(b *testing.B) {
	data := []byte(`{"id":"5f2c","title":"concert","price":{"currency":"EUR","units":"50"},"userId":"u1","version":"3","createdAt":"2030-01-02T03:04:05Z","tags":["a","b"],"status":"STATUS_FREE"}`)
	k := protobufOf(b, "acme/ticket.proto", "")
	wire, faults := k.Encode(data)
	if faults != nil {
		b.Fatal(faults)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, faults := k.Encode(data); faults != nil {
				b.Fatal(faults)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, faults := k.Decode(wire); faults != nil {
				b.Fatal(faults)
			}
		}
	})
	b.Run("compile", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := newCompiler(contract.NewFolder("testdata")).Compile(contract.Reference{File: "acme/ticket.proto"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
