package events

import (
	neturl "net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// isNewer reports whether value, which the schema refuses with e, is valid but
// for fields that the schema does not know. It changes value.
func isNewer(s *jsonschema.Schema, value any, e *jsonschema.ValidationError) bool {
	if tolerable(e, false) {
		return true
	}
	// What fails for such a field counts as not evaluated, so that the
	// "unevaluated…" around it may fail for that reason alone.
	if !tolerable(e, true) || !strip(value, e) {
		return false
	}
	invalid, ok := s.Validate(value).(*jsonschema.ValidationError) //nolint:errorlint // the library's own
	return !ok || tolerable(invalid, false)
}

// tolerable reports whether data fails for nothing but unknown fields. With
// undecided, what "unevaluated…" keywords say is left open.
func tolerable(e *jsonschema.ValidationError, undecided bool) bool {
	tolerates := func(c *jsonschema.ValidationError) bool { return tolerable(c, undecided) }
	if undecided && slices.ContainsFunc(keywords(e.SchemaURL), func(k string) bool { return strings.HasPrefix(k, "unevaluated") }) {
		return true
	}
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		return true
	case *kind.FalseSchema:
		return isUnknownField(e)
	case *kind.AnyOf:
		return slices.ContainsFunc(e.Causes, tolerates)
	case *kind.OneOf:
		return len(k.Subschemas) == 0 && slices.ContainsFunc(e.Causes, tolerates)
	case *kind.Reference:
		// A reference to "unevaluatedProperties" is no use of it.
		for _, cause := range e.Causes {
			if _, ok := cause.ErrorKind.(*kind.FalseSchema); ok && cause.SchemaURL == k.URL {
				return false
			}
		}
	case *kind.Schema, *kind.Group, *kind.AllOf:
	default:
		return false
	}
	return len(e.Causes) > 0 && !slices.ContainsFunc(e.Causes, func(c *jsonschema.ValidationError) bool { return !tolerates(c) })
}

// strip removes the unknown fields of closed objects, and reports whether
// there were any.
func strip(value any, e *jsonschema.ValidationError) (changed bool) {
	if k, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
		object, _ := valueAt(value, e.InstanceLocation).(map[string]any)
		for _, name := range k.Properties {
			delete(object, name)
		}
		return true
	}
	for _, cause := range e.Causes {
		if tolerable(cause, true) && strip(value, cause) {
			changed = true
		}
	}
	return changed
}

func valueAt(value any, location []string) any {
	for _, token := range location {
		switch v := value.(type) {
		case map[string]any:
			value = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		}
	}
	return value
}

// isUnknownField reports whether the schema that refused everything was that
// of an "unevaluatedProperties", and no property of that name.
func isUnknownField(e *jsonschema.ValidationError) bool {
	path := keywords(e.SchemaURL)
	return len(path) > 0 && path[len(path)-1] == "unevaluatedProperties"
}

// keywords returns the keywords that lead to a schema, with "" for the names
// of properties and of other schemas.
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
