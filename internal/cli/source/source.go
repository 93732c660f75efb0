// Package source yields the events to publish: from a flag, a file, a prompt, a
// stream of JSON values or lines, or a template.
//
// The package's rule: it reads at most 4 MiB for one event.
package source

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"nats-test/internal/cli/console"
	"nats-test/internal/cli/stdio"
	"nats-test/internal/events"
)

// A Source gives the data of one event after the other, then [io.EOF]. The
// data is valid until the next call. line is where it stands in the input, from
// 1 on; 0 where there is just one event.
type Source interface {
	Next() (data []byte, line int, err error)
}

// maxEvent is the largest event that is read, in bytes, white space included.
const maxEvent = 4 << 20

var errLongEvent = console.Broken("one event has more than %d MiB", maxEvent>>20)

// ReadFile reads a file of at most maxEvent bytes.
func ReadFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, unreadable(err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxEvent+1))
	switch {
	case err != nil:
		return nil, unreadable(err)
	case len(data) > maxEvent:
		return nil, errLongEvent
	}
	return data, nil
}

func unreadable(err error) error {
	return console.Explained(fmt.Errorf("reading the data: %w", err), console.ErrUsage, "--data @FILE needs a file that can be read")
}

// unreadStdin returns the error for a stdin that can't be read.
func unreadStdin(err error) error {
	return console.Hinted(fmt.Errorf("reading stdin: %w", stdio.Reason(err)), "`< FILE` or a pipe gives a program its stdin")
}

// Repeated is one event, again and again.
type Repeated struct {
	Load func() ([]byte, error) // called once
	data []byte
	Left int
}

func (r *Repeated) Next() ([]byte, int, error) {
	if r.Left == 0 {
		return nil, 0, io.EOF
	}
	r.Left--
	var err error
	if r.Load != nil {
		r.data, err = r.Load()
		r.Load = nil
	}
	return r.data, 0, err
}

// prompt is one event at once, and again at each "rs" or empty line.
type prompt struct {
	Repeated
	lines *bufio.Scanner
	begun bool
	say   func(format string, args ...any)
}

// NewPrompt returns one event at once, and again at each "rs" or empty line of in.
func NewPrompt(load func() ([]byte, error), in io.Reader, say func(format string, args ...any)) Source {
	return &prompt{Repeated: Repeated{Load: load, Left: -1}, lines: bufio.NewScanner(in), say: say}
}

func (p *prompt) Next() ([]byte, int, error) {
	if !p.begun {
		p.begun = true
		return p.Repeated.Next()
	}
	for p.lines.Scan() {
		word := strings.TrimSpace(p.lines.Text())
		if word == "" || word == "rs" {
			return p.Repeated.Next()
		}
		p.say("%s is ignored: rs or Enter publishes again, Ctrl-D ends", console.Clipped(strconv.Quote(word)))
	}
	if err := p.lines.Err(); err != nil {
		return nil, 0, unreadStdin(err)
	}
	return nil, 0, io.EOF
}

// lines has an event on every line that is not empty.
type lines struct {
	in *bufio.Scanner
	n  int
}

// NewLines returns an event for every line that is not empty.
func NewLines(in io.Reader) Source {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 64<<10), maxEvent)
	return &lines{in: s}
}

func (l *lines) Next() ([]byte, int, error) {
	for l.in.Scan() {
		l.n++
		if len(l.in.Bytes()) > 0 {
			return l.in.Bytes(), l.n, nil
		}
	}
	switch err := l.in.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, l.n + 1, errLongEvent
	case err != nil:
		return nil, 0, unreadStdin(err)
	}
	return nil, 0, io.EOF
}

// values is a stream of JSON values, however they are spread over lines.
type values struct {
	in  *lineReader
	dec *jsontext.Decoder
}

// NewValues returns an event for each JSON value, however they are spread over
// lines. Duplicate names and bytes that are not UTF-8 are left to the contract.
func NewValues(in io.Reader) Source {
	counted := &lineReader{in: in}
	return &values{in: counted, dec: jsontext.NewDecoder(counted, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))}
}

func (v *values) Next() ([]byte, int, error) {
	raw, err := v.dec.ReadValue()
	var syntax *jsontext.SyntacticError
	switch {
	case err == nil:
		end := v.dec.InputOffset()
		v.in.consumed = end
		return raw, v.in.at(end - int64(len(raw))), nil
	case errors.Is(err, io.EOF):
		return nil, 0, io.EOF
	case errors.Is(err, errLongEvent):
		return nil, v.in.at(v.in.consumed + 1), errLongEvent
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, v.in.at(v.in.read - 1), console.Broken("not JSON: the input ends in the middle of a value")
	case errors.As(err, &syntax):
		at, err := v.problem(syntax)
		return nil, v.in.at(at), err
	}
	return nil, 0, unreadStdin(err)
}

// problem returns where the input is not JSON, and why.
func (v *values) problem(syntax *jsontext.SyntacticError) (at int64, err error) {
	unread := v.dec.UnreadBuffer()
	var known *json.SyntaxError
	if !errors.As(json.NewDecoder(bytes.NewReader(unread)).Decode(new(json.RawMessage)), &known) {
		return syntax.ByteOffset, console.Broken("not JSON: %w", syntax.Err)
	}
	offset := known.Offset - 1
	problem := cmp.Or(events.NotPlain(unread, int(offset)), events.PlainSyntax(known))
	return v.dec.InputOffset() + offset, console.Broken("not JSON: %s", problem)
}

// A lineReader knows the line of each byte that went through it and is not
// consumed yet.
type lineReader struct {
	in       io.Reader
	read     int64   // bytes that went through
	consumed int64   // bytes that belong to values given out
	breaks   []int64 // where the line breaks are that at has not passed
	line     int     // line breaks that at has passed
}

func (l *lineReader) Read(p []byte) (int, error) {
	if l.read-l.consumed > maxEvent {
		return 0, errLongEvent
	}
	n, err := l.in.Read(p)
	for i := 0; ; i++ {
		j := bytes.IndexByte(p[i:n], '\n')
		if j < 0 {
			break
		}
		i += j
		l.breaks = append(l.breaks, l.read+int64(i))
	}
	l.read += int64(n)
	return n, err
}

// at returns the line of the byte at offset, which must not go backwards.
func (l *lineReader) at(offset int64) int {
	passed := 0
	for passed < len(l.breaks) && l.breaks[passed] < offset {
		passed++
	}
	l.line += passed
	l.breaks = append(l.breaks[:0], l.breaks[passed:]...)
	return l.line + 1
}
