package avro

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"nats-test/internal/events/contract"
)

// A sourceFile is a .avsc file and the types defined in it. It may use types
// defined in other files of the folder.
type sourceFile struct {
	name    string
	data    []byte
	root    *contract.Tree
	types   []*definition // in the file's order
	named   map[string]*definition
	defined map[*contract.Tree]*definition // by its definition
}

// A definition is the definition of a record, enum or fixed.
type definition struct {
	file      *sourceFile
	text      *contract.Tree
	name      string // full name
	namespace string // of the names inside
}

// parseFile finds the types defined in a file. The schema is checked later by the
// library, once all types that it refers to are known.
func parseFile(name string, data []byte) (*sourceFile, error) {
	if _, err := contract.DecodeJSON(data); err != nil {
		problem := &contract.SourceError{File: name, Problem: err.Error()}
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			problem.Line = contract.LineAt(data, int(syntax.Offset)-1)
		}
		return nil, problem
	}
	f := &sourceFile{name: name, data: data, named: map[string]*definition{}, defined: map[*contract.Tree]*definition{}}
	var err error
	if f.root, err = contract.ParseTree(data); err != nil {
		return nil, &contract.SourceError{File: name, Problem: err.Error()}
	}
	f.collect(f.root, "")
	return f, nil
}

func (f *sourceFile) collect(t *contract.Tree, namespace string) {
	if t.Kind == '[' {
		for _, member := range t.Values {
			f.collect(member, namespace)
		}
	}
	if t.Kind != '{' {
		return
	}
	switch kind := t.Get("type"); {
	case isDefinition(t):
		d := &definition{file: f, text: t}
		d.name, d.namespace = fullName(t, namespace)
		f.defined[t] = d
		f.types = append(f.types, d)
		if f.named[d.name] == nil {
			f.named[d.name] = d
		}
		for _, field := range t.Get("fields").Members() {
			f.collect(field.Get("type"), d.namespace)
		}
	case kind.Text == "array":
		f.collect(t.Get("items"), namespace)
	case kind.Text == "map":
		f.collect(t.Get("values"), namespace)
	default:
		f.collect(kind, namespace)
	}
}

func (f *sourceFile) names() []string {
	names := make([]string, len(f.types))
	for i, d := range f.types {
		names[i] = d.name
	}
	return names
}

// entry returns the schema of a contract: the named type, or the type of the whole
// file.
func (f *sourceFile) entry(name string) (t *contract.Tree, namespace string, err error) {
	if name != "" {
		d := f.named[name]
		if d == nil {
			return nil, "", &contract.SourceError{File: f.name, Problem: fmt.Sprintf("defines no type %q%s", name, hint(name, f.names()))}
		}
		return d.text, namespaceOf(d.name), nil
	}
	members := f.root.Members()
	if len(members) == 0 || slices.ContainsFunc(members, func(t *contract.Tree) bool { return !isDefinition(t) }) {
		return f.root, "", nil
	}
	if len(members) > 1 {
		return nil, "", &contract.SourceError{File: f.name, Problem: fmt.Sprintf("defines several types: name one, such as %q", f.name+"#"+f.types[0].name)}
	}
	return members[0], "", nil
}

// same reports whether two definitions differ in white space only.
func (d *definition) same(other *definition) bool {
	return d == other || bytes.Equal(d.text.Compact(d.file.data), other.text.Compact(other.file.data))
}

func (d *definition) problem(format string, args ...any) error {
	return d.file.problem(d.text, format, args...)
}

func (f *sourceFile) problem(at *contract.Tree, format string, args ...any) error {
	return &contract.SourceError{File: f.name, Line: contract.LineAt(f.data, at.Begin), Problem: fmt.Sprintf(format, args...)}
}

func hint(word string, candidates []string) string {
	if best := contract.Nearest(word, candidates); best != "" {
		return fmt.Sprintf(" (did you mean %q?)", best)
	}
	return ""
}

// nameSet returns the sorted names of the types in several files.
func nameSet(files []*sourceFile) []string {
	set := map[string]bool{}
	for _, f := range files {
		for _, d := range f.types {
			set[d.name] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// reservedWords can't be names of types.
var reservedWords = []string{"null", "boolean", "int", "long", "float", "double", "bytes", "string",
	"record", "error", "enum", "fixed", "array", "map", "union"}

// isDefinition reports whether t defines a named type.
func isDefinition(t *contract.Tree) bool {
	if t.Kind != '{' {
		return false
	}
	switch t.Get("type").Text {
	case "record", "error", "enum", "fixed":
		return t.Get("name").Kind == '"'
	}
	return false
}

// fullName returns the full name of a definition within a namespace, and the
// namespace of the names inside.
func fullName(t *contract.Tree, enclosing string) (name, namespace string) {
	name = t.Get("name").Text
	if strings.Contains(name, ".") {
		return name, namespaceOf(name)
	}
	if own := t.Get("namespace"); own.Kind == '"' {
		enclosing = own.Text
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
