package events

import (
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The validator tries every alternative at every level, so a schema that
// refers to itself in two of them takes 2ⁿ steps for data nested n deep.
// These count the steps before they are taken.
const (
	maxSchemas = 10_000     // from there on, a schema is counted with each data
	maxSteps   = 10_000_000 // several seconds
)

// An endlessError says that a schema asks for itself of the same value.
type endlessError struct{ location string }

func (e *endlessError) Error() string {
	return fmt.Sprintf("%s refers to itself without end", e.location)
}

// same returns the schemas that s asks of the value that it is asked of.
func same(s *jsonschema.Schema) []*jsonschema.Schema {
	all := []*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else}
	if s.DynamicRef != nil {
		all = append(all, s.DynamicRef.Ref)
	}
	all = append(all, s.AllOf...)
	all = append(all, s.AnyOf...)
	all = append(all, s.OneOf...)
	for _, name := range sortedKeys(s.DependentSchemas) {
		all = append(all, s.DependentSchemas[name])
	}
	for _, name := range sortedKeys(s.Dependencies) {
		if d, ok := s.Dependencies[name].(*jsonschema.Schema); ok {
			all = append(all, d)
		}
	}
	return present(all)
}

// below returns the schemas that s asks of the values within, all of them.
func below(s *jsonschema.Schema) []*jsonschema.Schema {
	all := []*jsonschema.Schema{s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems}
	for _, name := range sortedKeys(s.Properties) {
		all = append(all, s.Properties[name])
	}
	for _, p := range s.PatternProperties {
		all = append(all, p)
	}
	for _, v := range []any{s.AdditionalProperties, s.AdditionalItems, s.Items} {
		switch v := v.(type) {
		case *jsonschema.Schema:
			all = append(all, v)
		case []*jsonschema.Schema:
			all = append(all, v...)
		}
	}
	return present(append(all, s.PrefixItems...))
}

func present(all []*jsonschema.Schema) []*jsonschema.Schema {
	kept := all[:0]
	for _, s := range all {
		if s != nil {
			kept = append(kept, s)
		}
	}
	return kept
}

// inspect reports whether the validator may take very long with a schema: it
// refers to itself, or is huge when it is written out. A schema that can't
// come to an end with any data is an error.
func inspect(root *jsonschema.Schema) (costly bool, err error) {
	const begun, done = 1, 2
	state := make(map[*jsonschema.Schema]int)
	var ends func(s *jsonschema.Schema) error
	ends = func(s *jsonschema.Schema) error {
		switch state[s] {
		case begun:
			return &endlessError{s.Location}
		case done:
			return nil
		}
		state[s] = begun
		for _, other := range same(s) {
			if err := ends(other); err != nil {
				return err
			}
		}
		state[s] = done
		return nil
	}
	seen := map[*jsonschema.Schema]bool{root: true}
	for todo := []*jsonschema.Schema{root}; len(todo) > 0; {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if err := ends(s); err != nil {
			return false, err
		}
		for _, other := range append(same(s), below(s)...) {
			if !seen[other] {
				seen[other] = true
				todo = append(todo, other)
			}
		}
	}
	left := maxSchemas
	var written func(s *jsonschema.Schema)
	written = func(s *jsonschema.Schema) {
		left--
		for _, other := range append(same(s), below(s)...) {
			if left > 0 {
				written(other)
			}
		}
	}
	written(root)
	return left <= 0, nil
}

// affordable reports whether the validator comes to an end with value.
func affordable(root *jsonschema.Schema, value any) bool {
	left := maxSteps
	// times says how often the validator asks each schema of a value.
	var walk func(times map[*jsonschema.Schema]int, value any)
	walk = func(times map[*jsonschema.Schema]int, value any) {
		asked := make(map[*jsonschema.Schema]int)
		var ask func(s *jsonschema.Schema, n int)
		ask = func(s *jsonschema.Schema, n int) {
			left -= n
			asked[s] += n
			for _, other := range same(s) {
				if left > 0 {
					ask(other, n)
				}
			}
		}
		for s, n := range times {
			if left > 0 {
				ask(s, n)
			}
		}
		switch v := value.(type) {
		case map[string]any:
			for name, item := range v {
				if left > 0 {
					walk(askedOf(asked, func(s *jsonschema.Schema, ask func(*jsonschema.Schema)) { ofField(s, name, ask) }), item)
				}
			}
		case []any:
			for i, item := range v {
				if left > 0 {
					walk(askedOf(asked, func(s *jsonschema.Schema, ask func(*jsonschema.Schema)) { ofItem(s, i, ask) }), item)
				}
			}
		}
	}
	walk(map[*jsonschema.Schema]int{root: 1}, value)
	return left > 0
}

func askedOf(asked map[*jsonschema.Schema]int, within func(s *jsonschema.Schema, ask func(*jsonschema.Schema))) map[*jsonschema.Schema]int {
	times := make(map[*jsonschema.Schema]int)
	for s, n := range asked {
		within(s, func(other *jsonschema.Schema) {
			if other != nil {
				times[other] += n
			}
		})
	}
	return times
}

// ofField asks what s asks of a field.
func ofField(s *jsonschema.Schema, name string, ask func(*jsonschema.Schema)) {
	known := false
	if p, ok := s.Properties[name]; ok {
		known = true
		ask(p)
	}
	for pattern, p := range s.PatternProperties {
		if pattern.MatchString(name) {
			known = true
			ask(p)
		}
	}
	if p, ok := s.AdditionalProperties.(*jsonschema.Schema); ok && !known {
		ask(p)
	}
	ask(s.UnevaluatedProperties)
}

// ofItem asks what s asks of an array's item.
func ofItem(s *jsonschema.Schema, i int, ask func(*jsonschema.Schema)) {
	ask(s.Contains)
	ask(s.UnevaluatedItems)
	prefix := s.PrefixItems
	rest := s.Items2020
	switch items := s.Items.(type) { // of the drafts before 2020-12
	case *jsonschema.Schema:
		rest = items
	case []*jsonschema.Schema:
		prefix = items
		rest, _ = s.AdditionalItems.(*jsonschema.Schema)
	}
	if i < len(prefix) {
		ask(prefix[i])
	} else {
		ask(rest)
	}
}
