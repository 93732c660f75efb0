package jsonschema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"nats-test/internal/events/contract"
)

// display returns a value as an error shows it.
func display(value any) string {
	switch v := value.(type) {
	case string:
		return contract.Quote(v)
	case json.Number:
		return contract.Shorten(string(v))
	}
	return contract.Shorten(string(appendShort(nil, value)))
}

// appendShort appends a decoded value as JSON, but no more of it than is shown.
func appendShort(text []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return append(text, jsonText(contract.CutOff(v))...)
	case []any:
		text = append(text, '[')
		for i, item := range v {
			if len(text) > contract.LongestShown {
				return text
			}
			if i > 0 {
				text = append(text, ',')
			}
			text = appendShort(text, item)
		}
		return append(text, ']')
	case map[string]any:
		if len(v) > contract.MostChoices { // only in order would it be the same each time
			return append(text, fmt.Sprintf("{… %d fields}", len(v))...)
		}
		text = append(text, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if len(text) > contract.LongestShown {
				return text
			}
			if i > 0 {
				text = append(text, ',')
			}
			text = appendShort(append(append(text, jsonText(contract.CutOff(name))...), ':'), v[name])
		}
		return append(text, '}')
	}
	return append(text, jsonText(value)...)
}

func displayed(values []any) []string {
	all := make([]string, min(len(values), contract.MostChoices+1))
	for i := range all {
		all[i] = display(values[i])
	}
	return all
}

// jsonText returns a decoded value as JSON.
func jsonText(value any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSpace(b.String())
}
