package jsonschema

import (
	"nats-test/third_party/jsonschema"
)

// choices are those that were made among alternatives, and what there were.
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

// next makes other choices, unless all were made.
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

// parts returns the schemas that a value must keep, with those chosen among
// alternatives.
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
