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

// A pager reads a list of the JetStream API page by page, like nats.go, but limits the
// total, and returns an error for a null in place of an entry.
type pager[T any] struct {
	js   jetstream.JetStream
	what string // subject without the API's prefix
	left int    // number of entries that may still be read
}

// mostEntries is the maximum length of a list.
const mostEntries = 200_000

// pageObjects is the maximum number of JSON objects in a page, which has at most 256
// streams.
const pageObjects = 1 << 16

func pages[T any](js jetstream.JetStream, what string) *pager[T] {
	return &pager[T]{js, what, mostEntries}
}

// all calls take for each entry until it returns an error.
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
		return nil, 0, fmt.Errorf("not an answer of JetStream: %.60q", reply.Data)
	}
	if answer.Error != nil {
		return nil, 0, answer.Error
	}
	if answer.Type == "" { // an empty list has no other field
		return nil, 0, errors.New("not an answer of JetStream")
	}
	text := answer.Streams
	if text == nil {
		text = answer.Consumers
	}
	if bytes.Count(text, []byte("{")) > pageObjects {
		return nil, 0, errors.New("an answer of JetStream is larger than the limit")
	}
	if text != nil {
		if err := (*port.List[T])(&entries).UnmarshalJSON(text); err != nil {
			return nil, 0, fmt.Errorf("not an answer of JetStream: %.60q", reply.Data)
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
