package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"nats-test/internal/monitor/port"

	"github.com/nats-io/nats.go/jetstream"
)

// A pager reads a list of the JetStream API, page by page, as nats.go does; but
// what is made of all pages is bounded, and a null in place of an entry is an
// error.
type pager[T any] struct {
	js   jetstream.JetStream
	what string // behind the prefix of the API
	left int    // entries that may still be read
}

// mostEntries bounds one list.
const mostEntries = 200_000

// pageObjects bounds the JSON objects of a page. It has 256 streams at most.
const pageObjects = 1 << 16

func pages[T any](js jetstream.JetStream, what string) *pager[T] {
	return &pager[T]{js, what, mostEntries}
}

// all calls take for each entry, until it returns an error.
func (p *pager[T]) all(ctx context.Context, take func(T) error) error {
	for offset := 0; ; {
		entries, total, err := p.page(ctx, offset)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := take(entry); err != nil {
				return err
			}
		}
		if offset += len(entries); len(entries) == 0 || offset >= total {
			return nil
		}
	}
}

func (p *pager[T]) page(ctx context.Context, offset int) (entries []T, total int, err error) {
	reply, err := p.js.Conn().RequestWithContext(ctx, p.prefix()+p.what, fmt.Appendf(nil, `{"offset":%d}`, offset))
	if err != nil {
		return nil, 0, err
	}
	var answer struct {
		Type      string              `json:"type"`
		Error     *jetstream.APIError `json:"error"`
		Total     int                 `json:"total"`
		Streams   json.RawMessage     `json:"streams"`
		Consumers json.RawMessage     `json:"consumers"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, 0, fmt.Errorf("no answer of JetStream: %w", err)
	}
	if answer.Error != nil {
		return nil, 0, answer.Error
	}
	if answer.Type == "" { // of an empty list, nothing else may be there
		return nil, 0, errors.New("no answer of JetStream")
	}
	text := answer.Streams
	if text == nil {
		text = answer.Consumers
	}
	if bytes.Count(text, []byte("{")) > pageObjects {
		return nil, 0, errors.New("an answer of JetStream has more in it than is read here")
	}
	if text != nil {
		if err := (*port.List[T])(&entries).UnmarshalJSON(text); err != nil {
			return nil, 0, fmt.Errorf("no answer of JetStream: %w", err)
		}
	}
	if p.left -= len(entries); p.left < 0 {
		return nil, 0, fmt.Errorf("more than %d streams or consumers", mostEntries)
	}
	return entries, answer.Total, nil
}

func (p *pager[T]) prefix() string {
	switch o := p.js.Options(); {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}
