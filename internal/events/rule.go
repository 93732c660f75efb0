package events

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
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

// ruleOf returns the rule of a schema that was made from a type.
func ruleOf(s *jsonschema.Schema) (*rule, error) {
	r := &rule{kind: ruleKind(s.Type)}
	switch {
	case s.Type == "object" && len(s.Properties) <= 64:
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			below, err := ruleOf(s.Properties[name])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if slices.Contains(s.Required, name) {
				r.required |= 1 << len(r.fields)
			}
			r.fields = append(r.fields, ruleField{name, below})
		}
	case s.Type == "string" && s.Enum != nil:
		r.kind = ruleEnum
		for _, v := range s.Enum {
			r.values = append(r.values, fmt.Sprint(v))
		}
	case s.Type == "string" && s.Format == "date-time":
		r.kind = ruleTime
	case s.Type == "string" && s.Format == "", s.Type == "number", s.Type == "integer":
	default:
		return nil, fmt.Errorf("no rule for a schema of type %q, format %q", s.Type, s.Format)
	}
	return r, nil
}

// faults appends to list all that is wrong with value, a decoded one, at
// place. With newer, objects may have further fields.
func (r *rule) faults(value any, at *place, newer bool, list []Fault) []Fault {
	fault := func(format string, args ...any) []Fault {
		return append(list, Fault{at.pointer(), fmt.Sprintf(format, args...)})
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
		var t time.Time
		if t.UnmarshalText([]byte(strings.ToUpper(value.(string)))) != nil {
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
			list = append(list, Fault{below.pointer(), "missing"})
		}
	}
	if newer {
		return list
	}
	for name := range object {
		if !slices.ContainsFunc(r.fields, func(f ruleField) bool { return f.name == name }) {
			list = append(list, Fault{(&place{at, name}).pointer(), "unknown field"})
		}
	}
	return list
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
	return p.object.pointer() + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(p.field)
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
