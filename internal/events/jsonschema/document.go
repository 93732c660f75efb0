package jsonschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	neturl "net/url"
	"sync"

	"nats-test/internal/events/contract"
)

// A schemaFile is a file of the catalogue, with the positions of its parts.
type schemaFile struct {
	name  string
	text  []byte
	doc   any
	index func() map[string]span // positions of all parts, by JSON pointer
	err   error                  // why it is not a valid schema
}

// A span is a part of a file: the offsets of its name, and of its value.
type span struct{ name, begin, end int }

func newSchemaFile(name string, text []byte) *schemaFile {
	f := &schemaFile{name: name, text: text}
	f.index = sync.OnceValue(f.spans)
	doc, err := contract.DecodeJSON(text)
	if err != nil {
		problem := &contract.SourceError{File: name, Problem: err.Error()}
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			problem.Line = f.line(int(syntax.Offset) - 1)
		}
		f.err = problem
		return f
	}
	if fault := unfit(doc); fault != nil {
		f.err = &contract.SourceError{File: name, Problem: fault.Problem}
		return f
	}
	if countIDs(doc) > maxIDs {
		f.err = &contract.SourceError{File: name, Problem: fmt.Sprintf("has more than %d parts with an $id", maxIDs)}
		return f
	}
	f.doc = doc
	return f
}

// maxIDs limits the parts with an "$id" in a file: the compiler searches all of
// them for each reference.
const maxIDs = 1000

func countIDs(value any) (n int) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			n += countIDs(item)
		}
	case map[string]any:
		for name, item := range v {
			if _, ok := item.(string); ok && name == "$id" {
				n++
			}
			n += countIDs(item)
		}
	}
	return n
}

// url returns the URL of the file for the validator.
func (f *schemaFile) url() string {
	return folderURL + (&neturl.URL{Path: "/" + f.name}).EscapedPath()[1:]
}

// id returns the file's "$id" if that is an absolute URL without a fragment,
// otherwise its own URL.
func (f *schemaFile) id() string {
	object, _ := f.doc.(map[string]any)
	id, _ := object["$id"].(string)
	return resolve(f.url(), id)
}

// resolve returns the URL of ref relative to base, without a fragment, or base if
// ref is not a URL.
func resolve(base, ref string) string {
	b, err := neturl.Parse(base)
	if err != nil {
		return base
	}
	r, err := neturl.Parse(ref)
	if err != nil {
		return base
	}
	u := b.ResolveReference(r)
	u.Fragment, u.RawFragment = "", ""
	return u.String()
}

func (f *schemaFile) line(offset int) int {
	return 1 + bytes.Count(f.text[:max(0, min(offset, len(f.text)))], []byte{'\n'})
}

// lineOf returns the line of the part at pointer, 0 if there is none.
func (f *schemaFile) lineOf(pointer string) int {
	if s, ok := f.index()[pointer]; ok {
		return f.line(s.name)
	}
	return 0
}

// part returns the text of the part at pointer.
func (f *schemaFile) part(pointer string) []byte {
	if pointer == "" {
		return f.text
	}
	s := f.index()[pointer]
	return f.text[s.begin:s.end]
}

func (f *schemaFile) spans() map[string]span {
	spans := make(map[string]span)
	d := json.NewDecoder(bytes.NewReader(f.text))
	d.UseNumber()
	var walk func(at *contract.Place, name int) bool
	walk = func(at *contract.Place, name int) bool {
		before := int(d.InputOffset())
		token, err := d.Token()
		if err != nil {
			return false
		}
		begin := before + len(f.text[before:]) - len(bytes.TrimLeft(f.text[before:], " \t\r\n:,"))
		if name < 0 {
			name = begin
		}
		if delim, ok := token.(json.Delim); ok {
			for i := 0; d.More(); i++ {
				below, name := at.Below(fmt.Sprint(i)), -1
				if delim == '{' {
					name = int(d.InputOffset())
					name += len(f.text[name:]) - len(bytes.TrimLeft(f.text[name:], " \t\r\n,"))
					key, err := d.Token()
					if err != nil {
						return false
					}
					below.Field = key.(string)
				}
				if !walk(below, name) {
					return false
				}
			}
			if _, err := d.Token(); err != nil {
				return false
			}
		}
		spans[at.Pointer()] = span{name, begin, int(d.InputOffset())}
		return true
	}
	walk(nil, -1)
	return spans
}
