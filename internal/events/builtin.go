package events

import (
	"embed"
	"errors"
	"slices"
	"strings"
)

// The schemas of the built-in catalogue are made from its types; a test says
// how, and holds them against these.
//
//go:embed ticketing/*.json
var ticketing embed.FS

// builtinFile returns the name of a subject's schema file.
func builtinFile(subject string) string {
	return strings.ReplaceAll(subject, ":", "-") + ".schema.json"
}

// define makes the contract of T's subject.
func define[T Event](description string, example T) *Contract {
	c := newContract(example.Subject(), description, JSONSchema, func() (codec, error) {
		text, err := ticketing.ReadFile("ticketing/" + builtinFile(example.Subject()))
		if err != nil {
			return nil, err
		}
		return newBuiltin(text)
	})
	c.example = func() ([]byte, error) {
		_, data, err := Encode(example)
		return data, err
	}
	return c
}

// builtin is the codec of a contract of the built-in catalogue. It needs no
// validator: a rule says all that these schemas say.
type builtin struct {
	rule *rule
	text string
}

func newBuiltin(text []byte) (*builtin, error) {
	doc, err := decode(text)
	if err != nil {
		return nil, err
	}
	r, ok := ruleFrom(doc)
	if !ok {
		return nil, errors.New("no rule says what the schema says")
	}
	return &builtin{r, string(text)}, nil
}

func (b *builtin) encode(data []byte) ([]byte, []Fault) { return b.check(data, false) }
func (b *builtin) decode(wire []byte) ([]byte, []Fault) { return b.check(wire, true) }
func (b *builtin) source() string                       { return b.text }

func (b *builtin) check(data []byte, newer bool) ([]byte, []Fault) {
	valid, compact := b.rule.recognise(data)
	if !valid {
		value, err := decode(data)
		if err != nil {
			return nil, []Fault{{Problem: err.Error()}}
		}
		if faults := b.rule.faults(value, nil, newer, nil); faults != nil {
			return nil, bounded(faults, false)
		}
	}
	if valid && compact {
		return data, nil
	}
	return compacted(data)
}

func (b *builtin) sample() ([]byte, error) {
	return nil, errors.New("the built-in catalogue has an example for every event")
}

// shape keeps the order of the fields.
func (b *builtin) shape() *shape {
	schema, err := parseAvroText([]byte(b.text))
	if err != nil {
		return &shape{kind: shapeAny} // a schema has a rule, and so is legal JSON
	}
	return ruledShape(schema, b.rule)
}

// ruledShape returns the shape of a schema that has a rule.
func ruledShape(schema *avroText, r *rule) *shape {
	s := &shape{kind: string(r.kind)}
	switch r.kind {
	case ruleObject:
		properties := schema.get("properties")
		for at, name := range properties.keys {
			i := slices.IndexFunc(r.fields, func(f ruleField) bool { return f.name == name })
			s.fields = append(s.fields, field{
				name: name, required: r.required&(1<<i) != 0, shape: ruledShape(properties.values[at], r.fields[i].rule),
			})
		}
	case ruleEnum:
		for _, v := range r.values {
			s.values = append(s.values, enumValue{name: v})
		}
	}
	return s
}
