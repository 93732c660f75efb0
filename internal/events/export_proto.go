package events

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const exportedProto = "ticketing/v1/events.proto"

const protoHead = `// The events of this catalogue; events.yaml tells which subject carries which.
//
// To make code of this file, in the catalogue's folder, here for Python:
//
//     protoc --python_out=. ` + exportedProto + `
//
// proto3 does not send a field that is empty ("" or 0) unless it is "optional"
// or a message. So a required field that is missing can't be told from an empty
// one, and no reader of this file's messages will refuse it.

syntax = "proto3";

package ` + exportPackage + `;
`

// proto returns one file with a message for each event and each part of one.
func (x *export) proto() []ExportedFile {
	var b strings.Builder
	b.WriteString(protoHead)
	if slices.ContainsFunc(x.events, func(e *exportEvent) bool { return hasTime(e.shape) }) {
		b.WriteString("\nimport \"google/protobuf/timestamp.proto\";\n")
	}
	for _, e := range x.events {
		b.WriteString("\n" + comment("//", e.title()))
		x.protoMessage(&b, e, e.shape, nil, e.words)
	}
	var symbols owners
	for _, enum := range x.enums {
		x.protoEnum(&b, enum, &symbols)
	}
	return []ExportedFile{
		{exportedProto, []byte(b.String())},
		x.manifest(func(e *exportEvent) string { return exportedProto + "#" + exportPackage + "." + pascal(e.words) }, protoSymbol),
	}
}

func (x *export) protoMessage(b *strings.Builder, e *exportEvent, s *shape, at *place, name []string) {
	if s.open {
		x.refuse(e, at, "may have further fields, which a message can't hold")
	}
	fmt.Fprintf(b, "message %s {\n", pascal(name))
	var taken owners
	var parts strings.Builder // the messages of its fields
	for i, f := range s.fields {
		below := &place{at, f.name}
		as := words(f.name)
		if !startsWithLetter(as) {
			x.refuse(e, below, "a field's name must begin with a letter of a to z")
		}
		x.take(&taken, snake(as), e, below)
		label := ""
		if !f.required && f.shape.kind != shapeArray && f.shape.kind != shapeMap {
			label = "optional "
		}
		fmt.Fprintf(b, "  %s%s %s = %d%s;\n", label, x.protoType(e, f.shape, below, slices.Concat(name, as)), snake(as), i+1, jsonName(f.name, as))

		part := f.shape
		if part.items != nil {
			part = part.items
		}
		if part.kind == shapeObject {
			parts.WriteString("\n" + comment("//", "in "+pascal(name)+", "+snake(as)))
			x.protoMessage(&parts, e, part, below, slices.Concat(name, as))
		}
	}
	b.WriteString("}\n" + parts.String())
}

// protoType returns the type of what stands at a place; name is its message's.
func (x *export) protoType(e *exportEvent, s *shape, at *place, name []string) string {
	switch s.kind {
	case shapeObject:
		return pascal(name)
	case shapeArray, shapeMap:
		if s.items.items != nil {
			x.refuse(e, at, "is %s of %s, which a field can't be", s.kind, s.items.kind)
			return ""
		}
		items := x.protoType(e, s.items, at, name)
		if s.kind == shapeMap {
			return "map<string, " + items + ">"
		}
		return "repeated " + items
	case shapeEnum:
		return pascal(x.enumOf[s].words)
	case exportBoolean:
		return "bool"
	case exportInteger:
		return "int32" // which is a number in JSON; int64 is a string there
	case exportNumber:
		return "double"
	case exportTime:
		return "google.protobuf.Timestamp"
	}
	return s.kind
}

// jsonName returns the option that gives a field its name in JSON, if that is
// not what Protobuf makes of the field's own.
func jsonName(name string, as []string) string {
	if len(as) > 0 && name == as[0]+pascal(as[1:]) {
		return ""
	}
	return fmt.Sprintf(" [json_name = %s]", strconv.Quote(name))
}

func (x *export) protoEnum(b *strings.Builder, enum *exportEnum, symbols *owners) {
	b.WriteString("\n" + comment("//", "An identifier can't hold a colon, and must differ from all others in the file,\n"+
		"so each value has a name that is used in JSON, too. UNSPECIFIED is a missing one."))
	zero := protoSymbol(enum, "unspecified")
	fmt.Fprintf(b, "enum %s {\n  %s = 0;\n", pascal(enum.words), zero)
	x.take(symbols, zero, enum.event, enum.at)
	for i, value := range enum.values {
		symbol := protoSymbol(enum, value)
		if words(value) == nil {
			x.refuse(enum.event, enum.at, "no name can be made of the value %s", quote(value))
		}
		x.take(symbols, symbol, enum.event, enum.at)
		b.WriteString(strings.TrimSuffix(comment(fmt.Sprintf("  %s = %d; //", symbol, i+1), value), "\n") + "\n")
	}
	b.WriteString("}\n")
}

// protoSymbol returns the name of an enum's value, which is unique in the file.
func protoSymbol(enum *exportEnum, value string) string {
	return strings.ToUpper(snake(slices.Concat(enum.words, words(value))))
}

// hasTime reports whether a shape, which is not recursive, holds a time.
func hasTime(s *shape) bool {
	return s.kind == exportTime || s.items != nil && hasTime(s.items) ||
		slices.ContainsFunc(s.fields, func(f field) bool { return hasTime(f.shape) })
}
