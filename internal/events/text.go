package events

import (
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
)

// quote quotes text for an error, and shortens it.
func quote(text string) string { return strconv.Quote(shorten(text)) }

// longestShown is how many bytes of a text an error shows.
const longestShown = 80

// shorten cuts text off that is too long for an error.
func shorten(text string) string {
	if len(text) <= longestShown {
		return text
	}
	return cutOff(text) + "…"
}

func cutOff(text string) string {
	if len(text) <= longestShown {
		return text
	}
	return strings.ToValidUTF8(text[:longestShown], "")
}

func quoted(texts []string) []string {
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = quote(t)
	}
	return all
}

// mostChoices is how many values a fault lists.
const mostChoices = 20

// quotedList quotes names for an error: not more than a reader looks through.
func quotedList(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(quoted(names[:most]), ", ") + ", …"
	}
	return strings.Join(quoted(names), ", ")
}

// nearest returns the candidate that word is most likely a slip for, or "".
func nearest(word string, candidates []string) string {
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
