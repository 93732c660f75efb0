package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An avroFile is a .avsc file and the types that are defined in it. A file may
// use types that others of the folder define.
type avroFile struct {
	name    string
	data    []byte
	root    *avroText
	types   []*avroDefinition // in the file's order
	named   map[string]*avroDefinition
	defined map[*avroText]*avroDefinition // by the text that defines it
}

// An avroDefinition is the place where a record, an enum or a fixed is defined.
type avroDefinition struct {
	file      *avroFile
	text      *avroText
	name      string // in full
	namespace string // that the names in it are relative to
}

// parseAvroFile finds the types of a file. What the schema says is left to the
// library, which sees it when everything it refers to is at hand.
func parseAvroFile(name string, data []byte) (*avroFile, error) {
	if _, err := decode(data); err != nil {
		problem := &SourceError{File: name, Problem: err.Error()}
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			problem.Line = lineAt(data, int(syntax.Offset)-1)
		}
		return nil, problem
	}
	f := &avroFile{name: name, data: data, named: map[string]*avroDefinition{}, defined: map[*avroText]*avroDefinition{}}
	var err error
	if f.root, err = parseAvroText(data); err != nil {
		return nil, &SourceError{File: name, Problem: err.Error()}
	}
	f.collect(f.root, "")
	return f, nil
}

func (f *avroFile) collect(t *avroText, namespace string) {
	if t.kind == '[' {
		for _, member := range t.values {
			f.collect(member, namespace)
		}
	}
	if t.kind != '{' {
		return
	}
	switch kind := t.get("type"); {
	case isDefinition(t):
		d := &avroDefinition{file: f, text: t}
		d.name, d.namespace = fullName(t, namespace)
		f.defined[t] = d
		f.types = append(f.types, d)
		if f.named[d.name] == nil {
			f.named[d.name] = d
		}
		for _, field := range t.get("fields").members() {
			f.collect(field.get("type"), d.namespace)
		}
	case kind.text == "array":
		f.collect(t.get("items"), namespace)
	case kind.text == "map":
		f.collect(t.get("values"), namespace)
	default:
		f.collect(kind, namespace)
	}
}

func (f *avroFile) names() []string {
	names := make([]string, len(f.types))
	for i, d := range f.types {
		names[i] = d.name
	}
	return names
}

// entry returns the schema that a contract means: the named type, or what the
// whole file is.
func (f *avroFile) entry(name string) (t *avroText, namespace string, err error) {
	if name != "" {
		d := f.named[name]
		if d == nil {
			return nil, "", &SourceError{File: f.name, Problem: fmt.Sprintf("defines no type %q%s", name, hint(name, f.names()))}
		}
		return d.text, namespaceOf(d.name), nil
	}
	members := f.root.members()
	if len(members) == 0 || slices.ContainsFunc(members, func(t *avroText) bool { return !isDefinition(t) }) {
		return f.root, "", nil
	}
	if len(members) > 1 {
		return nil, "", &SourceError{File: f.name, Problem: fmt.Sprintf("defines several types: name one, such as %q", f.name+"#"+f.types[0].name)}
	}
	return members[0], "", nil
}

// same reports whether two definitions are the same text but for white space.
func (d *avroDefinition) same(other *avroDefinition) bool {
	return d == other || bytes.Equal(d.text.compact(d.file.data), other.text.compact(other.file.data))
}

func (d *avroDefinition) problem(format string, args ...any) error {
	return d.file.problem(d.text, format, args...)
}

func (f *avroFile) problem(at *avroText, format string, args ...any) error {
	return &SourceError{File: f.name, Line: lineAt(f.data, at.begin), Problem: fmt.Sprintf(format, args...)}
}

func hint(word string, candidates []string) string {
	if best := nearest(word, candidates); best != "" {
		return fmt.Sprintf(" (did you mean %q?)", best)
	}
	return ""
}

// nameSet is the sorted union of the names of several files.
func nameSet(files []*avroFile) []string {
	set := map[string]bool{}
	for _, f := range files {
		for _, d := range f.types {
			set[d.name] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// avroWords can't be the name of a type.
var avroWords = []string{"null", "boolean", "int", "long", "float", "double", "bytes", "string",
	"record", "error", "enum", "fixed", "array", "map", "union"}

// isDefinition reports whether t defines a named type.
func isDefinition(t *avroText) bool {
	if t.kind != '{' {
		return false
	}
	switch t.get("type").text {
	case "record", "error", "enum", "fixed":
		return t.get("name").kind == '"'
	}
	return false
}

// fullName returns the name of a definition that stands in a namespace, and
// the namespace that the names in it are relative to.
func fullName(t *avroText, enclosing string) (name, namespace string) {
	name = t.get("name").text
	if strings.Contains(name, ".") {
		return name, namespaceOf(name)
	}
	if own := t.get("namespace"); own.kind == '"' {
		enclosing = own.text
	}
	if enclosing == "" {
		return name, ""
	}
	return enclosing + "." + name, enclosing
}

// namespaceOf returns the namespace of a full name.
func namespaceOf(name string) string {
	return name[:max(strings.LastIndexByte(name, '.'), 0)]
}
