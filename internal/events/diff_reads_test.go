package events

import (
	"strings"
	"testing"

	twmb "github.com/twmb/avro"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"nats-test/internal/events/avro"
	"nats-test/internal/events/contract"
	"nats-test/internal/events/jsonschema"
	"nats-test/internal/events/protobuf"
	validator "nats-test/third_party/jsonschema"
)

// The rules for types agree with the formats' own libraries.
func TestReads(t *testing.T) {
	check := func(format *contract.Format, reader, writer string, does bool) {
		t.Helper()
		if d := (&comparison{rules: format.Evolution}); d.reads(reader, writer) != does {
			t.Errorf("%s: %s reads %s: should be %v", format, reader, writer, does)
		}
	}
	avros := []string{"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
	for _, reader := range avros {
		for _, writer := range avros {
			err := twmb.CheckCompatibility(twmb.MustParse(`"`+writer+`"`), twmb.MustParse(`"`+reader+`"`))
			check(avro.Format, reader, writer, err == nil)
		}
	}

	values := map[string][]string{"string": {`"x"`, `""`}, "number": {`1`, `1.5`}, "integer": {`1`}, "boolean": {`true`}, "null": {`null`}, "array": {`[]`}, "object": {`{}`}}
	for reader := range values {
		c := validator.NewCompiler()
		if err := c.AddResource("mem:s", map[string]any{"type": reader}); err != nil {
			t.Fatal(err)
		}
		schema := c.MustCompile("mem:s")
		for writer, texts := range values {
			all := true
			for _, text := range texts {
				value, err := validator.UnmarshalJSON(strings.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				all = all && schema.Validate(value) == nil
			}
			check(jsonschema.Format, reader, writer, all)
		}
	}
	check(jsonschema.Format, "date-time", "string", false)
	check(jsonschema.Format, "string", "uuid", true)
}

// A Protobuf type reads another if the same bytes decode to the same JSON, except
// for the quotes around 64-bit numbers.
func TestReadsProtobuf(t *testing.T) {
	values := map[string][]string{
		"bool": {"true"}, "string": {`"é"`, `"YQ=="`}, "bytes": {`"YQ=="`}, "float": {"1.5"}, "double": {"1.5"},
		"int32": {"-1", "1", "2147483647"}, "sint32": {"-1", "1", "2147483647"}, "sfixed32": {"-1", "1"}, "uint32": {"1", "4294967295"}, "fixed32": {"1", "4294967295"},
		"int64": {"-1", "1", "9223372036854775807"}, "sint64": {"-1", "1", "9223372036854775807"}, "sfixed64": {"-1", "1"},
		"uint64": {"1", "18446744073709551615"}, "fixed64": {"1", "18446744073709551615"},
	}
	messages := make(map[string]protoreflect.MessageDescriptor)
	for kind := range values {
		wire := descriptorpb.FieldDescriptorProto_Type_value["TYPE_"+strings.ToUpper(kind)]
		file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
			Name: proto.String("x.proto"), Syntax: proto.String("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("M"), Field: []*descriptorpb.FieldDescriptorProto{{
				Name: proto.String("f"), Number: proto.Int32(1),
				Type: descriptorpb.FieldDescriptorProto_Type(wire).Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			}}}},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		messages[kind] = file.Messages().Get(0)
	}
	read := func(reader, writer, text string) bool {
		written, got := dynamicpb.NewMessage(messages[writer]), dynamicpb.NewMessage(messages[reader])
		if err := protojson.Unmarshal([]byte(`{"f":`+text+`}`), written); err != nil {
			t.Fatal(err)
		}
		wire, err := proto.Marshal(written)
		if err != nil {
			t.Fatal(err)
		}
		if proto.Unmarshal(wire, got) != nil {
			return false
		}
		back, err := protojson.Marshal(got)
		plain := strings.NewReplacer(" ", "", `"`, "")
		return err == nil && plain.Replace(string(back)) == plain.Replace(`{"f":`+text+`}`)
	}
	for reader := range values {
		for writer, texts := range values {
			all := true
			for _, text := range texts {
				all = all && read(reader, writer, text)
			}
			if d := (&comparison{rules: protobuf.Format.Evolution}); d.reads(reader, writer) != all {
				t.Errorf("%s reads %s: should be %v", reader, writer, all)
			}
		}
	}
}
