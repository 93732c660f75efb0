package protobuf

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"nats-test/internal/events/contract"
)

// faults returns all faults of data; first is the one reported by the library. It
// walks through the data as the library does, and has the library check every value
// alone.
func (c *messageCodec) faults(data []byte, first error) []contract.Fault {
	value, err := contract.DecodeJSON(data)
	if err != nil {
		return []contract.Fault{{Problem: err.Error()}}
	}
	f := faultFinder{codec: c}
	f.message(value, c.message, nil, maxDepth)
	if f.list == nil {
		problem := plainError(first)
		if problem == "unexpected EOF" || strings.HasPrefix(problem, "invalid escape code") { // though the JSON itself is complete
			problem = "holds half of a surrogate pair"
		}
		return []contract.Fault{{Problem: problem}}
	}
	return contract.Bounded(f.list, f.tries > maxTries)
}

type faultFinder struct {
	codec *messageCodec
	list  []contract.Fault
	inAny int // depth in Any messages, which may lack required fields
	tries int
}

// maxTries limits the values of an event checked by the library. Plain values don't
// need it.
const maxTries = 20_000

// full reports whether there are enough faults or checks.
func (f *faultFinder) full() bool { return len(f.list) > contract.MaxFaults || f.tries > maxTries }

func (f *faultFinder) add(at *contract.Place, format string, args ...any) {
	if len(f.list) <= contract.MaxFaults {
		f.list = append(f.list, contract.Fault{Path: at.ShortPointer(), Problem: fmt.Sprintf(format, args...)})
	}
}

// message checks the value of a message.
func (f *faultFinder) message(value any, d protoreflect.MessageDescriptor, at *contract.Place, left int) {
	switch {
	case left == 0:
		f.add(at, "messages are nested more than %d levels deep", maxDepth)
	case d.FullName() == anyName:
		f.packed(value, at, left)
	case isWellKnown(d):
		if isWrapper(d) && isPlain(value, d.Fields().ByName("value")) || d.Name() == "Value" && isPlainValue(value) {
			return
		}
		if err := f.try(value, dynamicpb.NewMessage(d)); err != nil {
			f.add(at, "%s", wellKnownProblem(value, d, err))
		}
	default:
		if object, ok := f.object(value, at); ok {
			f.fields(object, d, at, left)
		}
	}
}

func (f *faultFinder) object(value any, at *contract.Place) (map[string]any, bool) {
	object, ok := value.(map[string]any)
	if !ok {
		f.add(at, "is %s, must be object", contract.KindOf(value))
	}
	return object, ok
}

func (f *faultFinder) fields(object map[string]any, d protoreflect.MessageDescriptor, at *contract.Place, left int) {
	seen := map[protoreflect.FullName]string{} // fields and oneofs, with the name that set them
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if f.full() {
			return
		}
		below, value := at.Below(name), object[name]
		field := f.field(name, d)
		if field == nil {
			f.add(below, "unknown field")
			continue
		}
		if other, twice := seen[field.FullName()]; twice {
			f.add(below, "is the same field as %s", contract.Quote(other))
			continue
		}
		seen[field.FullName()] = name
		if value == nil && !takesNull(field) {
			continue // null means not set
		}
		if oneof := field.ContainingOneof(); oneof != nil {
			if other, twice := seen[oneof.FullName()]; twice {
				f.add(below, "only one of %q may be set, and %s is", oneof.Name(), contract.Quote(other))
				continue
			}
			seen[oneof.FullName()] = name
		}
		f.value(value, field, below, left)
	}
	for i := 0; f.inAny == 0 && i < d.Fields().Len(); i++ {
		field := d.Fields().Get(i)
		name, ok := seen[field.FullName()]
		if field.Cardinality() == protoreflect.Required && (!ok || object[name] == nil) {
			f.add(at.Below(field.JSONName()), "missing")
		}
	}
}

// field returns the field with a JSON name, or nil.
func (f *faultFinder) field(name string, d protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	if extension, ok := strings.CutPrefix(name, "["); ok && strings.HasSuffix(extension, "]") {
		t, err := f.codec.types.FindExtensionByName(protoreflect.FullName(strings.TrimSuffix(extension, "]")))
		if err != nil || t.TypeDescriptor().ContainingMessage().FullName() != d.FullName() {
			return nil
		}
		return t.TypeDescriptor()
	}
	if field := d.Fields().ByJSONName(name); field != nil {
		return field
	}
	return d.Fields().ByTextName(name)
}

// value checks the value of a field.
func (f *faultFinder) value(value any, field protoreflect.FieldDescriptor, at *contract.Place, left int) {
	switch {
	case field.IsList():
		items, ok := value.([]any)
		if !ok {
			f.add(at, "is %s, must be array", contract.KindOf(value))
		}
		for i, item := range items {
			if f.full() {
				return
			}
			f.single(item, field, at.Below(strconv.Itoa(i)), left)
		}
	case field.IsMap():
		entries, _ := f.object(value, at)
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			if f.full() {
				return
			}
			below := at.Below(key)
			if !isMapKey(key, field.MapKey().Kind()) {
				f.add(below, "the key %s is not a valid %s", contract.Quote(key), field.MapKey().Kind())
			}
			f.single(entries[key], field.MapValue(), below, left)
		}
	default:
		f.single(value, field, at, left)
	}
}

// single checks a single value of a field, including an item of a list or a map's
// value.
func (f *faultFinder) single(value any, field protoreflect.FieldDescriptor, at *contract.Place, left int) {
	if d := field.Message(); d != nil {
		f.message(value, d, at, left-1)
		return
	}
	if isPlain(value, field) {
		return
	}
	object := map[string]any{field.JSONName(): value}
	if field.IsList() {
		object[field.JSONName()] = []any{value}
	}
	err := f.try(object, dynamicpb.NewMessage(field.ContainingMessage()))
	if err != nil || value == nil && !takesNull(field) {
		f.add(at, "%s", scalarProblem(value, field))
	}
}

// packed checks the value of a google.protobuf.Any.
func (f *faultFinder) packed(value any, at *contract.Place, left int) {
	object, ok := f.object(value, at)
	if !ok || len(object) == 0 {
		return
	}
	url, ok := object["@type"].(string)
	named := at.Below("@type")
	switch kind, found := object["@type"]; {
	case !found:
		f.add(named, "missing")
		return
	case !ok:
		f.add(named, "is %s, must be string", contract.KindOf(kind))
		return
	}
	t, err := f.codec.types.FindMessageByURL(url)
	if err != nil {
		f.add(named, "the catalogue has no message %s", contract.Quote(url))
		return
	}
	object = maps.Clone(object)
	delete(object, "@type")
	d := t.Descriptor()
	isEmpty := d.FullName() == "google.protobuf.Empty" // its value may be omitted
	if d.FullName() != anyName && !isWellKnown(d) && !isEmpty {
		f.inAny++
		f.fields(object, d, at, left-1)
		f.inAny--
		return
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if name != "value" {
			f.add(at.Below(name), "unknown field")
		}
	}
	if inner, ok := object["value"]; ok {
		f.message(inner, d, at.Below("value"), left-1)
	} else if !isEmpty {
		f.add(at.Below("value"), "missing")
	}
}

// try checks one value with the library.
func (f *faultFinder) try(value any, m proto.Message) error {
	if f.tries++; f.tries > maxTries {
		return nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return f.codec.unmarshalJSON(data, m, true)
}

func takesNull(field protoreflect.FieldDescriptor) bool {
	if d := field.Message(); d != nil {
		return d.FullName() == "google.protobuf.Value"
	}
	return field.Enum() != nil && field.Enum().FullName() == "google.protobuf.NullValue"
}
