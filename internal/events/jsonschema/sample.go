package jsonschema

import (
	"iter"
	"slices"

	"nats-test/third_party/jsonschema"
)

// samples yields valid data made from a schema, the most meaningful first.
func samples(s *jsonschema.Schema) iter.Seq[any] {
	return func(yield func(any) bool) {
		for _, lean := range []bool{false, true} {
			m := &sampler{left: 10_000, budget: jsonschema.Budget{Steps: 1 << 21}, lean: lean}
			for value := range m.values([]*jsonschema.Schema{s}, "", 0) {
				if !yield(value) {
					return
				}
			}
		}
	}
}

// A sampler makes values by trial and error: it proposes values, and the schema
// decides.
type sampler struct {
	left   int               // trials left
	budget jsonschema.Budget // of all trials together
	stack  []*jsonschema.Schema
	lean   bool // without optional fields
	nth    int  // selects among different values
}

// spent reports whether the sampler has used up its trials. Check it wherever there
// is a choice: schemas whose values hold several of the next, recursively, have too
// many values to try.
func (m *sampler) spent() bool { return m.left < 0 || m.budget.Steps < 0 }

// first returns one value that all schemas accept.
func (m *sampler) first(schemas []*jsonschema.Schema, name string, depth int) (any, bool) {
	for value := range m.values(schemas, name, depth) {
		return value, true
	}
	return nil, false
}

// values yields values that all schemas accept.
func (m *sampler) values(schemas []*jsonschema.Schema, name string, depth int) iter.Seq[any] {
	return func(yield func(any) bool) {
		const deepest, mostChoices = 24, 48
		for _, s := range schemas {
			if count(m.stack, s) > 2 {
				return
			}
		}
		if depth > deepest || m.spent() {
			return
		}
		m.stack = append(m.stack, schemas...)
		defer func() { m.stack = m.stack[:len(m.stack)-len(schemas)] }()
		c := &choices{}
		for range mostChoices {
			all := c.parts(schemas)
			m.budget.Steps -= len(all)
			for value := range m.proposals(all, name, depth) {
				if m.left--; m.spent() {
					return
				}
				if m.accepted(schemas, value) && !yield(value) {
					return
				}
			}
			if m.spent() || !c.next() {
				return
			}
		}
	}
}

func count(all []*jsonschema.Schema, s *jsonschema.Schema) (n int) {
	for _, other := range all {
		if other == s {
			n++
		}
	}
	return n
}

func (m *sampler) accepted(schemas []*jsonschema.Schema, value any) bool {
	fault, weight := weigh(value)
	m.budget.Steps -= weight / 16
	return fault == nil && !slices.ContainsFunc(schemas, func(s *jsonschema.Schema) bool {
		return m.spent() || s.ValidateWithin(value, &m.budget) != nil
	})
}

// proposals yields values that all may accept.
func (m *sampler) proposals(all []*jsonschema.Schema, name string, depth int) iter.Seq[any] {
	return func(yield func(any) bool) {
		for _, value := range m.given(all) {
			if !yield(value) {
				return
			}
		}
		// "null" is the least meaningful, an object the most.
		types := typesOf(all)
		slices.SortFunc(types, func(a, b string) int { return slices.Index(kinds, a) - slices.Index(kinds, b) })
		if !slices.ContainsFunc(all, func(s *jsonschema.Schema) bool { return s.Types != nil }) {
			types = append(types, "string", "integer", "object", "array", "boolean", "null")
		}
		for _, t := range types {
			for value := range m.ofType(t, all, name, depth) {
				if !yield(value) {
					return
				}
			}
		}
	}
}

// given returns the values listed in the schemas themselves.
func (m *sampler) given(all []*jsonschema.Schema) []any {
	var values, listed []any
	for _, s := range all {
		if s.Const != nil {
			values = append(values, *s.Const)
		}
		values = append(values, s.Examples...)
		if s.Default != nil {
			values = append(values, *s.Default)
		}
		if s.Enum != nil {
			listed = append(listed, s.Enum.Values...)
		}
	}
	values = append(values, listed...)
	const most = 64
	values = values[:min(len(values), most)]
	if n := len(values); n > 0 { // different values for different items
		values = append(slices.Clone(values[m.nth%n:]), values[:m.nth%n]...)
	}
	return values
}

func (m *sampler) ofType(t string, all []*jsonschema.Schema, name string, depth int) iter.Seq[any] {
	switch t {
	case "object":
		return m.objects(all, depth)
	case "array":
		return m.arrays(all, name, depth)
	case "string":
		return func(yield func(any) bool) {
			for text := range sampleTexts(all, name, m.nth) {
				if !yield(text) {
					return
				}
			}
		}
	case "integer", "number":
		return slices.Values(sampleNumbers(all, t, m.nth))
	case "boolean":
		return slices.Values([]any{m.nth%2 == 0, m.nth%2 != 0})
	}
	return slices.Values([]any{nil})
}

// arrays yields arrays, as short as allowed, but with an item if possible.
func (m *sampler) arrays(all []*jsonschema.Schema, name string, depth int) iter.Seq[any] {
	const longest = 200
	least, most := 0, longest
	var contains []*jsonschema.Schema
	for _, s := range all {
		if s.MinItems != nil {
			least = max(least, *s.MinItems)
		}
		if s.MaxItems != nil {
			most = min(most, *s.MaxItems)
		}
		if s.Contains != nil {
			wanted := 1
			if s.MinContains != nil {
				wanted = *s.MinContains
			}
			for range min(wanted, longest) {
				contains = append(contains, s.Contains)
			}
		}
		least = max(least, min(len(s.PrefixItems), most))
	}
	if least > longest || most < 0 {
		return slices.Values([]any(nil))
	}
	before := m.nth
	ofLength := func(length int) []any {
		defer func() { m.nth = before }()
		items := []any{}
		for i := range length {
			var asked []*jsonschema.Schema
			for _, s := range all {
				ofItem(s, i, func(other *jsonschema.Schema) {
					if other != nil && other != s.Contains && other != s.UnevaluatedItems {
						asked = append(asked, other)
					}
				})
			}
			if last := i - length + len(contains); 0 <= last && last < len(contains) {
				asked = append(asked, contains[last])
			}
			for _, s := range all {
				if len(asked) == 0 && s.UnevaluatedItems != nil {
					asked = append(asked, s.UnevaluatedItems)
				}
			}
			m.nth = before + i
			item, ok := m.first(asked, singular(name), depth+1)
			if !ok {
				return items
			}
			items = append(items, item)
		}
		return items
	}
	return func(yield func(any) bool) {
		wanted := max(least, min(max(1, len(contains)), most))
		for _, length := range []int{wanted, least, wanted + len(contains), 0} {
			if items := ofLength(min(length, longest)); !yield(items) {
				return
			}
		}
	}
}

// singular returns a name for one element of a collection called name.
func singular(name string) string {
	if n := len(name); n > 3 && name[n-1] == 's' && name[n-2] != 's' {
		return name[:n-1]
	}
	return name
}
