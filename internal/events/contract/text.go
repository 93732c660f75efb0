package contract

import (
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
