package jsonschema

import (
	"errors"
	"fmt"
	"math/big"
	neturl "net/url"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"nats-test/internal/events/contract"
	"nats-test/third_party/jsonschema"
	"nats-test/third_party/jsonschema/kind"
)

// schemaFaults returns the validator's faults in our own words, ordered by path.
// more is set if the validator stopped at its limit.
func schemaFaults(e *jsonschema.ValidationError, more bool) []contract.Fault {
	var faults []contract.Fault
	for _, f := range findings(e) {
		if fault := f.fault(); !slices.Contains(faults, fault) { // several schemas may report the same
			faults = append(faults, fault)
		}
	}
	return contract.Bounded(faults, more)
}

// A finding is a fault that can be merged with those of other alternatives.
type finding struct {
	path    string
	problem string

	is    string   // of a value that must be another
	must  []string // one of these; replaces problem
	count int      // number of values, if must is incomplete
	kind  bool     // must holds types, not values
}

func (f *finding) fault() contract.Fault {
	switch {
	case f.must == nil:
		return contract.Fault{Path: f.path, Problem: f.problem}
	case f.kind:
		return contract.Fault{Path: f.path, Problem: fmt.Sprintf("is %s, must be %s", f.is, strings.Join(f.must, " or "))}
	case len(f.must) == 1:
		return contract.Fault{Path: f.path, Problem: fmt.Sprintf("is %s, must be %s", f.is, f.must[0])}
	}
	must := f.must
	if n := max(len(must), f.count); n > contract.MostChoices {
		must = append(must[:contract.MostChoices:contract.MostChoices], fmt.Sprintf("… (%d in all)", n))
	}
	return contract.Fault{Path: f.path, Problem: fmt.Sprintf("is %s, must be one of %s", f.is, strings.Join(must, ", "))}
}

// findings returns the faults below a node of the validator's error tree.
func findings(e *jsonschema.ValidationError) []finding {
	path := contract.PointerOf(e.InstanceLocation)
	one := func(format string, args ...any) []finding {
		return []finding{{path: path, problem: fmt.Sprintf(format, args...)}}
	}
	fields := func(names []string, problem string) (list []finding) {
		for _, name := range names[:min(len(names), contract.MaxFaults+1)] {
			list = append(list, finding{path: path + contract.PointerOf([]string{name}), problem: problem})
		}
		return list
	}
	switch k := e.ErrorKind.(type) {
	case *kind.AnyOf:
		return nearestFindings(e, path)
	case *kind.OneOf:
		if len(k.Subschemas) < 2 {
			return nearestFindings(e, path)
		}
		return one("matches the alternatives %d and %d, must match only one", k.Subschemas[0]+1, k.Subschemas[1]+1)
	case *kind.PropertyNames:
		for _, cause := range e.Causes {
			for _, f := range findings(cause) {
				return []finding{{path: path + contract.PointerOf([]string{k.Property}), problem: "as the name of a field: " + f.fault().String()}}
			}
		}
		return fields([]string{k.Property}, "is not the name of a field here")
	case *kind.Contains:
		return one("has no item that matches the one required")
	case *kind.MinContains:
		return one("has %s, must have at least %d", counted(len(k.Got), "matching item"), k.Want)
	case *kind.Required:
		return fields(k.Missing, "missing")
	case *kind.DependentRequired:
		return fields(k.Missing, fmt.Sprintf("missing, required because %s is present", contract.Quote(k.Prop)))
	case *kind.Dependency:
		return fields(k.Missing, fmt.Sprintf("missing, required because %s is present", contract.Quote(k.Prop)))
	case *kind.AdditionalProperties:
		return fields(k.Properties, "unknown field")
	case *kind.Type:
		return []finding{{path: path, is: k.Got, must: k.Want, kind: true}}
	case *kind.Enum:
		return []finding{{path: path, is: contract.Display(k.Got), must: contract.DisplayAll(k.Want), count: len(k.Want)}}
	case *kind.Const:
		return []finding{{path: path, is: contract.Display(k.Got), must: []string{contract.Display(k.Want)}}}
	}
	if len(e.Causes) == 0 {
		return one("%s", sentence(e))
	}
	var list []finding
	for _, cause := range e.Causes {
		if len(list) <= contract.MaxFaults {
			list = append(list, findings(cause)...)
		}
	}
	return list
}

// sentence describes a leaf of the validator's error tree.
func sentence(e *jsonschema.ValidationError) string {
	const (
		long = "is %s long, must be at %s %d"
		many = "has %s, must have at %s %d"
	)
	switch k := e.ErrorKind.(type) {
	case *kind.FalseSchema:
		if isUnknownField(e) {
			return "unknown field"
		}
		return "must not be there"
	case *kind.Format:
		text, _ := k.Got.(string)
		if k.Want == "date-time" {
			return fmt.Sprintf("%s is not a date-time, such as 2030-01-02T03:04:05Z", contract.Quote(text))
		}
		if syntax, ok := errors.AsType[*syntax.Error](k.Err); ok {
			return fmt.Sprintf("%s is not a regular expression in RE2 syntax: %s", contract.Quote(text), syntax.Code)
		}
		return fmt.Sprintf("%s is not a valid %s", contract.Quote(text), k.Want)
	case *kind.Pattern:
		return fmt.Sprintf("%s does not match the pattern %s", contract.Quote(k.Got), contract.Quote(k.Want))
	case *kind.MinLength:
		return fmt.Sprintf(long, counted(k.Got, "character"), "least", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf(long, counted(k.Got, "character"), "most", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf(many, counted(k.Got, "item"), "least", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf(many, counted(k.Got, "item"), "most", k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf(many, counted(k.Got, "field"), "least", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf(many, counted(k.Got, "field"), "most", k.Want)
	case *kind.AdditionalItems:
		return fmt.Sprintf("has %s too many", counted(k.Count, "item"))
	case *kind.MaxContains:
		return fmt.Sprintf("has %s, must have at most %d", counted(len(k.Got), "matching item"), k.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("its items %d and %d are the same", k.Duplicates[0], k.Duplicates[1])
	case *kind.Minimum:
		return fmt.Sprintf("is %s, must be at least %s", number(k.Got), number(k.Want))
	case *kind.Maximum:
		return fmt.Sprintf("is %s, must be at most %s", number(k.Got), number(k.Want))
	case *kind.ExclusiveMinimum:
		return fmt.Sprintf("is %s, must be more than %s", number(k.Got), number(k.Want))
	case *kind.ExclusiveMaximum:
		return fmt.Sprintf("is %s, must be less than %s", number(k.Got), number(k.Want))
	case *kind.MultipleOf:
		return fmt.Sprintf("is %s, must be a multiple of %s", number(k.Got), number(k.Want))
	case *kind.Not:
		return `matches what the contract excludes with "not"`
	case *kind.RefCycle:
		return "can't be checked: the contract refers to itself without end"
	case *kind.AllOf, *kind.AnyOf, *kind.OneOf:
		return "matches nothing that the contract allows"
	}
	return "breaks the contract"
}

// nearestFindings returns the faults of the alternative probably meant: one of the
// right type, one whose distinguishing fields match, one with few faults.
func nearestFindings(e *jsonschema.ValidationError, path string) []finding {
	var best [][]finding
	bestDistance := 0
	for _, cause := range e.Causes {
		list := findings(cause)
		distance := len(list)
		for _, f := range list {
			switch {
			case f.kind && f.path == path:
				distance += 1_000_000
			case f.must != nil && !f.kind:
				distance += 1_000
			}
		}
		if best == nil || distance < bestDistance {
			best, bestDistance = nil, distance
		}
		if distance == bestDistance {
			best = append(best, list)
		}
	}
	if len(best) == 1 {
		return best[0]
	}
	joined := finding{}
	for i, list := range best {
		f := list[0]
		if i > 0 && (f.path != joined.path || f.kind != joined.kind) || len(list) > 1 || f.must == nil {
			return []finding{{path: path, problem: fmt.Sprintf("matches none of the %d alternatives", len(e.Causes))}}
		}
		f.count = max(f.count, len(f.must)) + max(joined.count, len(joined.must))
		if f.count <= contract.MostChoices {
			f.count = 0
		}
		f.must = append(joined.must, slices.DeleteFunc(slices.Clone(f.must), func(m string) bool { return slices.Contains(joined.must, m) })...)
		joined = f
	}
	return []finding{joined}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// number formats a number of the validator as written in JSON.
func number(r *big.Rat) string {
	digits, _ := r.FloatPrec()
	return contract.Shorten(r.FloatString(digits))
}

// isUnknownField reports whether the false schema in e is the value of an
// "unevaluatedProperties" keyword, not of a property with that name.
func isUnknownField(e *jsonschema.ValidationError) bool {
	path := keywords(e.SchemaURL)
	return len(path) > 0 && path[len(path)-1] == "unevaluatedProperties"
}

// keywords returns the keywords on the way to a schema, with "" for the names of
// properties and of other schemas.
func keywords(location string) []string {
	pointer, err := neturl.PathUnescape(fragmentOf(location))
	if err != nil || pointer == "" {
		return nil
	}
	path := strings.Split(pointer, "/")[1:]
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case "properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions":
			if i++; i < len(path) {
				path[i] = ""
			}
		}
	}
	return path
}
