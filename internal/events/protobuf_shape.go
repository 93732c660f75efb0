package events

import (
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// readsProto reports whether two kinds have the same bytes and the same values.
// More of Protobuf's types share their bytes, but read them as other values, or
// are other types in JSON.
func readsProto(reader, writer string) bool {
	return slices.Contains(map[string][]string{
		"int64": {"int32", "uint32"}, "uint64": {"uint32"}, "sint64": {"sint32"},
	}[reader], writer)
}

func (c *protobufCodec) shape() *shape {
	return protoShapes{}.message(c.message)
}

// protoShapes holds the shapes of messages that are known already: messages
// may be recursive.
type protoShapes map[protoreflect.FullName]*shape

func (known protoShapes) message(d protoreflect.MessageDescriptor) *shape {
	if isWellKnownProto(d) || d.FullName() == protoAny {
		return &shape{kind: string(d.FullName())}
	}
	if s, ok := known[d.FullName()]; ok {
		return s
	}
	s := &shape{kind: shapeObject, open: true}
	known[d.FullName()] = s
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		field := field{
			name:     f.JSONName(),
			number:   int(f.Number()),
			required: f.Cardinality() == protoreflect.Required,
			shape:    known.field(f),
		}
		if oneof := f.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			field.oneof = string(oneof.Name())
		}
		s.fields = append(s.fields, field)
	}
	return s
}

func (known protoShapes) field(f protoreflect.FieldDescriptor) *shape {
	switch {
	case f.IsMap():
		// The key is the entry's first field, as on the wire.
		key := field{name: "key", number: 1, shape: known.single(f.MapKey())}
		return &shape{kind: shapeMap, fields: []field{key}, items: known.single(f.MapValue())}
	case f.IsList():
		return &shape{kind: shapeArray, items: known.single(f)}
	}
	return known.single(f)
}

func (known protoShapes) single(f protoreflect.FieldDescriptor) *shape {
	switch {
	case f.Message() != nil:
		return known.message(f.Message())
	case f.Enum() != nil:
		s := &shape{kind: shapeEnum}
		for i := range f.Enum().Values().Len() {
			v := f.Enum().Values().Get(i)
			s.values = append(s.values, enumValue{string(v.Name()), int(v.Number())})
		}
		return s
	}
	return &shape{kind: f.Kind().String()}
}

// sample fills every field, until the messages repeat themselves.
func (c *protobufCodec) sample() ([]byte, error) {
	s := protoSample{messages: 1000}
	data, err := json.Marshal(s.message(c.message, "value"))
	if err != nil {
		return nil, err
	}
	wire, faults := c.encode(data)
	if faults == nil {
		data, faults = c.decode(wire)
	}
	if faults != nil {
		return nil, fmt.Errorf("making a sample of %s: %v", c.message.FullName(), faults[0])
	}
	return data, nil
}

type protoSample struct {
	messages int // that may still be made: their number can grow exponentially
	open     []protoreflect.FullName
}

// message returns a sample as a JSON value. The name is that of its field.
func (s *protoSample) message(d protoreflect.MessageDescriptor, name string) any {
	if d.FullName().Parent() == "google.protobuf" {
		switch d.Name() {
		case "Timestamp":
			return "2030-01-02T03:04:05Z"
		case "Duration":
			return "1s"
		case "FieldMask", "Value":
			return name
		case "Struct":
			return map[string]any{"key": name}
		case "ListValue":
			return []any{name}
		case "Any":
			return map[string]any{}
		}
		if isWellKnownProto(d) {
			return s.scalar(d.Fields().ByName("value"), name)
		}
	}
	s.messages--
	s.open = append(s.open, d.FullName())
	object := map[string]any{}
	oneofs := map[protoreflect.FullName]bool{}
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		oneof := f.ContainingOneof()
		if s.ends(f) || oneof != nil && oneofs[oneof.FullName()] {
			continue
		}
		if oneof != nil {
			oneofs[oneof.FullName()] = true
		}
		object[f.JSONName()] = s.field(f)
	}
	s.open = s.open[:len(s.open)-1]
	return object
}

// ends reports whether a field is left out, so that a sample has an end.
func (s *protoSample) ends(f protoreflect.FieldDescriptor) bool {
	d := f.Message()
	if f.IsMap() {
		d = f.MapValue().Message()
	}
	if d == nil {
		return false
	}
	if f.Cardinality() == protoreflect.Required {
		return len(s.open) > maxProtoDepth
	}
	for _, open := range s.open {
		if open == d.FullName() {
			return true
		}
	}
	return s.messages <= 0 || len(s.open) >= maxProtoDepth/2
}

func (s *protoSample) field(f protoreflect.FieldDescriptor) any {
	name := f.JSONName()
	switch {
	case f.IsMap():
		key := "key"
		switch f.MapKey().Kind() {
		case protoreflect.StringKind:
		case protoreflect.BoolKind:
			key = "true"
		default:
			key = "1"
		}
		return map[string]any{key: s.single(f.MapValue(), name)}
	case f.IsList():
		return []any{s.single(f, name)}
	}
	return s.single(f, name)
}

func (s *protoSample) single(f protoreflect.FieldDescriptor, name string) any {
	if f.Message() != nil {
		return s.message(f.Message(), name)
	}
	return s.scalar(f, name)
}

func (s *protoSample) scalar(f protoreflect.FieldDescriptor, name string) any {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return true
	case protoreflect.StringKind:
		return name
	case protoreflect.BytesKind:
		return []byte(name)
	case protoreflect.EnumKind:
		values := f.Enum().Values()
		for i := range values.Len() {
			if values.Get(i).Number() != 0 {
				return values.Get(i).Name()
			}
		}
		return values.Get(0).Number()
	}
	return 1
}
