package jsonschema

import (
	"errors"
	"fmt"
	"maps"
	neturl "net/url"
	"slices"
	"strings"

	"nats-test/internal/events/contract"
	"nats-test/third_party/jsonschema"
)

// explain turns the compiler's error about a contract into a [*SourceError].
func (s *schemaFiles) explain(err error, r contract.Reference) error {
	if source, ok := errors.AsType[*contract.SourceError](err); ok {
		return source
	}
	at := func(location, format string, args ...any) error {
		problem := &contract.SourceError{File: r.File, Problem: fmt.Sprintf(format, args...)}
		if f, pointer := s.place(location); f != nil {
			problem.File, problem.Line = f.name, f.lineOf(pointer)
		}
		return problem
	}
	if e, ok := errors.AsType[*jsonschema.LoadURLError](err); ok {
		if source, ok := errors.AsType[*contract.SourceError](e.Err); ok {
			return source
		}
		return s.blameReference(e.URL, e.Err.Error(), r)
	}
	if e, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		invalid, ok := errors.AsType[*jsonschema.ValidationError](e.Err)
		if !ok {
			return at(e.URL, "%v", e.Err)
		}
		first := schemaFaults(invalid, false)[0]
		f, pointer := s.place(e.URL)
		if f == nil {
			return at(e.URL, "is not a JSON Schema: %v", first)
		}
		first.Path = pointer + first.Path
		place := first.Path
		for f.lineOf(place) == 0 && place != "" { // a missing part has no line
			place = place[:strings.LastIndex(place, "/")]
		}
		return at(strings.TrimSuffix(e.URL, "#"+fragmentOf(e.URL))+"#"+escapeFragment(place), "is not a JSON Schema: %v", first)
	}
	if e, ok := errors.AsType[*jsonschema.DuplicateIDError](err); ok {
		return at(e.URL+"#"+escapeFragment(max(e.Ptr1, e.Ptr2)), "two parts have the $id %q: %q and %q", e.ID, min(e.Ptr1, e.Ptr2), max(e.Ptr1, e.Ptr2))
	}
	if e, ok := errors.AsType[*jsonschema.DuplicateAnchorError](err); ok {
		return at(e.URL+"#"+escapeFragment(max(e.Ptr1, e.Ptr2)), "two parts have the anchor %q: %q and %q", e.Anchor, min(e.Ptr1, e.Ptr2), max(e.Ptr1, e.Ptr2))
	}
	if e, ok := errors.AsType[*jsonschema.JSONPointerNotFoundError](err); ok {
		return s.blameReference(e.URL, "there is no such part", r)
	}
	if e, ok := errors.AsType[*jsonschema.InvalidJsonPointerError](err); ok {
		return s.blameReference(e.URL, "that is not a JSON pointer", r)
	}
	if e, ok := errors.AsType[*jsonschema.AnchorNotFoundError](err); ok {
		return s.blameReference(e.Reference, "there is no such anchor", r)
	}
	if e, ok := errors.AsType[*jsonschema.ParseURLError](err); ok {
		return s.blameReference(e.URL, "that is no URL", r)
	}
	if e, ok := errors.AsType[*jsonschema.ParseIDError](err); ok {
		return at(e.URL, "its $id is no URL")
	}
	if e, ok := errors.AsType[*endlessError](err); ok {
		return at(e.location, "refers to itself without end")
	}
	return at("", "%s", strings.ReplaceAll(err.Error(), folderURL, ""))
}

// blameReference reports a problem with the reference to url, at its position.
func (s *schemaFiles) blameReference(url, problem string, r contract.Reference) error {
	for _, name := range slices.Sorted(maps.Keys(s.opened)) {
		f := s.opened[name]
		for ref := range f.references() {
			whole := ref.url + "#" + ref.fragment
			if url == ref.url || sameURL(url, whole) || url == ref.value {
				return &contract.SourceError{File: name, Line: f.lineOf(ref.pointer),
					Problem: fmt.Sprintf("%q is %s: %s", ref.keyword, contract.Quote(ref.value), problem)}
			}
		}
	}
	if r.Name != "" {
		problem = fmt.Sprintf("%q: %s", "#"+r.Name, problem)
	}
	return &contract.SourceError{File: r.File, Problem: strings.ReplaceAll(problem, folderURL, "")}
}

func sameURL(a, b string) bool {
	decoded := func(url string) string {
		plain, err := neturl.PathUnescape(url)
		if err != nil {
			return url
		}
		return plain
	}
	return decoded(a) == decoded(b)
}

func fragmentOf(url string) string {
	_, fragment, _ := strings.Cut(url, "#")
	return fragment
}

// escapeFragment escapes a JSON pointer or an anchor for a URL's fragment.
func escapeFragment(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = neturl.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// A schemaReference is a keyword that names another schema.
type schemaReference struct {
	pointer       string // of the keyword
	keyword       string
	value         string
	url, fragment string
}

// references yields the references in the file, in no order.
func (f *schemaFile) references() func(yield func(schemaReference) bool) {
	return func(yield func(schemaReference) bool) {
		var walk func(value any, at *contract.Place, base string) bool
		walk = func(value any, at *contract.Place, base string) bool {
			switch v := value.(type) {
			case []any:
				for i, item := range v {
					if !walk(item, at.Below(fmt.Sprint(i)), base) {
						return false
					}
				}
			case map[string]any:
				if id, ok := v["$id"].(string); ok {
					base = resolve(base, id)
				}
				for _, name := range slices.Sorted(maps.Keys(v)) {
					below := at.Below(name)
					text, ok := v[name].(string)
					switch name {
					case "$ref", "$dynamicRef", "$recursiveRef", "$schema":
						if ok && !yield(schemaReference{below.Pointer(), name, text, resolve(base, text), fragmentOf(text)}) {
							return false
						}
					}
					if !walk(v[name], below, base) {
						return false
					}
				}
			}
			return true
		}
		walk(f.doc, nil, f.url())
	}
}

// standard reports whether the file uses only the drafts' own keywords.
func (f *schemaFile) standard() bool {
	for r := range f.references() {
		_, path, _ := strings.Cut(r.value, "://")
		if r.keyword == "$schema" && !strings.HasPrefix(path, "json-schema.org/") {
			return false
		}
	}
	return true
}
