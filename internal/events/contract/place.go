package contract

import "strings"

// A Place is a field of the object at another place; nil is the root of the data.
type Place struct {
	object *Place
	Field  string
}

// Below returns the place of a field, or of an item by its number.
func (p *Place) Below(field string) *Place { return &Place{p, field} }

// Pointer returns the place as a JSON pointer (RFC 6901).
func (p *Place) Pointer() string {
	if p == nil {
		return ""
	}
	name := p.Field
	if strings.ContainsAny(name, "~/") {
		name = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	return p.object.Pointer() + "/" + name
}

// ShortPointer returns the pointer shortened for errors: names may be as long as an
// event, and nested hundreds of levels deep.
func (p *Place) ShortPointer() string {
	const first, last = 24, 16
	var all []*Place
	for ; p != nil; p = p.object {
		all = append(all, p)
	}
	var b strings.Builder
	for i := len(all) - 1; i >= 0; i-- {
		if left := len(all) - first; i >= last && i < left {
			b.WriteString("/…")
			i = last
			continue
		}
		b.WriteString((&Place{nil, Shorten(all[i].Field)}).Pointer())
	}
	return b.String()
}

// PointerOf returns the pointer to a location, shortened for errors.
func PointerOf(location []string) string {
	var at *Place
	for _, token := range location {
		at = &Place{at, token}
	}
	return at.ShortPointer()
}
