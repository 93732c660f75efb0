package jsonschema

import (
	"fmt"
	"iter"
	"slices"

	"nats-test/third_party/jsonschema"
)

// objects yields objects: with all fields that can be made, with required fields
// only, and with any field.
func (m *sampler) objects(all []*jsonschema.Schema, depth int) iter.Seq[any] {
	return func(yield func(any) bool) {
		before := m.lean
		defer func() { m.lean = before }()
		const deepest = 4 // of optional fields
		for _, lean := range []bool{before || depth > deepest, true} {
			m.lean = lean
			if object, ok := m.object(all, depth, 0); ok && !yield(object) {
				return
			}
		}
		if object, ok := m.object(all, depth, 1); ok {
			yield(object)
		}
	}
}

// object makes an object with at least this number of fields, and all required
// ones.
func (m *sampler) object(all []*jsonschema.Schema, depth, least int) (map[string]any, bool) {
	object := make(map[string]any)
	most := 1000
	var required, optional []string
	for _, s := range all {
		required = append(required, s.Required...)
		if !m.lean {
			optional = append(optional, sortedKeys(s.Properties)...)
		}
		if s.MinProperties != nil {
			least = max(least, *s.MinProperties)
		}
		if s.MaxProperties != nil {
			most = min(most, *s.MaxProperties)
		}
	}
	set := func(name string, must bool) bool {
		if _, ok := object[name]; ok {
			return true
		}
		if m.spent() {
			return false
		}
		asked := fieldSchemas(all, name)
		if !must && slices.ContainsFunc(asked, m.skips) {
			return false
		}
		value, ok := m.first(asked, name, depth+1)
		if ok {
			object[name] = value
		}
		return ok
	}
	for i := 0; i < len(required); i++ { // required grows meanwhile
		if !set(required[i], true) {
			return nil, false
		}
		for _, s := range all {
			required = append(required, missing(object, s.DependentRequired[required[i]])...)
		}
	}
	for _, name := range optional {
		if len(object) >= most {
			break
		}
		if !set(name, false) {
			continue
		}
		for _, s := range all { // fields required by an optional field
			for _, other := range missing(object, s.DependentRequired[name]) {
				if !set(other, true) {
					delete(object, name)
				}
			}
		}
	}
	if least == 0 && len(object) == 0 && !m.lean && isMap(all) {
		least = 1
	}
	for name := range m.names(all) {
		if len(object) >= min(least, most) {
			break
		}
		set(name, true)
	}
	return object, true
}

// skips reports whether an optional field is better left out.
func (m *sampler) skips(s *jsonschema.Schema) bool {
	if s.Deprecated || s.Bool != nil && !*s.Bool {
		return true
	}
	return slices.ContainsFunc(together(s), func(p *jsonschema.Schema) bool { return slices.Contains(m.stack, p) })
}

func missing(object map[string]any, names []string) (list []string) {
	for _, name := range names {
		if _, ok := object[name]; !ok {
			list = append(list, name)
		}
	}
	return list
}

func isMap(all []*jsonschema.Schema) bool {
	return slices.ContainsFunc(all, func(s *jsonschema.Schema) bool {
		_, ok := s.AdditionalProperties.(*jsonschema.Schema)
		return ok || len(s.PatternProperties) > 0
	})
}

// fieldSchemas returns the schemas that apply to a field.
func fieldSchemas(all []*jsonschema.Schema, name string) []*jsonschema.Schema {
	var asked []*jsonschema.Schema
	for _, s := range all {
		ofField(s, name, func(other *jsonschema.Schema) {
			if other != nil && other != s.UnevaluatedProperties && !slices.Contains(asked, other) {
				asked = append(asked, other)
			}
		})
	}
	for _, s := range all {
		if len(asked) == 0 && s.UnevaluatedProperties != nil {
			asked = append(asked, s.UnevaluatedProperties)
		}
	}
	return asked
}

// names yields names for fields not named by a schema.
func (m *sampler) names(all []*jsonschema.Schema) iter.Seq[string] {
	return func(yield func(string) bool) {
		const most = 200
		var naming []*jsonschema.Schema
		var patterns []jsonschema.Regexp
		for _, s := range all {
			if s.PropertyNames != nil {
				naming = append(naming, s.PropertyNames)
			}
			patterns = append(patterns, patternsOf(s)...)
		}
		before := m.nth
		defer func() { m.nth = before }()
		for i := range most {
			if m.nth = i; m.spent() {
				return
			}
			for _, p := range patterns {
				for text := range patternTexts(p.String(), 0, i) {
					if !yield(text) {
						return
					}
				}
			}
			if len(naming) > 0 {
				if name, ok := m.first(naming, "key", 1); ok {
					if text, ok := name.(string); ok && !yield(text) {
						return
					}
				}
			}
			if !yield(fmt.Sprintf("key-%d", i+1)) {
				return
			}
		}
	}
}

// choices are the alternatives chosen, and the number of alternatives at each
// choice.
type choices struct {
	made, among []int
	at          int
}

func (c *choices) choose(n int) int {
	if c.at == len(c.made) {
		c.made, c.among = append(c.made, 0), append(c.among, n)
	}
	c.among[c.at] = n
	c.at++
	return min(c.made[c.at-1], n-1)
}

// next advances to the next combination, if there is one.
func (c *choices) next() bool {
	for i := min(c.at, len(c.made)) - 1; i >= 0; i-- {
		if c.made[i]+1 < c.among[i] {
			c.made[i]++
			c.made, c.among = c.made[:i+1], c.among[:i+1]
			return true
		}
	}
	return false
}

// parts returns the schemas that a value must satisfy, with the alternatives
// chosen.
func (c *choices) parts(schemas []*jsonschema.Schema) []*jsonschema.Schema {
	c.at = 0
	var all []*jsonschema.Schema
	seen := make(map[*jsonschema.Schema]bool)
	var add func(s *jsonschema.Schema)
	add = func(s *jsonschema.Schema) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		all = append(all, s)
		add(s.Ref)
		add(s.RecursiveRef)
		if s.DynamicRef != nil {
			add(s.DynamicRef.Ref)
		}
		for _, other := range s.AllOf {
			add(other)
		}
		for _, of := range [][]*jsonschema.Schema{s.AnyOf, s.OneOf} {
			if len(of) > 0 {
				add(of[c.choose(len(of))])
			}
		}
		if s.If != nil {
			switch c.choose(2) {
			case 0:
				add(s.If)
				add(s.Then)
			default:
				add(s.Else)
			}
		}
		for _, name := range sortedKeys(s.DependentSchemas) {
			if c.choose(2) == 0 {
				add(s.DependentSchemas[name])
			}
		}
	}
	for _, s := range schemas {
		add(s)
	}
	return all
}
