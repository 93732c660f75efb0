package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
)

// emit stores the records that the handler of an event emitted.
func (r *Run) emit(ctx context.Context, t *conn.Task, records [][]byte) error {
	all := make([]broker.Event, len(records))
	for i, record := range records {
		var err error
		if all[i], err = r.emitted(record); err != nil {
			return fmt.Errorf("the handler emitted, as record %d of %d: %w", i+1, len(records), err)
		}
	}
	return r.store.Emit(ctx, t, all)
}

// errNoRecord is wrapped by the error of a line that names no event.
var errNoRecord = errors.New(`no record with "subject" and "data"`)

// emitted returns the event that a record names. One of `listen -o json` does.
func (r *Run) emitted(text []byte) (e broker.Event, err error) {
	var record struct {
		Subject string          `json:"subject"`
		Data    json.RawMessage `json:"data"`
		Bytes   []byte          `json:"data_base64"`
	}
	if err := json.Unmarshal(text, &record); err != nil {
		return e, fmt.Errorf("%w: %.100q: %w", errNoRecord, text, err)
	}
	if record.Subject == "" || (record.Data == nil) == (record.Bytes == nil) {
		return e, fmt.Errorf("%w: %.100q", errNoRecord, text)
	}
	if err := broker.CheckPublish(record.Subject); err != nil {
		return e, err
	}
	e = broker.Event{Subject: record.Subject, Data: record.Data}
	if record.Bytes != nil {
		e.Data = record.Bytes
	}
	if e.Data, err = r.l.Encode(e.Subject, e.Data); err != nil {
		return e, fmt.Errorf("an event for %s: %w", e.Subject, err)
	}
	return e, nil
}
