package events

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A rule is what a schema asks of a value. It knows as much of JSON Schema as
// the types of the built-in catalogue need; a test holds its verdict against
// that of a full validator on the same schema. (Those that list every fault
// spend 3 to 5 ms at every start of the program on their own metaschemas.)
type rule struct {
	kind     ruleKind
	fields   []ruleField // of an object, by name; at most 64
	required uint64      // bits of the fields that must be there
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

// ruleFrom returns the rule of a decoded JSON Schema, and whether there is one
// that asks for exactly the same. Where a schema allows unknown fields the rule
// refuses them: it then only says which data is certainly valid.
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
		return r, enum == nil // a format says nothing of numbers
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

// plain reports whether a decoded JSON Schema has nothing in it but keywords that
// a rule knows and notes for people, all of them legal: it certainly compiles.
func plain(doc any, root bool) bool {
	schema, ok := doc.(map[string]any)
	for keyword, value := range schema {
		switch keyword {
		case "title", "description", "$comment", "type", "format":
			_, ok = value.(string)
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

// texts returns the strings of a decoded JSON array that holds nothing else.
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

// faults appends to list what is wrong with value, a decoded one, at place: at
// least as many faults as are told, if there are as many. With newer, objects
// may have further fields.
func (r *rule) faults(value any, at *place, newer bool, list []Fault) []Fault {
	fault := func(format string, args ...any) []Fault {
		return append(list, Fault{at.shortPointer(), fmt.Sprintf(format, args...)})
	}
	want := r.kind
	if r.kind == ruleEnum || r.kind == ruleTime {
		want = ruleString
	}
	if got := kindOf(value); got != want && (got != ruleInteger || want != ruleNumber) {
		if got == ruleInteger {
			got = ruleNumber
		}
		return fault("is %s, must be %s", got, want)
	}
	switch r.kind {
	case ruleObject:
		return r.fieldFaults(value.(map[string]any), at, newer, list)
	case ruleEnum:
		if !slices.Contains(r.values, value.(string)) {
			return fault("is %s, must be one of %s", quote(value.(string)), strings.Join(quoted(r.values), ", "))
		}
	case ruleTime:
		if _, ok := parseTime(value.(string)); !ok {
			return fault("%s is no date-time, such as 2030-01-02T03:04:05Z", quote(value.(string)))
		}
	}
	return list
}

func (r *rule) fieldFaults(object map[string]any, at *place, newer bool, list []Fault) []Fault {
	for i, f := range r.fields {
		below := &place{at, f.name}
		if value, ok := object[f.name]; ok {
			list = f.rule.faults(value, below, newer, list)
		} else if r.required&(1<<i) != 0 {
			list = append(list, Fault{below.shortPointer(), "missing"})
		}
	}
	if newer {
		return list
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if len(list) <= maxFaults && r.unknown(name) {
			list = append(list, Fault{(&place{at, name}).shortPointer(), "unknown field"})
		}
	}
	return list
}

func (r *rule) unknown(name string) bool {
	return !slices.ContainsFunc(r.fields, func(f ruleField) bool { return f.name == name })
}

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

func kindOf(value any) ruleKind {
	switch v := value.(type) {
	case map[string]any:
		return ruleObject
	case string:
		return ruleString
	case json.Number:
		if isInteger(string(v)) {
			return ruleInteger
		}
		return ruleNumber
	case []any:
		return "array"
	case bool:
		return "boolean"
	}
	return "null"
}

// parseTime parses a date-time. Go takes what RFC 3339 does not: T3:04:05Z, a
// comma in seconds, and zones that are 24 hours away (https://go.dev/issue/54580).
func parseTime(text string) (at time.Time, ok bool) {
	const hour = len("2006-01-02T15")
	text = strings.ToUpper(text)
	if len(text) <= hour || text[hour] != ':' || strings.Contains(text, ",") {
		return at, false
	}
	if zone := text[len(text)-len("07:00"):]; !strings.HasSuffix(text, "Z") && (zone > "23:59" || zone[3] > '5') {
		return at, false
	}
	err := at.UnmarshalText([]byte(text))
	return at, err == nil
}

// isInteger reports whether a JSON number has no fraction: 1, 1.0 and 10e-1
// have none. It looks at the digits alone, since 1e999999999 is a number, too.
func isInteger(number string) bool {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(mantissa, "-"), ".")
	fraction = strings.TrimRight(fraction, "0")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" || exponent == "" {
		return fraction == ""
	}
	shift, err := strconv.Atoi(exponent)
	if err != nil { // out of an int's range
		return !strings.HasPrefix(exponent, "-")
	}
	zeros := len(digits) - len(strings.TrimRight(digits, "0"))
	return shift >= len(fraction)-zeros
}
