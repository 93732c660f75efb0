package events

import "fmt"

// A Change is one difference between two versions of a contract.
type Change struct {
	Subject string

	// Path is where in the data it is, as a JSON pointer; "" is the event as a
	// whole, "*" stands for any element of an array, "{}" for any key of a map.
	// A type that is used in several places is compared at the first of them.
	Path string

	What   string // `field removed`
	Breaks string // whom and why; "" if nobody
}

func (c Change) String() string {
	text := c.Subject + ": " + c.What
	if c.Path != "" {
		text = c.Subject + " " + c.Path + ": " + c.What
	}
	if c.Breaks != "" {
		text += "; breaks " + c.Breaks
	}
	return text
}

// Diff lists what changed from one catalogue to another, by the order of the
// subjects in the old one, then what the new one adds.
//
// A change breaks listeners that still have the old contract if they can't read
// what publishers with the new one send; and publishers that still have the old
// contract if listeners with the new one can't read what they send.
func Diff(before, after *Catalogue) ([]Change, error) {
	renewed := make(map[string]*Contract)
	for _, c := range after.contracts {
		renewed[c.Subject] = c
	}
	known := make(map[string]bool)
	var changes []Change
	for _, c := range before.contracts {
		known[c.Subject] = true
		more, err := diffContracts(c, renewed[c.Subject])
		if err != nil {
			return nil, err
		}
		changes = append(changes, more...)
	}
	for _, c := range after.contracts {
		if !known[c.Subject] {
			changes = append(changes, Change{Subject: c.Subject, What: "event added"})
		}
	}
	return changes, nil
}

func diffContracts(before, after *Contract) ([]Change, error) {
	d := comparison{subject: before.Subject}
	switch {
	case after == nil:
		d.add(nil, breaks(true, true, "they still use it"), "event removed")
		return d.changes, nil
	case before.Format != after.Format:
		d.add(nil, breaks(true, true, "to them it is "+before.Format.Name), "format %s became %s", before.Format.Name, after.Format.Name)
		return d.changes, nil
	}
	was, err := before.shape()
	if err != nil {
		return nil, fmt.Errorf("reading the old contract of %q: %w", before.Subject, err)
	}
	is, err := after.shape()
	if err != nil {
		return nil, fmt.Errorf("reading the new contract of %q: %w", after.Subject, err)
	}
	return diffShapes(before.Subject, before.Format.Evolution, was, is), nil
}

func diffShapes(subject string, rules Evolution, before, after *shape) []Change {
	d := comparison{subject: subject, rules: rules, seen: make(map[[2]*shape]bool)}
	d.shapes(nil, before, after)
	return d.changes
}

// breaks says who of those with the old contract is broken, and why.
func breaks(listeners, publishers bool, why string) string {
	who := "publishers"
	switch {
	case listeners && publishers:
		who = "listeners and publishers"
	case listeners:
		who = "listeners"
	case !publishers:
		return ""
	}
	return who + " that still have the old contract: " + why
}

// A comparison goes through two versions of one contract side by side.
type comparison struct {
	subject string
	rules   Evolution
	seen    map[[2]*shape]bool // what was compared: shapes may be cyclic
	changes []Change
}

func (d *comparison) add(at *place, breaks, what string, args ...any) {
	d.changes = append(d.changes, Change{d.subject, at.pointer(), fmt.Sprintf(what, args...), breaks})
}

func (d *comparison) shapes(at *place, before, after *shape) {
	both := [2]*shape{before, after}
	if d.seen[both] {
		return
	}
	d.seen[both] = true
	was, is := kindIn(before), kindIn(after)
	switch {
	case was == is && was == shapeAny:
	case was == is:
		d.inside(at, before, after)
	case (was == shapeUnion || is == shapeUnion) && was != shapeAny && is != shapeAny:
		d.variants(at, before.among(after), after.among(before))
	default:
		d.add(at, breaks(!d.reads(was, is), !d.reads(is, was), "to them it is "+was), "%s became %s", was, is)
	}
}

// kindIn is s.kind; a shape that is left out may be anything.
func kindIn(s *shape) string {
	if s == nil {
		return shapeAny
	}
	return s.kind
}

// inside compares two shapes of the same kind.
func (d *comparison) inside(at *place, before, after *shape) {
	further := "fields"
	if before.kind == shapeEnum {
		further = "values"
	}
	switch {
	case after.open && !before.open:
		d.add(at, "", "opened to further %s", further)
	case before.open && !after.open: // of an enum, publishers know no further values
		d.add(at, breaks(false, further == "fields", "they may send further ones"), "closed to further %s", further)
	}
	d.fields(at, before.fields, after.fields)
	d.values(at, before, after)
	d.variants(at, before.variants, after.variants)
	if before.items != nil || after.items != nil {
		element := "*"
		if before.kind == shapeMap {
			element = "{}"
		}
		d.shapes(&place{at, element}, before.items, after.items)
	}
}

func (d *comparison) fields(at *place, before, after []field) {
	key := func(f field) (string, int) { return f.name, f.number }
	for _, p := range match(before, after, d.rules.Numbered, key) {
		b, a := p.before, p.after
		switch {
		case a == nil:
			d.add(&place{at, b.name}, breaks(true, false, "they read it"), "field removed")
		case b == nil:
			what := "field added"
			if a.required {
				what = "required field added"
			}
			d.add(&place{at, a.name}, breaks(false, a.required, "they leave it out"), "%s", what)
			d.number(&place{at, a.name}, p.owner, a.name, a.number)
		case b.name != a.name && kindIn(b.shape) != kindIn(a.shape):
			d.number(&place{at, b.name}, b.name, a.name, a.number)
		default:
			d.field(&place{at, b.name}, b, a, p.owner)
		}
	}
}

func (d *comparison) field(at *place, b, a *field, owner string) {
	switch {
	case b.name != a.name: // the wire has the number alone, and what people write and read has the name
		d.add(at, breaks(true, true, "in their JSON it is "+quote(b.name)), "field renamed to %s", quote(a.name))
	case owner != "":
		d.number(at, owner, a.name, a.number)
	case b.number != a.number:
		d.add(at, breaks(true, true, fmt.Sprintf("to them it is number %d", b.number)), "number %d became %d", b.number, a.number)
	}
	switch {
	case a.required && !b.required:
		d.add(at, breaks(false, true, "they may leave it out"), "made required")
	case b.required && !a.required: // what travels as Avro has all of its fields
		d.add(at, breaks(!d.rules.AllFieldsSent, false, "they require it"), "made optional")
	}
	if b.oneof != a.oneof {
		what := fmt.Sprintf("moved from oneof %s to oneof %s", quote(b.oneof), quote(a.oneof))
		switch "" {
		case b.oneof:
			what = "moved into oneof " + quote(a.oneof)
		case a.oneof:
			what = "moved out of oneof " + quote(b.oneof)
		}
		d.add(at, breaks(b.oneof != "", a.oneof != "", "of several fields that are set, one alone is kept"), "%s", what)
	}
	d.shapes(at, b.shape, a.shape)
}

// number says that a field's or an enum value's number was another's before.
func (d *comparison) number(at *place, owner, name string, number int) {
	if owner != "" {
		d.add(at, breaks(true, true, "they take one for the other"),
			"number %d now belongs to %s, it was %s", number, quote(name), quote(owner))
	}
}

func (d *comparison) values(at *place, before, after *shape) {
	refused := !d.rules.KeepsValues && !before.open
	key := func(v enumValue) (string, int) { return v.name, v.number }
	for _, p := range match(before.values, after.values, d.rules.Numbered, key) {
		b, a := p.before, p.after
		switch {
		case a == nil:
			d.add(at, breaks(false, true, "they may send it"), "enum value %s removed", quote(b.name))
		case b == nil:
			d.add(at, breaks(refused, false, "they refuse it"), "enum value %s added", quote(a.name))
			d.number(at, p.owner, a.name, a.number)
		case p.owner != "":
			d.number(at, p.owner, a.name, a.number)
		case b.number != a.number:
			d.add(at, breaks(true, true, fmt.Sprintf("to them it is number %d", b.number)),
				"enum value %s: number %d became %d", quote(b.name), b.number, a.number)
		}
	}
}

func (d *comparison) variants(at *place, before, after []variant) {
	key := func(v variant) (string, int) { return v.name, 0 }
	for _, p := range match(distinct(before), distinct(after), false, key) {
		b, a := p.before, p.after
		switch {
		case a == nil:
			d.add(at, breaks(false, !d.takes(after, b), "they may send it"), "union variant %s removed", quote(b.name))
		case b == nil:
			d.add(at, breaks(!d.takes(before, a), false, "they refuse it"), "union variant %s added", quote(a.name))
		default:
			d.shapes(at, b.shape, a.shape)
		}
	}
}
