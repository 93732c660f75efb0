package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// An ExportedFile is a file of an exported catalogue.
type ExportedFile struct {
	Name string // relative to the folder, with slashes
	Data []byte
}

// exportPackage is the package or namespace of the exported types.
const exportPackage = "ticketing.v1"

// asTypeScript is an export beside those in the formats of contracts.
const asTypeScript = "typescript"

// ExportKinds returns what a catalogue can be exported as.
func ExportKinds() []string {
	return []string{string(JSONSchema), string(Protobuf), string(Avro), asTypeScript}
}

// Export returns the catalogue as the files of a catalogue folder, sorted by
// name; as TypeScript, the types that a service compiles in. It fails where
// that language can't say what a contract says.
func (c *Catalogue) Export(as string) ([]ExportedFile, error) {
	if !slices.Contains(ExportKinds(), as) {
		return nil, fmt.Errorf("exporting as %q: must be one of %s", as, strings.Join(ExportKinds(), ", "))
	}
	x := &export{as: as}
	for _, contract := range c.contracts {
		if err := x.add(contract); err != nil {
			return nil, err
		}
	}
	return x.files()
}

// files returns the files of all events that were added.
func (x *export) files() ([]ExportedFile, error) {
	if x.err != nil {
		return nil, x.err
	}
	var files []ExportedFile
	switch x.as {
	case string(JSONSchema):
		files = x.jsonSchema()
	case string(Protobuf):
		files = x.proto()
	case string(Avro):
		files = x.avro()
	default:
		files = x.typeScript()
	}
	if x.err != nil {
		return nil, x.err
	}
	slices.SortFunc(files, func(a, b ExportedFile) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// manifest returns the catalogue's events.yaml. The format tells which contract
// it wrote for an event, and what it calls an enum's value.
func (x *export) manifest(contract func(*exportEvent) string, symbol func(enum *exportEnum, value string) string) ExportedFile {
	var entries yaml.Node
	for _, e := range x.events {
		var example bytes.Buffer
		x.writeExample(&example, e.shape, e.example, symbol)
		entries.Content = append(entries.Content, yamlText(e.subject), yamlMapping(
			yamlText("description"), yamlText(strings.Map(visible, e.description)), // on one line
			yamlText("contract"), yamlText(contract(e)),
			yamlText("example"), &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.SingleQuotedStyle, Value: example.String()},
		))
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	x.fail(encoder.Encode(yamlMapping(yamlText("events"), yamlMapping(entries.Content...))))
	return ExportedFile{"events.yaml", b.Bytes()}
}

func yamlMapping(pairs ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Content: pairs}
}

func yamlText(text string) *yaml.Node {
	var node yaml.Node
	node.SetString(text)
	return &node
}

// writeExample writes an example with its fields in the contract's order.
func (x *export) writeExample(b *bytes.Buffer, s *shape, value any, symbol func(*exportEnum, string) string) {
	switch v := value.(type) {
	case map[string]any:
		b.WriteByte('{')
		comma := ""
		member := func(name string, of *shape) {
			b.WriteString(comma)
			comma = ","
			b.Write(x.json(name))
			b.WriteByte(':')
			x.writeExample(b, of, v[name], symbol)
		}
		for _, f := range s.fields {
			if _, ok := v[f.name]; ok {
				member(f.name, f.shape)
			}
		}
		if s.kind == shapeMap {
			for _, key := range sortedKeys(v) {
				member(key, s.items)
			}
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			x.writeExample(b, s.items, item, symbol)
		}
		b.WriteByte(']')
	case string:
		if enum := x.enumOf[s]; enum != nil {
			v = symbol(enum, v)
		}
		b.Write(x.json(v))
	default:
		b.Write(x.json(v))
	}
}

// json returns v as JSON on one line.
func (x *export) json(v any) []byte {
	text, err := marshal(v, "")
	x.fail(err)
	return bytes.TrimSuffix(text, []byte("\n"))
}

// indented returns v as JSON for people to read and edit.
func (x *export) indented(v any) []byte {
	text, err := marshal(v, "  ")
	x.fail(err)
	return text
}

func marshal(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	err := e.Encode(v)
	return b.Bytes(), err
}
