package events

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// protoTypes finds the messages that are packed into a google.protobuf.Any, and
// extensions: in a contract's file and its imports, else in the whole catalogue.
type protoTypes struct {
	near *dynamicpb.Types
	far  func() protoTypes // nil: there is no more
}

// findType looks for something in near, then in far.
func findType[T any](t protoTypes, look func(*dynamicpb.Types) (T, error)) (T, error) {
	found, err := look(t.near)
	if errors.Is(err, protoregistry.NotFound) && t.far != nil {
		return findType(t.far(), look)
	}
	return found, err
}

func (t protoTypes) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	return findType(t, func(types *dynamicpb.Types) (protoreflect.MessageType, error) { return types.FindMessageByName(name) })
}

func (t protoTypes) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return findType(t, func(types *dynamicpb.Types) (protoreflect.MessageType, error) { return types.FindMessageByURL(url) })
}

func (t protoTypes) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return findType(t, func(types *dynamicpb.Types) (protoreflect.ExtensionType, error) {
		return types.FindExtensionByName(name)
	})
}

func (t protoTypes) FindExtensionByNumber(message protoreflect.FullName, number protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return findType(t, func(types *dynamicpb.Types) (protoreflect.ExtensionType, error) {
		return types.FindExtensionByNumber(message, number)
	})
}

// isFlatProto reports whether the descriptor alone bounds how deeply a message can be
// nested: none is recursive, holds an Any, or can be extended.
func isFlatProto(d protoreflect.MessageDescriptor) bool {
	depths := map[protoreflect.FullName]int{} // 0: being looked at
	var depth func(d protoreflect.MessageDescriptor) (int, bool)
	depth = func(d protoreflect.MessageDescriptor) (int, bool) {
		if known, ok := depths[d.FullName()]; ok {
			return known, known > 0
		}
		if d.ExtensionRanges().Len() > 0 || d.FullName() == protoAny {
			return 0, false
		}
		depths[d.FullName()] = 0
		deepest := 0
		for i := range d.Fields().Len() {
			if below := d.Fields().Get(i).Message(); below != nil {
				n, ok := depth(below)
				if !ok {
					return 0, false
				}
				deepest = max(deepest, n)
			}
		}
		depths[d.FullName()] = deepest + 1
		return deepest + 1, deepest < maxProtoDepth
	}
	_, ok := depth(d)
	return ok
}

const protoAny protoreflect.FullName = "google.protobuf.Any"

// checkDepth returns an error for a message whose messages are nested too
// deeply. The libraries' own limits don't hold for what is packed into an Any,
// and count JSON and the wire form differently.
func (c *protobufCodec) checkDepth(m protoreflect.ProtoMessage) error {
	if c.flat || c.isShallow(m.ProtoReflect(), maxProtoDepth) {
		return nil
	}
	return fmt.Errorf("messages are nested more than %d levels deep", maxProtoDepth)
}

func (c *protobufCodec) isShallow(m protoreflect.Message, left int) bool {
	if left == 0 {
		return false
	}
	if m.Descriptor().FullName() == protoAny {
		packed, err := c.unpack(m)
		return err != nil || c.isShallow(packed, left-1) // protojson reports the error
	}
	shallow := true
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				shallow = shallow && c.isShallow(v.Message(), left-1)
				return shallow
			})
		case f.IsList() && f.Message() != nil:
			for i := 0; shallow && i < v.List().Len(); i++ {
				shallow = c.isShallow(v.List().Get(i).Message(), left-1)
			}
		case !f.IsMap() && f.Message() != nil:
			shallow = c.isShallow(v.Message(), left-1)
		}
		return shallow
	})
	return shallow
}

// unpack returns the message in an Any.
func (c *protobufCodec) unpack(m protoreflect.Message) (protoreflect.Message, error) {
	fields := m.Descriptor().Fields()
	packed, err := c.types.FindMessageByURL(m.Get(fields.ByName("type_url")).String())
	if err != nil {
		return nil, err
	}
	inner := packed.New()
	return inner, c.unmarshal(m.Get(fields.ByName("value")).Bytes(), inner.Interface())
}
