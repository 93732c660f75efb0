package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Quote quotes text for an error, and shortens it.
func Quote(text string) string { return strconv.Quote(Shorten(text)) }

// LongestShown is how many bytes of a text an error shows.
const LongestShown = 80

// Shorten cuts text off that is too long for an error.
func Shorten(text string) string {
	if len(text) <= LongestShown {
		return text
	}
	return CutOff(text) + "…"
}

// CutOff returns the beginning of a text that is too long for an error.
func CutOff(text string) string {
	if len(text) <= LongestShown {
		return text
	}
	return strings.ToValidUTF8(text[:LongestShown], "")
}

func quoted(texts []string) []string {
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = Quote(t)
	}
	return all
}

// MostChoices is how many values a fault lists.
const MostChoices = 20

// QuotedList quotes names for an error: not more than a reader looks through.
func QuotedList(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(quoted(names[:most]), ", ") + ", …"
	}
	return strings.Join(quoted(names), ", ")
}

// Nearest returns the candidate that word is most likely a slip for, or "".
func Nearest(word string, candidates []string) string {
	const longest = 200 // the distance is quadratic, and no slip is that long
	if len(word) > longest {
		return ""
	}
	best, bestDistance := "", 1+max(2, len(word)/3)
	for _, c := range candidates {
		d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(c))
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// Display returns a value as an error shows it.
func Display(value any) string {
	switch v := value.(type) {
	case string:
		return Quote(v)
	case json.Number:
		return Shorten(string(v))
	}
	return Shorten(string(appendShort(nil, value)))
}

// appendShort appends a decoded value as JSON, but no more of it than is shown.
func appendShort(text []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return append(text, JSONText(CutOff(v))...)
	case []any:
		text = append(text, '[')
		for i, item := range v {
			if len(text) > LongestShown {
				return text
			}
			if i > 0 {
				text = append(text, ',')
			}
			text = appendShort(text, item)
		}
		return append(text, ']')
	case map[string]any:
		if len(v) > MostChoices { // only in order would it be the same each time
			return append(text, fmt.Sprintf("{… %d fields}", len(v))...)
		}
		text = append(text, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if len(text) > LongestShown {
				return text
			}
			if i > 0 {
				text = append(text, ',')
			}
			text = appendShort(append(append(text, JSONText(CutOff(name))...), ':'), v[name])
		}
		return append(text, '}')
	}
	return append(text, JSONText(value)...)
}

// DisplayAll returns values as errors show them, one more than [MostChoices] at most.
func DisplayAll(values []any) []string {
	all := make([]string, min(len(values), MostChoices+1))
	for i := range all {
		all[i] = Display(values[i])
	}
	return all
}

// JSONText returns a decoded value as JSON.
func JSONText(value any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSpace(b.String())
}
