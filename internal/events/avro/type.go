package avro

import (
	"fmt"

	"github.com/twmb/avro"

	"nats-test/internal/events/contract"
)

// A schemaType is a type of a schema. Recursive types are cyclic.
type schemaType struct {
	kind    string // in the specification's words: "int", "record", …
	name    string // name of the branch in a union: the kind, or a named type's full name
	logical string // "" if the specification knows no such logical type of this kind

	precision, scale int // of a decimal
	size             int // of a fixed
	symbols          []string
	fields           []recordField
	items            *schemaType // of an array, and of a map's values
	branches         []*schemaType
	optional         *schemaType // of a union of null and one other type: that type
}

type recordField struct {
	name     string
	key      []byte // the name as JSON, followed by a colon
	kind     *schemaType
	fallback []byte // the default's encoding; nil without a default
}

// maxDepth limits the nesting of values and of schemas.
const maxDepth = 1000

// logicalTypes are the supported logical types. Others are treated as their
// underlying type, as specified.
var logicalTypes = [...]string{
	"int date", "int time-millis", "long time-micros",
	"long timestamp-millis", "long timestamp-micros", "long timestamp-nanos",
	"long local-timestamp-millis", "long local-timestamp-micros", "long local-timestamp-nanos",
	"bytes decimal", "fixed decimal", "string uuid", "fixed uuid", "fixed duration",
}

func newType(root *avro.SchemaNode) (*schemaType, error) {
	b := typeBuilder{named: map[string]*schemaType{}}
	t, err := b.build(root)
	if err != nil {
		return nil, err
	}
	return t, b.checkDefaults()
}

type typeBuilder struct {
	named   map[string]*schemaType
	records []*schemaType
}

// checkDefaults checks that defaults are valid values, and encodes them as the
// codec does: the library encodes maps in random order.
func (b *typeBuilder) checkDefaults() error {
	for _, record := range b.records {
		for i := range record.fields {
			f := &record.fields[i]
			if f.fallback == nil {
				continue
			}
			r := valueReader{wire: f.fallback}
			if !r.readAll(f.kind) {
				return fmt.Errorf("the default of field %q: %s", f.name, r.fault())
			}
			value, err := contract.DecodeJSON(r.out)
			if err != nil {
				return fmt.Errorf("the default of field %q: %w", f.name, err)
			}
			w := valueWriter{wire: []byte{}}
			if w.write(f.kind, value); len(w.faults) > 0 {
				return fmt.Errorf("the default of field %q: %s", f.name, w.faults[0])
			}
			f.fallback = w.wire
		}
	}
	return nil
}

func (b *typeBuilder) build(n *avro.SchemaNode) (*schemaType, error) {
	t := &schemaType{kind: n.Type, name: n.Type, precision: n.Precision, scale: n.Scale, size: n.Size, symbols: n.Symbols}
	switch n.Type {
	case "record", "error", "enum", "fixed":
		t.name = n.Name
		if n.Namespace != "" {
			t.name = n.Namespace + "." + n.Name
		}
		b.named[t.name] = t
	}
	for _, known := range logicalTypes {
		if known == n.Type+" "+n.LogicalType {
			t.logical = n.LogicalType
		}
	}
	if t.logical == "duration" && n.Size != 12 || t.logical == "uuid" && n.Type == "fixed" && n.Size != 16 {
		t.logical = "" // the specification ignores an invalid one
	}
	var err error
	switch n.Type {
	case "null", "boolean", "int", "long", "float", "double", "bytes", "string", "enum", "fixed":
	case "record", "error":
		t.kind = "record"
		b.records = append(b.records, t)
		t.fields = make([]recordField, len(n.Fields))
		for i := range n.Fields {
			if t.fields[i], err = b.field(&n.Fields[i]); err != nil {
				return nil, err
			}
		}
	case "array":
		t.items, err = b.build(n.Items)
	case "map":
		t.items, err = b.build(n.Values)
	case "union":
		t.branches = make([]*schemaType, len(n.Branches))
		for i := range n.Branches {
			if t.branches[i], err = b.build(&n.Branches[i]); err != nil {
				return nil, err
			}
		}
		if len(t.branches) == 2 && t.branches[0].kind == "null" {
			t.optional = t.branches[1]
		} else if len(t.branches) == 2 && t.branches[1].kind == "null" {
			t.optional = t.branches[0]
		}
	default:
		named := b.named[n.Type]
		if named == nil {
			return nil, fmt.Errorf("unknown type %q", n.Type)
		}
		return named, nil
	}
	return t, err
}

func (b *typeBuilder) field(n *avro.SchemaField) (recordField, error) {
	f := recordField{name: n.Name, key: append(contract.AppendJSONString(nil, n.Name), ':')}
	var err error
	if f.kind, err = b.build(&n.Type); err != nil || !n.HasDefault {
		return f, err
	}
	schema, err := n.Type.Schema()
	if err == nil {
		f.fallback, err = schema.Encode(n.Default)
	}
	if err != nil {
		return f, fmt.Errorf("the default of field %q: %w", n.Name, err)
	}
	if f.fallback == nil {
		f.fallback = []byte{}
	}
	return f, nil
}

// word returns the type's name for messages.
func (t *schemaType) word() string {
	switch {
	case t.logical == "decimal":
		return fmt.Sprintf("decimal(%d,%d)", t.precision, t.scale)
	case t.logical != "":
		return t.logical
	case t.kind == "fixed":
		return fmt.Sprintf("fixed(%d)", t.size)
	}
	return t.kind
}
