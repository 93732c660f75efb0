package events

import (
	"fmt"
	"strings"

	"nats-test/internal/events/contract"
)

const typeScriptHead = `// The events of this catalogue, as the services written in TypeScript share
// them. What travels on an event's subject is its data, as JSON.
`

// TypeScript returns the types of the catalogue for services in TypeScript. It
// fails if TypeScript can't express a contract.
func (c *Catalogue) TypeScript() ([]ExportedFile, error) {
	x := &export{}
	for _, contract := range c.contracts {
		if err := x.add(contract); err != nil {
			return nil, err
		}
	}
	text := x.typeScript()
	if x.err != nil {
		return nil, x.err
	}
	return []ExportedFile{{"events.ts", []byte(text)}}, nil
}

func (x *export) typeScript() string {
	if x.err != nil { // a recursive type would never end
		return ""
	}
	var b strings.Builder
	var taken owners
	declare := func(name string, e *exportEvent, at *contract.Place) string {
		x.take(&taken, name, e, at)
		return name
	}
	all := &exportEvent{subject: "the catalogue"}
	subjects, union := declare("Subjects", all, nil), declare("TicketingEvent", all, nil)

	fmt.Fprintf(&b, "%s\nexport enum %s {\n", typeScriptHead, subjects)
	for _, e := range x.events {
		fmt.Fprintf(&b, "%s  %s = %s,\n", docComment("  ", e.description), pascal(e.words), scriptString(e.subject))
	}
	b.WriteString("}\n")

	for _, enum := range x.enums {
		fmt.Fprintf(&b, "\nexport enum %s {\n", declare(pascal(enum.words), enum.event, enum.at))
		var members owners
		for _, value := range enum.values {
			member := words(value)
			if !startsWithLetter(member) {
				x.refuse(enum.event, enum.at, "no name can be made of the value %s", contract.Quote(value))
			}
			x.take(&members, pascal(member), enum.event, enum.at)
			fmt.Fprintf(&b, "  %s = %s,\n", pascal(member), scriptString(value))
		}
		b.WriteString("}\n")
	}

	names := make([]string, len(x.events))
	for i, e := range x.events {
		names[i] = declare(pascal(e.words)+"Event", e, nil)
		fmt.Fprintf(&b, "\n%sexport interface %s {\n  subject: Subjects.%s;\n  data: ", docComment("", e.description), names[i], pascal(e.words))
		x.writeScriptType(&b, e.shape, "  ")
		b.WriteString(";\n}\n")
	}
	if len(names) > 0 {
		fmt.Fprintf(&b, "\n%sexport type %s =\n  | %s;\n", docComment("", "Any event of the catalogue; its subject tells which."),
			union, strings.Join(names, "\n  | "))
	}
	return b.String()
}

func (x *export) writeScriptType(b *strings.Builder, s *contract.Shape, indent string) {
	switch s.Kind {
	case contract.Object:
		b.WriteString("{\n")
		for _, f := range s.Fields {
			name, mark := f.Name, ""
			if !isIdentifier(name) {
				name = scriptString(name)
			}
			if !f.Required {
				mark = "?"
			}
			if f.Shape.Kind == exportTime {
				b.WriteString(docComment(indent+"  ", "RFC 3339, such as 2030-01-02T03:04:05Z"))
			}
			fmt.Fprintf(b, "%s  %s%s: ", indent, name, mark)
			x.writeScriptType(b, f.Shape, indent+"  ")
			b.WriteString(";\n")
		}
		if s.Open {
			b.WriteString(indent + "  [further: string]: unknown;\n")
		}
		b.WriteString(indent + "}")
	case contract.Array, contract.Map:
		b.WriteString(map[string]string{contract.Array: "Array<", contract.Map: "Record<string, "}[s.Kind])
		x.writeScriptType(b, s.Items, indent)
		b.WriteString(">")
	case contract.Enum:
		b.WriteString(pascal(x.enumOf[s].words))
	case exportInteger, exportNumber:
		b.WriteString("number")
	case exportTime:
		b.WriteString("string")
	default:
		b.WriteString(s.Kind)
	}
}

// docComment returns text as a comment that editors show.
func docComment(indent, text string) string {
	text = strings.Map(visible, strings.ReplaceAll(text, "*/", "*\\/"))
	if text == "" {
		return ""
	}
	return indent + "/** " + text + " */\n"
}

// scriptString returns text as a string literal.
func scriptString(text string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range text {
		switch {
		case r == '\'' || r == '\\':
			b.WriteString("\\" + string(r))
		case visible(r) != r:
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\'')
	return b.String()
}
