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

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// A Fault is one way in which data breaks its contract.
type Fault struct {
	Path    string // JSON pointer to the place; "" is the data as a whole
	Problem string
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

func (c *Contract) validate(data []byte, compiled func() (*jsonschema.Schema, error)) ([]byte, error) {
	valid, isCompact := c.shape().recognise(data)
	if !valid {
		schema, err := compiled()
		if err != nil {
			return nil, err
		}
		value, err := decode(data)
		if err != nil {
			return nil, &InvalidError{c.Subject, []Fault{{Problem: err.Error()}}}
		}
		if err := schema.Validate(value); err != nil {
			return nil, c.invalid(err)
		}
	}
	if isCompact && valid {
		return data, nil
	}
	var compacted bytes.Buffer
	compacted.Grow(len(data))
	err := json.Compact(&compacted, data)
	return compacted.Bytes(), err
}

func (c *Contract) invalid(err error) error {
	tree, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return err
	}
	faults := faultsOf(tree, nil)
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.Path, b.Path) })
	return &InvalidError{c.Subject, faults}
}

// decode returns the one JSON value in data, its numbers as [json.Number].
func decode(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not JSON: the bytes are not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, syntaxProblem(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not JSON: something follows the value")
	}
	return value, nil
}

func syntaxProblem(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("not JSON: it is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("not JSON: it ends in the middle of a value")
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON: %w (at byte %d)", err, syntax.Offset)
	}
	return fmt.Errorf("not JSON: %w", err)
}

// faultsOf appends the leaves of the validator's tree of errors to faults.
func faultsOf(e *jsonschema.ValidationError, faults []Fault) []Fault {
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			faults = faultsOf(cause, faults)
		}
		return faults
	}
	at := func(field ...string) string { return pointer(append(slices.Clone(e.InstanceLocation), field...)) }
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			faults = append(faults, Fault{at(name), "missing"})
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			faults = append(faults, Fault{at(name), "unknown field"})
		}
	case *kind.Type:
		faults = append(faults, Fault{at(), fmt.Sprintf("is %s, must be %s", k.Got, strings.Join(k.Want, " or "))})
	case *kind.Enum:
		faults = append(faults, Fault{at(), fmt.Sprintf("is %s, must be one of %s", quote(k.Got), quoteAll(k.Want))})
	case *kind.Format:
		faults = append(faults, Fault{at(), fmt.Sprintf("%s is no %s, such as 2030-01-02T03:04:05Z", quote(k.Got), k.Want)})
	default:
		faults = append(faults, Fault{at(), k.LocalizedString(message.NewPrinter(language.English))})
	}
	return faults
}

func pointer(tokens []string) string {
	var b strings.Builder
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, t := range tokens {
		b.WriteByte('/')
		b.WriteString(escape.Replace(t))
	}
	return b.String()
}

func quote(v any) string {
	const longest = 80
	text := fmt.Sprint(v)
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return strconv.Quote(text)
}

func quoteAll(values []any) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	return strings.Join(quoted, ", ")
}
