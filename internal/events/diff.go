package events

import (
	"fmt"

	"nats-test/internal/events/contract"
)

// A Change is one difference between two versions of a contract.
type Change struct {
	Subject string

	// Path is a JSON pointer to the difference: "" is the whole event, "*" any
	// element of an array, "{}" any key of a map. A type used in several places is
	// compared at the first one.
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

// Diff lists the changes from one catalogue to another, in the order of the old
// one's subjects, followed by additions.
//
// A change breaks listeners with the old contract if they can't read data from
// publishers with the new one. It breaks publishers with the old contract if
// listeners with the new one can't read their data.
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
		d.add(nil, breaks(true, true, "they use "+before.Format.Name), "format %s became %s", before.Format.Name, after.Format.Name)
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

func diffShapes(subject string, rules contract.Evolution, before, after *contract.Shape) []Change {
	d := comparison{subject: subject, rules: rules, seen: make(map[[2]*contract.Shape]bool)}
	d.shapes(nil, before, after)
	return d.changes
}

// breaks describes who is broken by a change, and why.
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

// A comparison compares two versions of one contract.
type comparison struct {
	subject string
	rules   contract.Evolution
	seen    map[[2]*contract.Shape]bool // pairs already compared: shapes may be cyclic
	changes []Change
}

func (d *comparison) add(at *contract.Place, breaks, what string, args ...any) {
	d.changes = append(d.changes, Change{d.subject, at.Pointer(), fmt.Sprintf(what, args...), breaks})
}

func (d *comparison) shapes(at *contract.Place, before, after *contract.Shape) {
	both := [2]*contract.Shape{before, after}
	if d.seen[both] {
		return
	}
	d.seen[both] = true
	was, is := kindIn(before), kindIn(after)
	switch {
	case was == is && was == contract.Any:
	case was == is:
		d.inside(at, before, after)
	case (was == contract.Union || is == contract.Union) && was != contract.Any && is != contract.Any:
		d.variants(at, among(before, after), among(after, before))
	default:
		d.add(at, breaks(!d.reads(was, is), !d.reads(is, was), "they use "+was), "%s became %s", was, is)
	}
}

// kindIn returns s.kind; a missing shape may be anything.
func kindIn(s *contract.Shape) string {
	if s == nil {
		return contract.Any
	}
	return s.Kind
}

// inside compares two shapes of the same kind.
func (d *comparison) inside(at *contract.Place, before, after *contract.Shape) {
	further := "fields"
	if before.Kind == contract.Enum {
		further = "values"
	}
	switch {
	case after.Open && !before.Open:
		d.add(at, "", "now allows further %s", further)
	case before.Open && !after.Open: // an enum's publishers send no other values
		d.add(at, breaks(false, further == "fields", "they may send further ones"), "no longer allows further %s", further)
	}
	d.fields(at, before.Fields, after.Fields)
	d.values(at, before, after)
	d.variants(at, before.Variants, after.Variants)
	if before.Items != nil || after.Items != nil {
		element := "*"
		if before.Kind == contract.Map {
			element = "{}"
		}
		d.shapes(at.Below(element), before.Items, after.Items)
	}
}

func (d *comparison) fields(at *contract.Place, before, after []contract.Field) {
	key := func(f contract.Field) (string, int) { return f.Name, f.Number }
	for _, p := range match(before, after, d.rules.Numbered, key) {
		b, a := p.before, p.after
		switch {
		case a == nil:
			d.add(at.Below(b.Name), breaks(true, false, "they read it"), "field removed")
		case b == nil:
			what := "field added"
			if a.Required {
				what = "required field added"
			}
			d.add(at.Below(a.Name), breaks(false, a.Required, "they leave it out"), "%s", what)
			d.number(at.Below(a.Name), p.owner, a.Name, a.Number)
		case b.Name != a.Name && kindIn(b.Shape) != kindIn(a.Shape):
			d.number(at.Below(b.Name), b.Name, a.Name, a.Number)
		default:
			d.field(at.Below(b.Name), b, a, p.owner)
		}
	}
}

func (d *comparison) field(at *contract.Place, b, a *contract.Field, owner string) {
	switch {
	case b.Name != a.Name: // only the number is on the wire, but JSON has the name
		d.add(at, breaks(true, true, "their JSON has "+contract.Quote(b.Name)), "field renamed to %s", contract.Quote(a.Name))
	case owner != "":
		d.number(at, owner, a.Name, a.Number)
	case b.Number != a.Number:
		d.add(at, breaks(true, true, fmt.Sprintf("they use number %d", b.Number)), "number %d became %d", b.Number, a.Number)
	}
	switch {
	case a.Required && !b.Required:
		d.add(at, breaks(false, true, "they may leave it out"), "made required")
	case b.Required && !a.Required: // Avro always sends all fields
		d.add(at, breaks(!d.rules.AllFieldsSent, false, "they require it"), "made optional")
	}
	if b.Oneof != a.Oneof {
		what := fmt.Sprintf("moved from oneof %s to oneof %s", contract.Quote(b.Oneof), contract.Quote(a.Oneof))
		switch "" {
		case b.Oneof:
			what = "moved into oneof " + contract.Quote(a.Oneof)
		case a.Oneof:
			what = "moved out of oneof " + contract.Quote(b.Oneof)
		}
		d.add(at, breaks(b.Oneof != "", a.Oneof != "", "only one of several fields set is kept"), "%s", what)
	}
	d.shapes(at, b.Shape, a.Shape)
}

// number reports that the number of a field or an enum value belonged to another
// before.
func (d *comparison) number(at *contract.Place, owner, name string, number int) {
	if owner != "" {
		d.add(at, breaks(true, true, "they mix the two up"),
			"number %d now belongs to %s, it was %s", number, contract.Quote(name), contract.Quote(owner))
	}
}

func (d *comparison) values(at *contract.Place, before, after *contract.Shape) {
	refused := !d.rules.KeepsValues && !before.Open
	key := func(v contract.EnumValue) (string, int) { return v.Name, v.Number }
	for _, p := range match(before.Values, after.Values, d.rules.Numbered, key) {
		b, a := p.before, p.after
		switch {
		case a == nil:
			d.add(at, breaks(false, true, "they may send it"), "enum value %s removed", contract.Quote(b.Name))
		case b == nil:
			d.add(at, breaks(refused, false, "they refuse it"), "enum value %s added", contract.Quote(a.Name))
			d.number(at, p.owner, a.Name, a.Number)
		case p.owner != "":
			d.number(at, p.owner, a.Name, a.Number)
		case b.Number != a.Number:
			d.add(at, breaks(true, true, fmt.Sprintf("they use number %d", b.Number)),
				"enum value %s: number %d became %d", contract.Quote(b.Name), b.Number, a.Number)
		}
	}
}

func (d *comparison) variants(at *contract.Place, before, after []contract.Variant) {
	key := func(v contract.Variant) (string, int) { return v.Name, 0 }
	for _, p := range match(distinct(before), distinct(after), false, key) {
		b, a := p.before, p.after
		switch {
		case a == nil:
			d.add(at, breaks(false, !d.takes(after, b), "they may send it"), "union variant %s removed", contract.Quote(b.Name))
		case b == nil:
			d.add(at, breaks(!d.takes(before, a), false, "they refuse it"), "union variant %s added", contract.Quote(a.Name))
		default:
			d.shapes(at, b.Shape, a.Shape)
		}
	}
}
