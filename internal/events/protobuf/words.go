package protobuf

import (
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"nats-test/internal/events/contract"
)

// isWellKnown reports whether a message has its own JSON form; google.protobuf.Any
// is not included, since its form depends on its content.
func isWellKnown(d protoreflect.MessageDescriptor) bool {
	return d.FullName().Parent() == "google.protobuf" && wellKnownKind(d) != ""
}

// wellKnownKind returns the JSON kind of a well-known message, "" for other
// messages.
func wellKnownKind(d protoreflect.MessageDescriptor) string {
	switch d.Name() {
	case "Timestamp", "Duration", "FieldMask", "StringValue", "BytesValue":
		return "string"
	case "Int32Value", "Int64Value", "UInt32Value", "UInt64Value", "FloatValue", "DoubleValue":
		return "number"
	case "BoolValue":
		return "boolean"
	case "Struct":
		return "object"
	case "ListValue":
		return "array"
	case "Value":
		return contract.Any
	}
	return ""
}

// isWrapper reports whether a well-known message is written as its single field.
func isWrapper(d protoreflect.MessageDescriptor) bool {
	switch wellKnownKind(d) {
	case "number", "boolean":
		return true
	}
	return d.Name() == "StringValue" || d.Name() == "BytesValue"
}

// wellKnownProblem describes the fault of a well-known message's value.
func wellKnownProblem(value any, d protoreflect.MessageDescriptor, err error) string {
	if isWrapper(d) {
		return scalarProblem(value, d.Fields().ByName("value"))
	}
	want := wellKnownKind(d)
	if got := contract.KindOf(value); got != want && want != contract.Any {
		return fmt.Sprintf("is %s, must be %s", got, want)
	}
	text, _ := value.(string)
	switch d.Name() {
	case "Timestamp":
		return contract.Quote(text) + " is not a timestamp, such as 2030-01-02T03:04:05Z"
	case "Duration":
		return contract.Quote(text) + " is not a duration, such as 1.5s"
	case "FieldMask":
		return contract.Quote(text) + " is not a field mask, such as name,unitPrice"
	}
	return plainError(err)
}

// scalarProblem describes the fault of a scalar field's value.
func scalarProblem(value any, field protoreflect.FieldDescriptor) string {
	text, isText := value.(string)
	number, isNumber := value.(json.Number)
	switch kind := field.Kind(); kind {
	case protoreflect.StringKind, protoreflect.BoolKind:
	case protoreflect.BytesKind:
		if isText {
			return contract.Quote(text) + " is not base64"
		}
	case protoreflect.EnumKind:
		is := contract.KindOf(value)
		if isText {
			is = contract.Quote(text)
		} else if isNumber {
			is = shortNumber(string(number))
		}
		return fmt.Sprintf("is %s, must be one of %s", is, contract.QuotedList(enumNames(field.Enum())))
	default:
		if isText && isNumberText(text) {
			number, isNumber = json.Number(text), true
		}
		if !isNumber {
			break
		}
		isFloat := kind == protoreflect.FloatKind || kind == protoreflect.DoubleKind
		if isFloat || contract.IsInteger(string(number)) {
			return fmt.Sprintf("%s is out of the range of %s", shortNumber(string(number)), kind)
		}
		return fmt.Sprintf("is %s, must be %s", shortNumber(string(number)), kind)
	}
	return fmt.Sprintf("is %s, must be %s", contract.KindOf(value), field.Kind())
}

func isNumberText(text string) bool {
	value, err := contract.DecodeJSON([]byte(text))
	_, ok := value.(json.Number)
	return err == nil && ok && len(text) == len(strings.TrimSpace(text))
}

// shortNumber shortens a number for messages.
func shortNumber(number string) string {
	const longest = 40
	if len(number) > longest {
		return number[:longest] + "…"
	}
	return number
}

func enumNames(d protoreflect.EnumDescriptor) []string {
	names := make([]string, d.Values().Len())
	for i := range names {
		names[i] = string(d.Values().Get(i).Name())
	}
	return names
}
