package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/valyala/fasttemplate"

	"nats-test/internal/cli/console"
	"nats-test/internal/cli/record"
)

// Templated expands the data of another source.
type Templated struct {
	Source
	parsed *fasttemplate.Template
	text   string
	out    bytes.Buffer
	n      int
}

func (t *Templated) Next() ([]byte, int, error) {
	data, line, err := t.Source.Next()
	if err != nil {
		return nil, line, err
	}
	if t.parsed == nil || t.text != string(data) {
		t.text = string(data)
		if t.parsed, err = parseTemplate(t.text); err != nil {
			return nil, line, err
		}
	}
	t.n++
	t.out.Reset()
	err = expand(t.parsed, &t.out, t.n)
	return t.out.Bytes(), line, err
}

// parseTemplate parses a template for --template. Go's text/template could call
// any method by its name, so with it the linker drops none: the program has 4 MB
// more, and starts later.
func parseTemplate(text string) (*fasttemplate.Template, error) {
	parsed, err := fasttemplate.NewTemplate(text, "{{", "}}")
	if err != nil {
		return nil, noTemplate(errors.New("a {{ without }}"))
	}
	return parsed, nil
}

// expand writes the template for the n-th event.
func expand(t *fasttemplate.Template, out io.Writer, n int) error {
	_, err := t.ExecuteFunc(out, func(out io.Writer, tag string) (int, error) {
		switch strings.TrimSpace(tag) {
		case ".N":
			return io.WriteString(out, strconv.Itoa(n))
		case "uuid":
			return io.WriteString(out, uuid.NewString())
		case "now":
			return out.Write(record.AppendTime(nil, time.Now()))
		}
		return 0, noTemplate(fmt.Errorf("unknown %q", "{{"+tag+"}}"))
	})
	return err
}

func noTemplate(err error) error {
	return console.Explained(fmt.Errorf("expanding the template: %w", err), console.ErrUsage, "known are {{.N}}, {{uuid}} and {{now}}")
}

// IDs gives the events their message IDs.
type IDs struct {
	fixed    string
	template *fasttemplate.Template // nil: all have the fixed one
	n        int
}

// NewIDs returns the message IDs that --id asks for. It refuses an ID that can't be
// sent, and one that would be the same for many events.
func NewIDs(id string, template, many bool) (*IDs, error) {
	all := &IDs{fixed: id}
	if template && id != "" {
		var err error
		if all.template, err = parseTemplate(id); err != nil {
			return nil, err
		}
	}
	trial := *all
	first, err := trial.Next()
	if err != nil {
		return nil, err
	}
	second, err := trial.Next()
	if err == nil && id != "" && many && first == second {
		err = console.Explained(fmt.Errorf("--id %q for many events: only the first would be stored", id), console.ErrUsage,
			"with --template, --id 'order-{{.N}}' gives each its own")
	}
	return all, err
}

func (i *IDs) Next() (string, error) {
	id := i.fixed
	if i.template != nil {
		i.n++
		var out strings.Builder
		if err := expand(i.template, &out, i.n); err != nil {
			return "", err
		}
		id = out.String()
	}
	if strings.ContainsFunc(id, unicode.IsControl) || strings.TrimSpace(id) != id {
		return "", console.Explained(fmt.Errorf("--id %q: no control characters, and no space around it", id), console.ErrUsage, "")
	}
	return id, nil
}
