package jetstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// answered handles an answer. nats.go calls it for one at a time.
func (f *flight) answered(m *nats.Msg) {
	defer fault.Exit()
	attempt, number, _ := strings.Cut(m.Subject[len(f.replies):], ".")
	n, _ := strconv.ParseUint(number, 36, 64)
	var ack *jetstream.PubAck
	var err error
	if attempt != lookToken {
		ack, err = f.pubAck(m)
	}
	a, _ := strconv.ParseUint(attempt, 36, 64)
	f.mu.Lock()
	defer f.mu.Unlock()
	if n < f.first || n-f.first >= uint64(len(f.events)) {
		return // an earlier attempt was answered before
	}
	out := f.events[n-f.first]
	switch {
	case attempt == lookToken:
		f.heard = time.Now()
		f.sighted(out, m)
	case out.ack != nil || out.lost:
		return
	case a != out.attempt && err != nil:
		return
	case a != out.attempt && !f.wellInTime(out): // the newest attempt may be stored, too; wait for its answer
		out.older, f.heard = ack, time.Now()
		return
	case err == nil:
		f.acked(out, ack, a)
	default:
		out.err = err
		f.paused = true
	}
	f.advance()
	if f.mending {
		f.signal()
	}
}

// acked records the ack of an attempt. mu is held.
func (f *flight) acked(out *outgoing, ack *jetstream.PubAck, attempt uint64) {
	out.ack, out.acked, out.came = ack, attempt, time.Now()
	f.heard = out.came
	if !out.doubt {
		f.window.answered(out.number, f.first+uint64(len(f.events)), out.came.Sub(out.sent))
	}
	if !f.learning && f.curious(out) {
		f.seen(out)
	}
}

// pubAck parses an answer. Acks of one stream differ only in the sequence, so the text
// before it in the previous ack is tried first, which is five times as fast.
func (f *flight) pubAck(m *nats.Msg) (*jetstream.PubAck, error) {
	if rest, alike := bytes.CutPrefix(m.Data, f.ackBegin); alike && f.ackStream != "" {
		if digits, whole := bytes.CutSuffix(rest, []byte("}")); whole {
			if sequence, err := strconv.ParseUint(string(digits), 10, 64); err == nil {
				return &jetstream.PubAck{Stream: f.ackStream, Sequence: sequence}, nil
			}
		}
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return nil, nats.ErrNoResponders
	}
	var answer struct {
		jetstream.PubAck
		Error *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(m.Data, &answer); {
	case err == nil && answer.Error != nil:
		return nil, answer.Error
	case err != nil, answer.Stream == "":
		return nil, fmt.Errorf("not the answer of a stream: %.60q", m.Data)
	}
	if plain := strconv.AppendUint(nil, answer.Sequence, 10); bytes.HasSuffix(m.Data, append(append([]byte(`"seq":`), plain...), '}')) {
		f.ackBegin, f.ackStream = bytes.Clone(m.Data[:len(m.Data)-len(plain)-1]), answer.Stream
	}
	return &answer.PubAck, nil
}

// explain returns the error for an event that was not acked. mu is held.
func (f *flight) explain(out *outgoing) error {
	api, isAPI := errors.AsType[*jetstream.APIError](out.err)
	switch t := f.terms; {
	case isAPI && api.ErrorCode == 10060 && t != nil && t.stream == f.s.Options.Stream: // expected stream does not match
		return t.otherStream(out.msg.Subject, out.err)
	case out.doubt && !f.safe(out) && errors.Is(out.err, errLate):
		return broker.Because(broker.ErrNotAcked, f.unsafe())
	case t != nil && t.maxSize > 0 && errors.Is(out.err, jetstream.ErrStreamMessageExceedsMaximum):
		return broker.Because(broker.ErrStreamLimit, fmt.Errorf("%d bytes with headers, and the stream %s takes %d (max_msg_size)",
			len(out.msg.Data)+headerSize(out.msg.Header), t.stream, t.maxSize))
	}
	return explainPublish(out.err, out.doubt)
}
