package jsonschema

import (
	"encoding/json"
	"maps"
	"slices"

	"nats-test/internal/events/contract"
)

// A rule is a simple schema: types, fields, enums and times, which most schemas of
// events consist of, and the whole built-in catalogue. Data that satisfies its rule
// needs no validator; a test compares the two.
type rule struct {
	kind     ruleKind
	fields   []ruleField // of an object, by name; at most 64
	required uint64      // bits of the required fields
	values   []string    // of an enum
}

type ruleField struct {
	name string
	rule *rule
}

type ruleKind string

const (
	ruleObject  ruleKind = "object"
	ruleString  ruleKind = "string"
	ruleNumber  ruleKind = "number"
	ruleInteger ruleKind = "integer"
	ruleEnum    ruleKind = "enum"
	ruleTime    ruleKind = "date-time"
)

// ruleFrom returns the rule of a decoded JSON Schema, and whether it is equivalent.
// Where the schema allows unknown fields, the rule refuses them: then it only shows
// that data is valid, not that it is invalid.
func ruleFrom(doc any) (*rule, bool) {
	schema, ok := doc.(map[string]any)
	if !ok {
		return nil, false
	}
	for keyword := range schema {
		switch keyword {
		case "type", "properties", "required", "additionalProperties", "enum", "format":
		case "$schema", "$id", "$anchor", "$comment", "$defs", "title", "description", "examples", "default", "deprecated", "readOnly", "writeOnly":
		default:
			return nil, false
		}
	}
	kind, _ := schema["type"].(string)
	r := &rule{kind: ruleKind(kind)}
	enum, format := schema["enum"], schema["format"]
	switch r.kind {
	case ruleObject:
		return r, enum == nil && format == nil && r.fieldsFrom(schema)
	case ruleNumber, ruleInteger:
		return r, enum == nil // formats don't apply to numbers
	case ruleString:
		switch {
		case format == "date-time" && enum == nil:
			r.kind = ruleTime
		case format != nil:
			return nil, false
		case enum != nil:
			r.kind = ruleEnum
			values, ok := texts(enum)
			r.values = values
			return r, ok
		}
		return r, true
	}
	return nil, false
}

// fieldsFrom adds the fields of a decoded JSON Schema.
func (r *rule) fieldsFrom(schema map[string]any) bool {
	properties, _ := schema["properties"].(map[string]any)
	required, ok := texts(schema["required"])
	if !ok || len(properties) > 64 {
		return false
	}
	switch schema["additionalProperties"].(type) {
	case nil, bool:
	default:
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		below, ok := ruleFrom(properties[name])
		if !ok {
			return false
		}
		if slices.Contains(required, name) {
			r.required |= 1 << len(r.fields)
		}
		r.fields = append(r.fields, ruleField{name, below})
	}
	return !slices.ContainsFunc(required, func(name string) bool { _, ok := properties[name]; return !ok })
}

// kinds are the types of a schema, the most expressive first.
var kinds = []string{"object", "array", "string", "integer", "number", "boolean", "null"}

// plain reports whether a decoded JSON Schema consists only of valid keywords known
// to a rule, and of annotations. Such a schema certainly compiles, so it need not
// be checked against the metaschema, which takes 4 ms to compile.
func plain(doc any, root bool) bool {
	schema, ok := doc.(map[string]any)
	for keyword, value := range schema {
		switch keyword {
		case "title", "description", "$comment", "format":
			_, ok = value.(string)
		case "type":
			kind, _ := value.(string)
			ok = slices.Contains(kinds, kind)
		case "$schema":
			ok = root && value == "https://json-schema.org/draft/2020-12/schema"
		case "additionalProperties":
			_, ok = value.(bool)
		case "enum":
			_, ok = value.([]any)
		case "required":
			names, _ := texts(value)
			slices.Sort(names)
			ok = names != nil && len(slices.Compact(names)) == len(value.([]any))
		case "properties":
			var properties map[string]any
			properties, ok = value.(map[string]any)
			for _, below := range properties {
				ok = ok && plain(below, false)
			}
		default:
			return false
		}
		if !ok {
			return false
		}
	}
	return ok
}

// texts returns the strings of a decoded JSON array of strings.
func texts(value any) (all []string, ok bool) {
	items, ok := value.([]any)
	if !ok {
		return nil, value == nil
	}
	for _, item := range items {
		text, ok := item.(string)
		if !ok {
			return nil, false
		}
		all = append(all, text)
	}
	return all, true
}

// allows reports whether a decoded value satisfies the rule. With newer, objects
// may have unknown fields.
func (r *rule) allows(value any, newer bool) bool {
	switch r.kind {
	case ruleObject:
		object, ok := value.(map[string]any)
		return ok && r.allowsFields(object, newer)
	case ruleNumber, ruleInteger:
		number, ok := value.(json.Number)
		return ok && (r.kind == ruleNumber || contract.IsInteger(string(number)))
	}
	text, ok := value.(string)
	switch r.kind {
	case ruleEnum:
		return ok && slices.Contains(r.values, text)
	case ruleTime:
		_, isTime := contract.ParseTime(text)
		return ok && isTime
	}
	return ok
}

func (r *rule) allowsFields(object map[string]any, newer bool) bool {
	known := 0
	for i, f := range r.fields {
		value, ok := object[f.name]
		switch {
		case ok && f.rule.allows(value, newer):
			known++
		case ok || r.required&(1<<i) != 0:
			return false
		}
	}
	return newer || known == len(object)
}
