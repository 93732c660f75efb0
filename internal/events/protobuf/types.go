package protobuf

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// typeFinder finds extensions, and messages packed in a google.protobuf.Any: first
// in the contract's file and its imports, then in the whole catalogue.
type typeFinder struct {
	near *dynamicpb.Types
	far  func() typeFinder // nil: nothing else to search
}

// findType searches near, then far.
func findType[T any](t typeFinder, look func(*dynamicpb.Types) (T, error)) (T, error) {
	found, err := look(t.near)
	if errors.Is(err, protoregistry.NotFound) && t.far != nil {
		return findType(t.far(), look)
	}
	return found, err
}

func (t typeFinder) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	return findType(t, func(types *dynamicpb.Types) (protoreflect.MessageType, error) { return types.FindMessageByName(name) })
}

func (t typeFinder) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return findType(t, func(types *dynamicpb.Types) (protoreflect.MessageType, error) { return types.FindMessageByURL(url) })
}

func (t typeFinder) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return findType(t, func(types *dynamicpb.Types) (protoreflect.ExtensionType, error) {
		return types.FindExtensionByName(name)
	})
}

func (t typeFinder) FindExtensionByNumber(message protoreflect.FullName, number protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return findType(t, func(types *dynamicpb.Types) (protoreflect.ExtensionType, error) {
		return types.FindExtensionByNumber(message, number)
	})
}

// isFlat reports whether a message's nesting is limited by its descriptor: it is
// not recursive, holds no Any, and has no extensions.
func isFlat(d protoreflect.MessageDescriptor) bool {
	depths := map[protoreflect.FullName]int{} // 0: in progress
	var depth func(d protoreflect.MessageDescriptor) (int, bool)
	depth = func(d protoreflect.MessageDescriptor) (int, bool) {
		if known, ok := depths[d.FullName()]; ok {
			return known, known > 0
		}
		if d.ExtensionRanges().Len() > 0 || d.FullName() == anyName {
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
		return deepest + 1, deepest < maxDepth
	}
	_, ok := depth(d)
	return ok
}

const anyName protoreflect.FullName = "google.protobuf.Any"

// A message of two bytes is shown with all its fields, so a short event can be long
// in JSON.
const (
	maxFields  = 1 << 19 // in all the messages of an event
	shortEvent = 16 << 10
)

// checkSize returns an error for a message with nesting too deep, or too many
// fields. The libraries' limits don't include messages packed in an Any, and differ
// between JSON and wire format. Flat messages of less than
// shortEvent bytes are never too large.
func (c *messageCodec) checkSize(m protoreflect.ProtoMessage, bytes int) error {
	if c.flat && bytes < shortEvent {
		return nil
	}
	w := walk{codec: c}
	switch {
	case w.fits(m.ProtoReflect(), maxDepth):
		return nil
	case w.fields > maxFields:
		return fmt.Errorf("has more than %d fields", maxFields)
	}
	return fmt.Errorf("messages are nested more than %d levels deep", maxDepth)
}

// A walk counts the fields of messages.
type walk struct {
	codec  *messageCodec
	fields int
}

func (w *walk) fits(m protoreflect.Message, left int) bool {
	w.fields += m.Descriptor().Fields().Len()
	if left == 0 || w.fields > maxFields {
		return false
	}
	if m.Descriptor().FullName() == anyName {
		packed, err := w.codec.unpack(m)
		return err != nil || w.fits(packed, left-1) // protojson reports the error
	}
	fits := true
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				fits = fits && w.fits(v.Message(), left-1)
				return fits
			})
		case f.IsList() && f.Message() != nil:
			for i := 0; fits && i < v.List().Len(); i++ {
				fits = w.fits(v.List().Get(i).Message(), left-1)
			}
		case !f.IsMap() && f.Message() != nil:
			fits = w.fits(v.Message(), left-1)
		}
		return fits
	})
	return fits
}

// unpack returns the message in an Any.
func (c *messageCodec) unpack(m protoreflect.Message) (protoreflect.Message, error) {
	fields := m.Descriptor().Fields()
	packed, err := c.types.FindMessageByURL(m.Get(fields.ByName("type_url")).String())
	if err != nil {
		return nil, err
	}
	inner := packed.New()
	return inner, c.unmarshal(m.Get(fields.ByName("value")).Bytes(), inner.Interface())
}
