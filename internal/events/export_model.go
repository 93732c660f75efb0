package events

import (
	"fmt"
	"slices"

	"nats-test/internal/events/contract"
)

// An export is a catalogue being translated to another language: the shapes of its
// events, and names for the new types. It keeps the first error.
type export struct {
	events []*exportEvent
	enums  []*exportEnum // in the order of their first use
	enumOf map[*contract.Shape]*exportEnum
	types  owners
	err    error
}

type exportEvent struct {
	subject, description string

	words []string        // of the subject
	shape *contract.Shape // an object
}

// An exportEnum is an enum with a type of its own, shared by events.
type exportEnum struct {
	words  []string // of its name
	values []string
	event  *exportEvent    // the first event that uses it,
	at     *contract.Place // and the place there
}

// Kinds of shapes used by the built-in catalogue in addition to those of package
// contract.
const (
	exportString  = "string"
	exportBoolean = "boolean"
	exportInteger = "integer"
	exportNumber  = "number"
	exportTime    = "string (date-time)"
)

func (x *export) fail(err error) {
	if x.err == nil {
		x.err = err
	}
}

// refuse notes that part of an event can't be exported.
func (x *export) refuse(e *exportEvent, at *contract.Place, format string, args ...any) {
	f := contract.Fault{Path: at.Pointer(), Problem: fmt.Sprintf(format, args...)}
	x.fail(fmt.Errorf("exporting %q as %s: %s", e.subject, asTypeScript, f))
}

// add adds a contract to the export.
func (x *export) add(c *Contract) error {
	codec, err := c.codec()
	if err != nil {
		return err
	}
	x.addEvent(&exportEvent{subject: c.Subject, description: c.Description, shape: codec.Shape()})
	return x.err
}

func (x *export) addEvent(e *exportEvent) {
	e.words = words(e.subject)
	x.events = append(x.events, e)
	switch {
	case !startsWithLetter(e.words):
		x.refuse(e, nil, "can't name a type: the subject must begin with a letter from a to z")
	case e.shape.Kind != contract.Object:
		x.refuse(e, nil, "is %s, must be object", e.shape.Kind)
	default:
		x.visit(e, e.shape, nil, nil, nil)
	}
}

// visit names the types of a shape at a place of the event. path has the words of
// that place, above the shapes around it.
func (x *export) visit(e *exportEvent, s *contract.Shape, at *contract.Place, path []string, above []*contract.Shape) {
	if slices.Contains(above, s) {
		x.refuse(e, at, "holds itself")
		return
	}
	above = append(above, s)
	switch s.Kind {
	case contract.Object:
		x.take(&x.types, pascal(slices.Concat(e.words, path)), e, at)
		for _, f := range s.Fields {
			x.visit(e, f.Shape, at.Below(f.Name), slices.Concat(path, words(f.Name)), above)
		}
	case contract.Array, contract.Map:
		x.visit(e, s.Items, at, path, above)
	case contract.Enum:
		x.nameEnum(e, s, at, path)
	case exportString, exportBoolean, exportInteger, exportNumber, exportTime:
	default:
		x.refuse(e, at, "is %s, which can't be exported", s.Kind)
	}
}

// nameEnum names an enum after the subject's topic, so that events share it: status
// of order:created is OrderStatus. If another enum has that name, the event is
// added to it.
func (x *export) nameEnum(e *exportEvent, s *contract.Shape, at *contract.Place, path []string) {
	values := make([]string, len(s.Values))
	for i, v := range s.Values {
		values[i] = v.Name
	}
	about := slices.Concat(words(topic(e.subject)), path)
	for _, name := range [][]string{about, slices.Concat(e.words, path)} {
		same := func(o *exportEnum) bool { return slices.Equal(o.words, name) && slices.Equal(o.values, values) }
		i := slices.IndexFunc(x.enums, same)
		if i < 0 {
			if _, ok := x.types.take(pascal(name), e, at); !ok {
				continue
			}
			i = len(x.enums)
			x.enums = append(x.enums, &exportEnum{name, values, e, at})
		}
		if x.enumOf == nil {
			x.enumOf = make(map[*contract.Shape]*exportEnum)
		}
		x.enumOf[s] = x.enums[i]
		return
	}
	x.take(&x.types, pascal(about), e, at) // reports the owner of the name
}
