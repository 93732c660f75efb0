package events

import "strings"

// A place is a field of the object at another place; nil is the whole data.
type place struct {
	object *place
	field  string
}

// pointer returns the place as a JSON pointer (RFC 6901).
func (p *place) pointer() string {
	if p == nil {
		return ""
	}
	name := p.field
	if strings.ContainsAny(name, "~/") {
		name = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	return p.object.pointer() + "/" + name
}

// shortPointer is the pointer as errors show it. Names may be as long as an
// event, and nested by the hundred.
func (p *place) shortPointer() string {
	const first, last = 24, 16
	var all []*place
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
		b.WriteString((&place{nil, shorten(all[i].field)}).pointer())
	}
	return b.String()
}

func pointerOf(location []string) string {
	var at *place
	for _, token := range location {
		at = &place{at, token}
	}
	return at.shortPointer()
}
