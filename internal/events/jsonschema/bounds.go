package jsonschema

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"

	"nats-test/internal/events/contract"
	"nats-test/third_party/jsonschema"
)

// Data may come from anyone, so the cost of a check must not grow faster than the
// data: with a schema that refers to itself in two alternatives, the validator
// would take 2ⁿ steps for data nested n deep. A million steps take about 300 ms, or
// 16 MB.
const (
	stepsPerCheck = 1 << 18
	stepsPerByte  = 4
)

// faults returns the faults of decoded data, nil if it is valid. With newer,
// objects may have unknown fields.
func (v *validator) faults(value any, bytes int, newer bool) []contract.Fault {
	b := jsonschema.Budget{Steps: stepsPerCheck + stepsPerByte*bytes}
	err := v.schema.ValidateWithin(value, &jsonschema.Budget{Steps: b.Steps})
	if _, invalid := errors.AsType[*jsonschema.ValidationError](err); invalid && newer {
		err = v.schema.ValidateWithin(value, &jsonschema.Budget{Steps: b.Steps, Tolerant: true})
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jsonschema.ErrBudget):
		return []contract.Fault{{Problem: "is too costly to check against its contract: it is nested too deeply in alternatives, or holds too many values"}}
	}
	// The data is invalid. Only now is it worth finding all faults.
	b.MaxErrors = contract.MaxFaults + 1
	err = v.schema.ValidateWithin(value, &b)
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return schemaFaults(invalid, b.Full())
	}
	return []contract.Fault{{Problem: "breaks the contract in more ways than can be explained"}}
}

// A pattern is a regular expression with the size of its program, which determines
// the time per character.
type pattern struct {
	*regexp.Regexp
	size int
}

// Size returns the size for the validator's budget.
func (p *pattern) Size() int { return p.size }

func compilePattern(text string) (jsonschema.Regexp, error) {
	r, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	p := &pattern{Regexp: r}
	if tree, err := syntax.Parse(text, syntax.Perl); err == nil {
		if program, err := syntax.Compile(tree.Simplify()); err == nil {
			p.size = len(program.Inst)
		}
	}
	return p, nil
}

// An endlessError reports a schema that applies itself to the same value.
type endlessError struct{ location string }

func (e *endlessError) Error() string {
	return fmt.Sprintf("%s refers to itself without end", e.location)
}

// same returns the schemas that s applies to the same value.
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

// below returns all schemas that s applies to values within.
func below(s *jsonschema.Schema) []*jsonschema.Schema {
	all := []*jsonschema.Schema{s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems}
	for _, name := range sortedKeys(s.Properties) {
		all = append(all, s.Properties[name])
	}
	for _, p := range patternsOf(s) {
		all = append(all, s.PatternProperties[p])
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

// comesToAnEnd returns an error for a schema whose validation would never end.
func comesToAnEnd(root *jsonschema.Schema) error {
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
			return err
		}
		for _, other := range append(same(s), below(s)...) {
			if !seen[other] {
				seen[other] = true
				todo = append(todo, other)
			}
		}
	}
	return nil
}

// ofField calls ask with the schemas that s applies to a field.
func ofField(s *jsonschema.Schema, name string, ask func(*jsonschema.Schema)) {
	known := false
	if p, ok := s.Properties[name]; ok {
		known = true
		ask(p)
	}
	for _, p := range patternsOf(s) {
		if p.MatchString(name) {
			known = true
			ask(s.PatternProperties[p])
		}
	}
	if p, ok := s.AdditionalProperties.(*jsonschema.Schema); ok && !known {
		ask(p)
	}
	ask(s.UnevaluatedProperties)
}

// patternsOf returns the patterns of s for field names, the shortest first.
func patternsOf(s *jsonschema.Schema) []jsonschema.Regexp {
	return slices.SortedFunc(maps.Keys(s.PatternProperties), func(a, b jsonschema.Regexp) int {
		return cmp.Or(len(a.String())-len(b.String()), cmp.Compare(a.String(), b.String()))
	})
}

// ofItem calls ask with the schemas that s applies to an item of an array.
func ofItem(s *jsonschema.Schema, i int, ask func(*jsonschema.Schema)) {
	ask(s.Contains)
	ask(s.UnevaluatedItems)
	prefix := s.PrefixItems
	rest := s.Items2020
	switch items := s.Items.(type) { // in drafts before 2020-12
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
