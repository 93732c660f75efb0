package protobuf

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// isPlain reports whether a value is certainly valid for a field.
func isPlain(value any, field protoreflect.FieldDescriptor) bool {
	kind := field.Kind()
	switch v := value.(type) {
	case string:
		switch kind {
		case protoreflect.StringKind:
			return true
		case protoreflect.EnumKind:
			return field.Enum().Values().ByName(protoreflect.Name(v)) != nil
		case protoreflect.BytesKind:
			_, err := base64.StdEncoding.DecodeString(v)
			return err == nil
		}
		return isPlainWhole(v, kind)
	case bool:
		return kind == protoreflect.BoolKind
	case json.Number:
		if kind == protoreflect.FloatKind || kind == protoreflect.DoubleKind {
			_, err := strconv.ParseFloat(string(v), 32)
			return err == nil
		}
		return isPlainWhole(string(v), kind)
	}
	return false
}

// isPlainValue reports whether a value is certainly valid for a
// google.protobuf.Value.
func isPlainValue(value any) bool {
	switch v := value.(type) {
	case json.Number:
		_, err := strconv.ParseFloat(string(v), 64)
		return err == nil
	case string, bool, nil:
		return true
	}
	return false
}

// isPlainWhole reports whether text is an integer that certainly fits the kind,
// without redundant digits.
func isPlainWhole(text string, kind protoreflect.Kind) bool {
	switch kind {
	case protoreflect.BoolKind, protoreflect.StringKind, protoreflect.BytesKind, protoreflect.EnumKind,
		protoreflect.FloatKind, protoreflect.DoubleKind:
		return false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && strconv.FormatInt(n, 10) == text && isMapKey(text, kind)
}

func isMapKey(key string, kind protoreflect.Kind) bool {
	var err error
	switch kind {
	case protoreflect.BoolKind:
		return key == "true" || key == "false"
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		_, err = strconv.ParseInt(key, 10, 32)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		_, err = strconv.ParseInt(key, 10, 64)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		_, err = strconv.ParseUint(key, 10, 32)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		_, err = strconv.ParseUint(key, 10, 64)
	}
	return err == nil
}
