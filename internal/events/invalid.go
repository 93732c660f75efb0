package events

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Fault is one way in which data breaks its contract.
type Fault struct {
	Path    string // JSON pointer to the place; "" is the data as a whole
	Problem string
}

// maxFaults bounds what is told of one event.
const maxFaults = 100

// bounded returns faults ordered by path, and those alone that are told. With
// more, there may be others.
func bounded(faults []Fault, more bool) []Fault {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Problem, b.Problem))
	})
	if len(faults) > maxFaults {
		faults, more = faults[:maxFaults], true
	}
	if more && len(faults) > 0 {
		faults = append(faults, Fault{faults[len(faults)-1].Path, "and there are more faults"})
	}
	return faults
}

func (f Fault) String() string {
	if f.Path == "" {
		return f.Problem
	}
	return f.Path + ": " + f.Problem
}

// An InvalidError lists every fault of one event's data, ordered by path.
type InvalidError struct {
	Subject string
	Faults  []Fault
}

func (e *InvalidError) Error() string {
	problems := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		problems[i] = f.String()
	}
	return fmt.Sprintf("the data is no %q event: %s", e.Subject, strings.Join(problems, "; "))
}

// decode returns the one JSON value in data, its numbers as [json.Number].
func decode(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not JSON: " + cmp.Or(NotPlain(data, -1), "the bytes are not UTF-8"))
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, syntaxProblem(data, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not JSON: something follows the value")
	}
	return value, nil
}

func syntaxProblem(data []byte, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("not JSON: it is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("not JSON: it ends in the middle of a value")
	case errors.As(err, &syntax):
		if odd := NotPlain(data, int(syntax.Offset)-1); odd != "" {
			return fmt.Errorf("not JSON: %s (at byte %d)", odd, syntax.Offset)
		}
		return fmt.Errorf("not JSON: %w (at byte %d)", err, syntax.Offset)
	}
	return fmt.Errorf("not JSON: %w", err)
}

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
