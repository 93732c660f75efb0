package console

import (
	"errors"
	"fmt"
	"strings"

	"al.essio.dev/pkg/shellescape"
	"github.com/spf13/cobra"

	"nats-test/internal/events"
)

// An explainedError is an error with a hint.
type explainedError struct {
	error
	kind error // one of the errors in ends, or nil
	hint string
}

func (e *explainedError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.error}
	}
	return []error{e.error, e.kind}
}

// Explained returns err with a kind, one of the errors in ends or nil, and a hint.
func Explained(err, kind error, hint string) error { return &explainedError{err, kind, hint} }

// HasHint reports whether err has a hint of its own.
func HasHint(err error) bool {
	_, has := errors.AsType[*explainedError](err)
	return has
}

// Usage returns a usage error of cmd.
func Usage(cmd *cobra.Command, format string, args ...any) error {
	return Explained(fmt.Errorf(format, args...), ErrUsage, fmt.Sprintf("see %s --help", cmd.CommandPath()))
}

// Broken returns an error for an event that breaks its contract.
func Broken(format string, args ...any) error {
	return Explained(fmt.Errorf(format, args...), ErrContract, "")
}

// Hinted adds a hint to err.
func Hinted(err error, format string, args ...any) error {
	return Explained(err, nil, fmt.Sprintf(format, args...))
}

// A diagnosedError is an error with the findings of a diagnosis, in one line.
type diagnosedError struct {
	error
	line string
}

func (d *diagnosedError) Unwrap() error { return d.error }

// Diagnosed adds the findings of a diagnosis, in one line, to err.
func Diagnosed(err error, line string) error { return &diagnosedError{err, line} }

// HintFor returns the hint for err, which says what to type next, or "".
func HintFor(err error) string {
	if e, ok := errors.AsType[*explainedError](err); ok && e.hint != "" {
		return e.hint
	}
	if e, ok := errors.AsType[*events.UnknownError](err); ok {
		hint := "`publish events` lists them; --raw allows any subject"
		if e.Nearest != "" {
			hint = fmt.Sprintf("did you mean %s? ", e.Nearest) + hint
		}
		return hint
	}
	if e, ok := errors.AsType[*events.InvalidError](err); ok {
		return fmt.Sprintf("`publish events %s` shows the contract and an example", shellescape.Quote(e.Subject))
	}
	for _, e := range ends {
		if errors.Is(err, e.err) {
			return e.hint
		}
	}
	if isCatalogueError(err) {
		return "`publish events check PATH` lists every fault of a catalogue (--catalog, EVENTS_CATALOG); " +
			"`publish events export DIR --as proto` writes one to start from"
	}
	return ""
}

// isCatalogueError reports whether err is about a catalogue or one of its files.
func isCatalogueError(err error) bool {
	_, load := errors.AsType[*events.LoadError](err)
	_, source := errors.AsType[*events.SourceError](err)
	return load || source
}

// faultLines returns the lines of an error: a heading and one line per fault, if it
// lists several.
func faultLines(err error) []string {
	text, head, faults := err.Error(), "", []string(nil)
	if load, ok := errors.AsType[*events.LoadError](err); ok {
		head, _, _ = strings.Cut(text, load.Error())
		head += fmt.Sprintf("the catalogue %s:", load.Path)
		for _, f := range load.Faults {
			faults = append(faults, "  "+f.Error())
		}
	} else if invalid, ok := errors.AsType[*events.InvalidError](err); ok {
		head, _, _ = strings.Cut(text, invalid.Error())
		head += fmt.Sprintf("the data is not a valid %q event:", invalid.Subject)
		for _, f := range invalid.Faults {
			faults = append(faults, "  "+f.String())
		}
	}
	if len(faults) < 2 {
		return []string{text}
	}
	return append([]string{head}, faults...)
}
