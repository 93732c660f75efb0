package protobuf

import (
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"nats-test/internal/events/contract"
)

// readsProto reports whether two kinds have the same encoding and the same values.
// Other kinds share an encoding, but have different values or different types in
// JSON.
func readsProto(reader, writer string) bool {
	return slices.Contains(map[string][]string{
		"int64": {"int32", "uint32"}, "uint64": {"uint32"}, "sint64": {"sint32"},
	}[reader], writer)
}

func (c *messageCodec) Shape() *contract.Shape {
	return shapes{}.message(c.message)
}

// shapes caches the shapes of messages, which may be recursive.
type shapes map[protoreflect.FullName]*contract.Shape

func (known shapes) message(d protoreflect.MessageDescriptor) *contract.Shape {
	if isWellKnown(d) || d.FullName() == anyName {
		return &contract.Shape{Kind: string(d.FullName())}
	}
	if s, ok := known[d.FullName()]; ok {
		return s
	}
	s := &contract.Shape{Kind: contract.Object, Open: true}
	known[d.FullName()] = s
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		field := contract.Field{
			Name:     f.JSONName(),
			Number:   int(f.Number()),
			Required: f.Cardinality() == protoreflect.Required,
			Shape:    known.field(f),
		}
		if oneof := f.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			field.Oneof = string(oneof.Name())
		}
		s.Fields = append(s.Fields, field)
	}
	return s
}

func (known shapes) field(f protoreflect.FieldDescriptor) *contract.Shape {
	switch {
	case f.IsMap():
		// The key is the entry's first field, as on the wire.
		key := contract.Field{Name: "key", Number: 1, Shape: known.single(f.MapKey())}
		return &contract.Shape{Kind: contract.Map, Fields: []contract.Field{key}, Items: known.single(f.MapValue())}
	case f.IsList():
		return &contract.Shape{Kind: contract.Array, Items: known.single(f)}
	}
	return known.single(f)
}

func (known shapes) single(f protoreflect.FieldDescriptor) *contract.Shape {
	switch {
	case f.Message() != nil:
		return known.message(f.Message())
	case f.Enum() != nil:
		s := &contract.Shape{Kind: contract.Enum}
		for i := range f.Enum().Values().Len() {
			v := f.Enum().Values().Get(i)
			s.Values = append(s.Values, contract.EnumValue{Name: string(v.Name()), Number: int(v.Number())})
		}
		return s
	}
	return &contract.Shape{Kind: f.Kind().String()}
}

// Sample fills every field, except where messages recur.
func (c *messageCodec) Sample() ([]byte, error) {
	s := sampler{messages: 1000}
	data, err := json.Marshal(s.message(c.message, "value"))
	if err != nil {
		return nil, err
	}
	wire, faults := c.Encode(data)
	if faults == nil {
		data, faults = c.Decode(wire)
	}
	if faults != nil {
		return nil, fmt.Errorf("making a sample of %s: %v", c.message.FullName(), faults[0])
	}
	return data, nil
}

type sampler struct {
	messages int // messages left: their number can grow exponentially
	open     []protoreflect.FullName
}

// message returns a sample as a JSON value, for a field called name.
func (s *sampler) message(d protoreflect.MessageDescriptor, name string) any {
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
		if isWellKnown(d) {
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

// ends reports whether to leave out a field, to end a sample.
func (s *sampler) ends(f protoreflect.FieldDescriptor) bool {
	d := f.Message()
	if f.IsMap() {
		d = f.MapValue().Message()
	}
	if d == nil {
		return false
	}
	if f.Cardinality() == protoreflect.Required {
		return len(s.open) > maxDepth
	}
	for _, open := range s.open {
		if open == d.FullName() {
			return true
		}
	}
	return s.messages <= 0 || len(s.open) >= maxDepth/2
}

func (s *sampler) field(f protoreflect.FieldDescriptor) any {
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

func (s *sampler) single(f protoreflect.FieldDescriptor, name string) any {
	if f.Message() != nil {
		return s.message(f.Message(), name)
	}
	return s.scalar(f, name)
}

func (s *sampler) scalar(f protoreflect.FieldDescriptor, name string) any {
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
