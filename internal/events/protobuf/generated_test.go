package protobuf

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"nats-test/internal/events/contract"
)

// The codec agrees with Go's generated types.
func TestProtobufAgainstGenerated(t *testing.T) {
	timestamp := timestamppb.Timestamp{Seconds: 1, Nanos: 2}
	packed := func(m proto.Message) *typepb.Option {
		o := &typepb.Option{Name: "o"}
		var err error
		if o.Value, err = anypb.New(m); err != nil {
			t.Fatal(err)
		}
		return o
	}
	tree, err := structpb.NewStruct(map[string]any{"a": []any{1.5, nil, "x", map[string]any{"b": true}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []proto.Message{
		&timestamp, &durationpb.Duration{Seconds: -1, Nanos: -5}, tree, wrapperspb.Int64(-1), wrapperspb.Bytes([]byte{0, 255}),
		&typepb.Type{Name: "n", Fields: []*typepb.Field{{Kind: typepb.Field_TYPE_GROUP, Number: 3, Packed: true}}, Oneofs: []string{"a", "b"},
			Options: []*typepb.Option{packed(&timestamp), packed(tree), packed(wrapperspb.Bool(true))}, Syntax: typepb.Syntax_SYNTAX_EDITIONS},
		protodesc.ToFileDescriptorProto(descriptorpb.File_google_protobuf_descriptor_proto),
	} {
		d := m.ProtoReflect().Descriptor()
		p := newCompiler(contract.NewFolder("testdata")) // all.proto there imports the packed types
		k, err := p.Compile(contract.Reference{File: d.ParentFile().Path(), Name: string(d.FullName())})
		if err != nil {
			t.Fatal(err)
		}
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		wantJSON, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var line bytes.Buffer
		if err := json.Compact(&line, wantJSON); err != nil {
			t.Fatal(err)
		}
		wire, faults := k.Encode(wantJSON)
		if !bytes.Equal(wire, want) || faults != nil {
			t.Errorf("%s: %x %v\nwant %x", d.FullName(), wire, faults, want)
		}
		data, faults := k.Decode(want)
		if !bytes.Equal(data, line.Bytes()) || faults != nil {
			t.Errorf("%s: %s %v\nwant %s", d.FullName(), data, faults, line.Bytes())
		}
	}
}

// The search for faults finds none in valid data, and at least one in other data.
func TestProtobufFaultsConformance(t *testing.T) {
	k := protobufOf(t, "all.proto", "test.All")
	for _, c := range protoConformance {
		comma := ","
		if c.data == "{}" {
			comma = ""
		}
		data := strings.Replace(c.data, "{", `{"zzz":1`+comma, 1)
		_, faults := k.Encode([]byte(data))
		if got := faultsText(faults); got != "/zzz: unknown field" {
			t.Errorf("%s: %s", data, got)
		}
	}
	unknown := map[string]string{ // encoding/json accepts data that the library refuses
		`{"nested":{"a":1},"nested":{}}`: `duplicate field "nested"`,
		`{"byInt32":{"1":1,"1":2}}`:      `duplicate map key "1"`,
		`{"struct":{"a":1,"a":2}}`:       `duplicate map key "a"`,
		`{"empty":null,"empty":{}}`:      `duplicate field "empty"`,
		`{"string":"\uD800"}`:            "holds half of a surrogate pair",
		`{"string":"\uDC00"}`:            "holds half of a surrogate pair",
		`{"string":"\uDE01\uD83D"}`:      "holds half of a surrogate pair",
	}
	for _, data := range protoRefused {
		_, faults := k.Encode([]byte(data))
		got := faultsText(faults)
		if want, ok := unknown[data]; ok {
			if got != want {
				t.Errorf("%s: %s\nwant %s", data, got, want)
			}
			continue
		}
		if len(faults) == 0 || faults[0].Path == "" && !strings.HasPrefix(got, "not JSON: ") && !strings.HasSuffix(got, "must be object") && !strings.Contains(got, "nested") {
			t.Errorf("%s: %s", data, got)
		}
	}
}
