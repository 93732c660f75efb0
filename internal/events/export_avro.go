package events

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

type exportedRecord struct {
	Type      string          `json:"type"`
	Name      string          `json:"name"`
	Namespace string          `json:"namespace,omitempty"`
	Doc       string          `json:"doc,omitempty"`
	Fields    []exportedField `json:"fields"`
}

type exportedField struct {
	Name    string          `json:"name"`
	Doc     string          `json:"doc,omitempty"`
	Type    any             `json:"type"`
	Default json.RawMessage `json:"default,omitempty"`
}

// An exportedType is a type without a name.
type exportedType struct {
	Type    string `json:"type"`
	Logical string `json:"logicalType,omitempty"`
	Items   any    `json:"items,omitempty"`
	Values  any    `json:"values,omitempty"`
}

type exportedEnum struct {
	Type      string   `json:"type"`
	Name      string   `json:"name"`
	Namespace string   `json:"namespace"`
	Doc       string   `json:"doc,omitempty"`
	Symbols   []string `json:"symbols"`
}

// avro returns a record for each event, and each enum in a file of its own,
// which the records name.
func (x *export) avro() []ExportedFile {
	file := func(words []string) string { return kebab(words) + ".avsc" }
	files := []ExportedFile{x.manifest(
		func(e *exportEvent) string { return file(e.words) },
		func(_ *exportEnum, value string) string { return avroSymbol(value) },
	)}
	for _, enum := range x.enums {
		files = append(files, ExportedFile{file(enum.words), x.indented(x.avroEnum(enum))})
	}
	for _, e := range x.events {
		record := x.avroRecord(e, e.shape, nil, e.words)
		record.Namespace, record.Doc = exportPackage, e.title()
		files = append(files, ExportedFile{file(e.words), x.indented(record)})
	}
	return files
}

func (x *export) avroRecord(e *exportEvent, s *shape, at *place, name []string) *exportedRecord {
	if s.open {
		x.refuse(e, at, "may have further fields, which a record can't hold")
	}
	record := &exportedRecord{Type: "record", Name: pascal(name), Fields: []exportedField{}}
	for _, f := range s.fields {
		below := &place{at, f.name}
		if !isIdentifier(f.name) {
			x.refuse(e, below, "a field's name must be letters, digits and \"_\"")
		}
		as := exportedField{Name: f.name, Doc: avroDoc(f.shape), Type: x.avroType(e, f.shape, below, slices.Concat(name, words(f.name)))}
		if !f.required {
			as.Type, as.Default = []any{"null", as.Type}, json.RawMessage("null")
		}
		record.Fields = append(record.Fields, as)
	}
	return record
}

// avroType returns the type of what stands at a place; name is for a new record.
func (x *export) avroType(e *exportEvent, s *shape, at *place, name []string) any {
	switch s.kind {
	case shapeObject:
		return x.avroRecord(e, s, at, name)
	case shapeArray:
		return exportedType{Type: "array", Items: x.avroType(e, s.items, at, name)}
	case shapeMap:
		return exportedType{Type: "map", Values: x.avroType(e, s.items, at, name)}
	case shapeEnum:
		return exportPackage + "." + pascal(x.enumOf[s].words)
	case exportInteger:
		return "long"
	case exportNumber:
		return "double"
	case exportTime:
		return exportedType{Type: "long", Logical: "timestamp-millis"}
	}
	return s.kind
}

// avroDoc tells what a field's type alone does not.
func avroDoc(s *shape) string {
	if s.kind == exportTime {
		return "milliseconds since 1970; in JSON an RFC 3339 time, such as 2030-01-02T03:04:05Z"
	}
	return ""
}

func (x *export) avroEnum(enum *exportEnum) *exportedEnum {
	as := &exportedEnum{Type: "enum", Name: pascal(enum.words), Namespace: exportPackage}
	var symbols owners
	var changed []string
	for _, value := range enum.values {
		symbol := avroSymbol(value)
		if !isIdentifier(symbol) {
			x.refuse(enum.event, enum.at, "no symbol can be made of the value %s", quote(value))
		}
		x.take(&symbols, symbol, enum.event, enum.at)
		as.Symbols = append(as.Symbols, symbol)
		if symbol != value {
			changed = append(changed, fmt.Sprintf("%s is %q", symbol, value))
		}
	}
	if changed != nil {
		as.Doc = "symbols are letters, digits and \"_\": " + strings.Join(changed, ", ") + " in the JSON catalogue"
	}
	return as
}

// avroSymbol returns an enum's value with "_" for what no symbol may hold.
func avroSymbol(value string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (isLetter(byte(r)) || isDigit(byte(r))) {
			return r
		}
		return '_'
	}, value)
}
