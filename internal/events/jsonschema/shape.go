package jsonschema

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"nats-test/internal/events/contract"
	"nats-test/third_party/jsonschema"
)

// readsJSON reports whether a reader of one kind reads another. Kinds without a
// JSON type of their own are strings: date-time, uuid, …
func readsJSON(reader, writer string) bool {
	switch reader {
	case "number":
		return writer == "integer"
	case "string":
		return !slices.Contains([]string{contract.Object, contract.Array, contract.Map, contract.Union, contract.Any, "number", "integer", "boolean", "null"}, writer)
	}
	return false
}

// shapeOf returns the shape of a schema, as far as a shape can express it.
func shapeOf(s *jsonschema.Schema, files *schemaFiles) *contract.Shape {
	return (&shaper{files: files, known: make(map[*jsonschema.Schema]*contract.Shape)}).of(s)
}

type shaper struct {
	files *schemaFiles
	known map[*jsonschema.Schema]*contract.Shape // including those in progress
}

func (sh *shaper) of(s *jsonschema.Schema) *contract.Shape {
	if known, ok := sh.known[s]; ok {
		return known
	}
	if s.Ref != nil && onlyRefers(s) {
		return sh.of(s.Ref)
	}
	made := &contract.Shape{Kind: contract.Any}
	sh.known[s] = made
	all := together(s)
	types := typesOf(all)
	var unions []*jsonschema.Schema
	for _, part := range all {
		switch {
		case part.Bool != nil && !*part.Bool:
			made.Kind = "nothing"
			return made
		case part.Const != nil:
			made.Kind, made.Values = contract.Enum, enumValues([]any{*part.Const})
			return made
		case part.Enum != nil:
			made.Kind, made.Values = contract.Enum, enumValues(part.Enum.Values)
			return made
		}
		unions = append(unions, part.AnyOf...)
		unions = append(unions, part.OneOf...)
	}
	hasFields := slices.ContainsFunc(all, func(p *jsonschema.Schema) bool { return len(p.Properties) > 0 || len(p.Required) > 0 })
	switch {
	case len(unions) > 0 && !hasFields && slices.ContainsFunc(unions, says):
		made.Kind = contract.Union
		for _, u := range unions {
			v := sh.of(u)
			made.Variants = append(made.Variants, contract.Variant{Name: variantName(u, v), Shape: v})
		}
	case len(types) > 1 && !hasFields:
		made.Kind = contract.Union
		for _, t := range types {
			v := &contract.Shape{}
			sh.fill(v, t, all)
			made.Variants = append(made.Variants, contract.Variant{Name: v.Kind, Shape: v})
		}
	case len(types) == 1:
		sh.fill(made, types[0], all)
	case len(types) > 1:
		sh.fill(made, "object", all)
	}
	return made
}

// onlyRefers reports whether a schema with a "$ref" has nothing else that a shape
// expresses.
func onlyRefers(s *jsonschema.Schema) bool {
	return s.Types == nil && s.Const == nil && s.Enum == nil && s.Format == nil && s.DynamicRef == nil &&
		len(s.AllOf)+len(s.AnyOf)+len(s.OneOf)+len(s.Properties)+len(s.PatternProperties)+len(s.Required) == 0 &&
		s.AdditionalProperties == nil && s.UnevaluatedProperties == nil && s.Then == nil && s.Else == nil &&
		s.Items2020 == nil && s.Items == nil && s.PrefixItems == nil
}

// says reports whether an alternative describes the value, and not only its
// required fields.
func says(s *jsonschema.Schema) bool {
	return slices.ContainsFunc(together(s), func(p *jsonschema.Schema) bool {
		return p.Types != nil || p.Enum != nil || p.Const != nil || len(p.Properties) > 0 || len(p.AnyOf)+len(p.OneOf) > 0
	})
}

// together returns all schemas that a value must satisfy: s and every schema that
// it refers to, without alternatives.
func together(s *jsonschema.Schema) []*jsonschema.Schema {
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
	}
	add(s)
	return all
}

// typesOf returns the types that all schemas allow. If none names a type, it is
// derived from other keywords, about fields, items and so on.
func typesOf(all []*jsonschema.Schema) []string {
	var types []string
	named := false
	for _, s := range all {
		if s.Types == nil {
			continue
		}
		allowed := s.Types.ToStrings()
		if !named {
			types, named = allowed, true
			continue
		}
		number := slices.Contains(allowed, "number")
		integer := slices.Contains(types, "number") && slices.Contains(allowed, "integer") && !number
		types = slices.DeleteFunc(slices.Clone(types), func(t string) bool {
			return !slices.Contains(allowed, t) && (t != "integer" || !number)
		})
		if integer {
			types = append(types, "integer")
		}
	}
	if named {
		return types
	}
	for _, s := range all {
		switch {
		case len(s.Properties)+len(s.PatternProperties)+len(s.Required) > 0 || s.AdditionalProperties != nil || s.MinProperties != nil || s.PropertyNames != nil:
			return []string{"object"}
		case s.Items2020 != nil || s.Items != nil || len(s.PrefixItems) > 0 || s.MinItems != nil || s.Contains != nil:
			return []string{"array"}
		case s.Pattern != nil || s.Format != nil || s.MinLength != nil || s.MaxLength != nil:
			return []string{"string"}
		case s.Minimum != nil || s.Maximum != nil || s.ExclusiveMinimum != nil || s.ExclusiveMaximum != nil || s.MultipleOf != nil:
			return []string{"number"}
		}
	}
	return nil
}

// fill makes to the shape of a type, with the keywords of all schemas.
func (sh *shaper) fill(to *contract.Shape, kind string, all []*jsonschema.Schema) {
	to.Kind = kind
	switch kind {
	case "string":
		for _, s := range all {
			if s.Format != nil {
				to.Kind = "string (" + s.Format.Name + ")"
			}
		}
	case "array":
		to.Kind = contract.Array
		to.Items = &contract.Shape{Kind: contract.Any}
		for _, s := range all {
			items, ok := s.Items.(*jsonschema.Schema)
			switch {
			case s.Items2020 != nil && len(s.PrefixItems) == 0:
				to.Items = sh.of(s.Items2020)
			case ok:
				to.Items = sh.of(items)
			case len(s.PrefixItems) > 0:
				to.Items = &contract.Shape{Kind: contract.Union}
				for i, item := range s.PrefixItems {
					to.Items.Variants = append(to.Items.Variants, contract.Variant{Name: strconv.Itoa(i), Shape: sh.of(item)})
				}
			}
		}
	case "object":
		sh.object(to, all)
	}
}

func (sh *shaper) object(to *contract.Shape, all []*jsonschema.Schema) {
	to.Kind, to.Open = contract.Object, true
	fields := make(map[string]*contract.Field)
	offsets := make(map[string]int64)
	add := func(s *jsonschema.Schema, certain bool) {
		for _, name := range sortedKeys(s.Properties) {
			if fields[name] == nil {
				fields[name] = &contract.Field{Name: name, Shape: sh.of(s.Properties[name])}
				offsets[name] = int64(len(fields))<<32 + sh.offset(s.Properties[name])
				if certain {
					offsets[name] = sh.offset(s.Properties[name])
				}
			}
		}
		if !certain {
			return
		}
		for _, name := range s.Required {
			if fields[name] == nil {
				fields[name] = &contract.Field{Name: name, Shape: &contract.Shape{Kind: contract.Any}}
				offsets[name] = 1 << 62
			}
			fields[name].Required = true
		}
		if closed, ok := s.AdditionalProperties.(bool); ok && !closed {
			to.Open = false
		}
		if u := s.UnevaluatedProperties; u != nil && u.Bool != nil && !*u.Bool {
			to.Open = false
		}
	}
	// Schemas that always apply come before alternatives.
	for _, s := range all {
		add(s, true)
	}
	for _, s := range all {
		for _, other := range present(append(append([]*jsonschema.Schema{s.Then, s.Else}, s.AnyOf...), s.OneOf...)) {
			for _, part := range together(other) {
				add(part, false)
			}
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(fields), func(a, b string) int {
		return cmp.Or(cmp.Compare(offsets[a], offsets[b]), cmp.Compare(a, b))
	}) {
		to.Fields = append(to.Fields, *fields[name])
	}
	if len(fields) > 0 {
		return
	}
	for _, s := range all {
		if values, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
			to.Kind, to.Open, to.Items = contract.Map, false, sh.of(values)
		}
		if len(s.PatternProperties) == 1 {
			for _, values := range s.PatternProperties {
				to.Kind, to.Open, to.Items = contract.Map, false, sh.of(values)
			}
		}
	}
}

// offset returns the position of a schema in its file.
func (sh *shaper) offset(s *jsonschema.Schema) int64 {
	f, pointer := sh.files.place(s.Location)
	if f == nil {
		return 0
	}
	return int64(f.index()[pointer].name)
}

func enumValues(values []any) []contract.EnumValue {
	all := make([]contract.EnumValue, len(values))
	for i, v := range values {
		text, ok := v.(string)
		if !ok {
			text = contract.JSONText(v)
		}
		all[i] = contract.EnumValue{Name: text}
	}
	return all
}

// variantName returns a name that distinguishes an alternative from others.
func variantName(s *jsonschema.Schema, made *contract.Shape) string {
	switch {
	case s.Title != "":
		return s.Title
	case s.Ref != nil && s.Ref.Title != "":
		return s.Ref.Title
	case s.Ref != nil:
		location := strings.TrimSuffix(s.Ref.Location, "#")
		return location[strings.LastIndexAny(location, "/#")+1:]
	}
	return made.Kind
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
