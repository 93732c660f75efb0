package events

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// ManifestName is the name of the file in a catalogue's folder that maps its
// subjects to their contracts.
const ManifestName = "events.yaml"

// An entry is what a manifest says of one subject.
type entry struct {
	subject string

	Description string
	Contract    string // FILE or FILE#NAME
	Encoding    string // of formats that have several
	Example     example
}

func (e *entry) reference() reference {
	file, name, _ := strings.Cut(e.Contract, "#")
	return reference{file: path.Clean(file), name: name, encoding: e.Encoding}
}

// format returns the format of the contract's file, or "".
func (e *entry) format() Format {
	switch path.Ext(e.reference().file) {
	case ".json":
		return JSONSchema
	case ".proto":
		return Protobuf
	case ".avsc":
		return Avro
	}
	return ""
}

// An example is JSON text, or the name of a .json file; or the data itself,
// written as YAML.
type example struct {
	text string
	file string
}

// UnmarshalYAML is for the YAML library.
func (e *example) UnmarshalYAML(node ast.Node) error {
	var text string
	switch scalar := node.(type) {
	case *ast.LiteralNode: // a block of text
		text = scalar.Value.Value
	case ast.ScalarNode:
		text = fmt.Sprint(scalar.GetValue())
	default:
		json, err := yaml.YAMLToJSON([]byte(node.String()))
		if err != nil {
			return err
		}
		text = strings.TrimSpace(string(json))
	}
	if path.Ext(text) == ".json" {
		e.file = path.Clean(text)
	} else {
		e.text = text
	}
	return nil
}

// parseManifest returns the entries of a manifest in its own order, or all
// that is wrong with it.
func parseManifest(name string, text []byte) ([]*entry, []*SourceError) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, []*SourceError{yamlError(name, err)}
	}
	if len(file.Docs) == 0 {
		return nil, []*SourceError{{name, 0, "names no events"}}
	}
	if len(file.Docs) > 1 && file.Docs[1].Body != nil {
		return nil, []*SourceError{{name, lineOf(file.Docs[1].Body), "holds a second document"}}
	}
	var references anchored
	ast.Walk(&references, file.Docs[0])
	if references.at != nil {
		return nil, []*SourceError{{name, lineOf(references.at), "anchors and aliases are not possible in a manifest"}}
	}
	var found []*entry
	var faults []*SourceError
	fault := func(at ast.Node, format string, args ...any) {
		faults = append(faults, &SourceError{name, lineOf(at), fmt.Sprintf(format, args...)})
	}
	for key, value := range pairs(file.Docs[0].Body, fault, "the manifest") {
		if key != "events" {
			fault(value, "unknown key %q, must be %q", key, "events")
			continue
		}
		for subject, value := range pairs(value.Value, fault, "events") {
			e := &entry{subject: subject}
			if err := yaml.NodeToValue(value.Value, e, yaml.Strict()); err != nil {
				faults = append(faults, yamlError(name, err))
				continue
			}
			problems := e.problems()
			for _, problem := range problems {
				fault(value, "%q: %s", subject, problem)
			}
			if problems == nil {
				found = append(found, e)
			}
		}
	}
	if len(found) == 0 && len(faults) == 0 {
		faults = append(faults, &SourceError{name, 0, "names no events"})
	}
	return found, faults
}

// problems returns what is wrong with an entry that can be seen without its files.
func (e *entry) problems() (found []string) {
	r := e.reference()
	switch {
	case e.subject == "":
		found = append(found, "the subject is empty")
	case e.Contract == "":
		return append(found, `"contract" is missing, such as order-created.schema.json`)
	case !fs.ValidPath(r.file) || strings.HasPrefix(e.Contract, "/"):
		found = append(found, fmt.Sprintf("the contract %q does not lie in the catalogue's folder", e.Contract))
	case e.format() == "":
		found = append(found, fmt.Sprintf("the contract %q is of no known format: must be a file .json, .proto or .avsc", e.Contract))
	case r.encoding != "" && e.format() != Avro:
		found = append(found, fmt.Sprintf("%q is for contracts in Avro", "encoding"))
	}
	if e.Example.file != "" && !fs.ValidPath(e.Example.file) {
		found = append(found, fmt.Sprintf("the example %q does not lie in the catalogue's folder", e.Example.file))
	}
	return found
}

// pairs yields the keys and values of a mapping, which is called what in
// faults.
func pairs(node ast.Node, fault func(ast.Node, string, ...any), what string) func(yield func(string, *ast.MappingValueNode) bool) {
	return func(yield func(string, *ast.MappingValueNode) bool) {
		mapping, ok := node.(*ast.MappingNode)
		if !ok {
			if node != nil && node.Type() != ast.NullType {
				fault(node, "%s must be a mapping", what)
			}
			return
		}
		for _, value := range mapping.Values { // the parser refuses a key that is there twice
			key, ok := value.Key.(ast.ScalarNode) // its text counts: 1 and 0x1 are two names
			if !ok || value.Key.IsMergeKey() {
				fault(value, "%s: a key must be plain text", what)
			} else if !yield(key.GetToken().Value, value) {
				return
			}
		}
	}
}

// anchored finds an anchor or an alias: a few of these can stand for gigabytes.
type anchored struct{ at ast.Node }

// Visit is for ast.Walk.
func (a *anchored) Visit(node ast.Node) ast.Visitor {
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode:
		a.at = node
	}
	return a
}

func lineOf(node ast.Node) int {
	if v, ok := node.(*ast.MappingValueNode); ok {
		return lineOf(v.Key) // its own token is the colon, perhaps of the line after
	}
	if t := node.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// yamlError is an error of the YAML library, without its picture of the place.
func yamlError(name string, err error) *SourceError {
	var at yaml.Error
	if !errors.As(err, &at) {
		return &SourceError{File: name, Problem: err.Error()}
	}
	e := &SourceError{File: name, Problem: at.GetMessage()}
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok && wrong.StructFieldName != nil { // it speaks of Go's types
		_, key, _ := strings.Cut(*wrong.StructFieldName, ".")
		e.Problem = fmt.Sprintf("%q must be text", strings.ToLower(key))
	}
	if t := at.GetToken(); t != nil && t.Position != nil {
		e.Line = t.Position.Line
	}
	return e
}
