package events

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"nats-test/internal/events/contract"
)

// ManifestName is the file in a catalogue's folder that maps subjects to contracts.
const ManifestName = "events.yaml"

// An entry is the entry of a subject in a manifest.
type entry struct {
	subject string

	Description string
	Contract    string // FILE or FILE#NAME
	Encoding    string // for formats with several
	Example     example
}

func (e *entry) reference() contract.Reference {
	file, name, _ := strings.Cut(e.Contract, "#")
	return contract.Reference{File: path.Clean(file), Name: name, Encoding: e.Encoding}
}

// format returns the format of the contract's file, or nil.
func (e *entry) format() *contract.Format { return formatOf(path.Ext(e.reference().File)) }

// An example is JSON text, the name of a .json file, or data written as YAML.
type example struct {
	text string
	file string
}

func newExample(node *yaml.Node) (example, error) {
	text := node.Value
	if node.Kind != yaml.ScalarNode {
		var err error
		if text, err = jsonOfYAML(node); err != nil {
			return example{}, err
		}
	}
	if path.Ext(text) == ".json" {
		return example{file: path.Clean(text)}, nil
	}
	return example{text: text}, nil
}

// parseManifest returns the entries of a manifest in their order, and all its
// faults.
func parseManifest(name string, text []byte) ([]*entry, []*contract.SourceError) {
	m := manifest{name: name}
	m.events(m.root(text))
	if len(m.found) == 0 && len(m.faults) == 0 {
		m.faults = []*contract.SourceError{{File: name, Line: 0, Problem: "names no events"}}
	}
	return m.found, m.faults
}

// A manifest is a manifest while it is parsed.
type manifest struct {
	name   string
	found  []*entry
	faults []*contract.SourceError
}

func (m *manifest) fault(line int, format string, args ...any) {
	switch {
	case len(m.faults) < contract.MaxFaults:
		m.faults = append(m.faults, &contract.SourceError{File: m.name, Line: line, Problem: fmt.Sprintf(format, args...)})
	case len(m.faults) == contract.MaxFaults:
		m.faults = append(m.faults, &contract.SourceError{File: m.name, Line: line, Problem: "and there are more faults"})
	}
}

// root returns the single document of a manifest, or nil if it is empty or invalid
// YAML.
func (m *manifest) root(text []byte) *yaml.Node {
	documents := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if err := documents.Decode(&first); err != nil {
		if !errors.Is(err, io.EOF) {
			m.invalid(err)
		}
		return nil
	}
	switch err := documents.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		m.invalid(err)
		return nil
	case !isNull(second.Content[0]):
		m.fault(second.Content[0].Line, "holds a second document")
		return nil
	}
	// A few anchors can expand to gigabytes.
	if at := anchored(&first); at != nil {
		m.fault(at.Line, "a manifest can't have anchors and aliases")
		return nil
	}
	return first.Content[0]
}

func (m *manifest) events(root *yaml.Node) {
	for key, events := range m.pairs(root, "the manifest") {
		if key.Value != "events" {
			m.fault(key.Line, "unknown key %s, must be %q", contract.Quote(key.Value), "events")
			continue
		}
		for subject, node := range m.pairs(events, "events") {
			if isNull(node) {
				m.fault(subject.Line, "%s must be a mapping, with the event's %q", contract.Quote(subject.Value), "contract")
				continue
			}
			before := len(m.faults)
			e := m.entry(subject.Value, node)
			if len(m.faults) > before {
				continue
			}
			problems := e.problems()
			for _, problem := range problems {
				m.fault(subject.Line, "%s: %s", contract.Quote(subject.Value), problem)
			}
			if problems == nil {
				m.found = append(m.found, e)
			}
		}
	}
}

func (m *manifest) entry(subject string, node *yaml.Node) *entry {
	e := &entry{subject: subject}
	texts := map[string]*string{"description": &e.Description, "contract": &e.Contract, "encoding": &e.Encoding}
	for key, value := range m.pairs(node, contract.Quote(subject)) {
		switch text := texts[key.Value]; {
		case key.Value == "example" && !isNull(value):
			var err error
			if e.Example, err = newExample(value); err != nil {
				m.fault(key.Line, "%s: the example %v", contract.Quote(subject), err)
			}
		case key.Value == "example" || text != nil && isNull(value):
		case text == nil:
			m.fault(key.Line, "unknown field %s", contract.Quote(key.Value))
		case value.Kind != yaml.ScalarNode:
			m.fault(key.Line, "%q must be text", key.Value)
		default:
			*text = value.Value
		}
	}
	return e
}

// pairs yields the keys and values of a mapping, called what in faults. Keys are
// compared as text: 1 and 0x1 are different.
func (m *manifest) pairs(node *yaml.Node, what string) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		if node == nil || isNull(node) {
			return
		}
		if node.Kind != yaml.MappingNode {
			m.fault(node.Line, "%s must be a mapping", what)
			return
		}
		lines := make(map[string]int)
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
				m.fault(key.Line, "%s: a key must be plain text", what)
				continue
			}
			if line := lines[key.Value]; line > 0 {
				m.fault(key.Line, "%s appears twice, first in line %d", contract.Quote(key.Value), line)
				continue
			}
			lines[key.Value] = key.Line
			if !yield(key, node.Content[i+1]) {
				return
			}
		}
	}
}

// problems returns the faults of an entry that can be found without its files.
func (e *entry) problems() (found []string) {
	r := e.reference()
	switch {
	case e.subject == "":
		found = append(found, "the subject is empty")
	case e.Contract == "":
		return append(found, `"contract" is missing, such as order-created.schema.json`)
	case !fs.ValidPath(r.File) || strings.HasPrefix(e.Contract, "/"):
		found = append(found, fmt.Sprintf("the contract %q is not in the catalogue's folder", e.Contract))
	case e.format() == nil:
		found = append(found, fmt.Sprintf("the contract %q has an unknown format: must be a file %s", e.Contract, extensions()))
	case r.Encoding != "" && e.format().Encodings == nil:
		found = append(found, fmt.Sprintf("%q is for contracts in %s", "encoding", withEncodings()))
	}
	if e.Example.file != "" && !fs.ValidPath(e.Example.file) {
		found = append(found, fmt.Sprintf("the example %q is not in the catalogue's folder", e.Example.file))
	}
	return found
}
