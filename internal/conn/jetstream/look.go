package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
)

// A sight is a look at the event that is stored where an ack says.
type sight struct {
	asked, last time.Time    // when the leader was asked first and last
	event       *storedEvent // what it answered
	err         error        // or why it can't be known
}

func (s *sight) over() bool { return s.event != nil || s.err != nil }

type storedEvent struct {
	Subject string    `json:"subject"`
	Data    []byte    `json:"data"`
	Header  []byte    `json:"hdrs"`
	Time    time.Time `json:"time"`
}

// A look at stored events: whether they can be looked at is found out by the
// first of them, in a request that learns what is not permitted. The others go
// out without waiting, and are answered among the acks.
type look int

const (
	lookUntried look = iota
	lookTrying
	lookWorks
	lookFails
)

// lookToken stands where answers have the number of an attempt.
const lookToken = "_"

// seen reports whether the stored event that out was acked with has been looked
// at, or can't be; if not, it has it looked at. mu is held.
func (f *flight) seen(out *outgoing) bool {
	if out.sight == nil {
		out.sight = &sight{}
	}
	switch {
	case out.sight.over():
		return true
	case f.look == lookFails:
		out.sight.err = f.lookErr
		return true
	case f.look == lookUntried:
		f.look = lookTrying
		ack := *out.ack
		f.done.Go(func() {
			defer fault.Exit()
			f.tryLook(out, ack.Stream, ack.Sequence)
		})
	case f.look == lookWorks && out.sight.asked.IsZero():
		f.ask(out)
	}
	return false
}

// tryLook makes the first look.
func (f *flight) tryLook(out *outgoing, stream string, sequence uint64) {
	answer, err := link.Inquire(f.s.Ctx, f.s.Link, func(ctx context.Context) (*nats.Msg, error) {
		return f.s.NC.RequestWithContext(ctx, f.s.lookSubject(stream), lookRequest(sequence))
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.look, f.lookErr = lookFails, err
		out.sight.err = err
	} else {
		f.look = lookWorks
		f.sighted(out, answer)
	}
	f.advance()
	for _, out := range f.events {
		if out.ack != nil && f.curious(out) {
			f.seen(out)
		}
	}
	f.advance()
	f.signal()
}

func (s *Session) lookSubject(stream string) string { return s.api() + ".STREAM.MSG.GET." + stream }

func lookRequest(sequence uint64) []byte { return fmt.Appendf(nil, `{"seq":%d}`, sequence) }

// ask sends the request of a look. mu is held.
func (f *flight) ask(out *outgoing) {
	out.sight.last = time.Now()
	if out.sight.asked.IsZero() {
		out.sight.asked = out.sight.last
	}
	reply := f.replies + lookToken + "." + strconv.FormatUint(out.number, 36)
	_ = f.s.NC.PublishRequest(f.s.lookSubject(out.ack.Stream), reply, lookRequest(out.ack.Sequence)) // else again, soon
}

// sighted takes the answer to a look. mu is held.
func (f *flight) sighted(out *outgoing, m *nats.Msg) {
	var answer struct {
		Message *storedEvent        `json:"message"`
		Error   *jetstream.APIError `json:"error"`
	}
	err := json.Unmarshal(m.Data, &answer)
	switch {
	case out.sight == nil:
	case len(m.Data) == 0 && m.Header.Get("Status") == "503":
		out.sight.err = nats.ErrNoResponders
	case err == nil && answer.Error != nil && link.Transient(answer.Error): // again, soon
	case err == nil && answer.Error != nil:
		out.sight.err = answer.Error
	case err != nil || answer.Message == nil:
		out.sight.err = fmt.Errorf("no answer of a stream: %.60q", m.Data)
	default:
		out.sight.event = answer.Message
	}
}

// lookAgain repeats a look that was not answered. mu is held.
func (f *flight) lookAgain(out *outgoing) {
	switch s := out.sight; {
	case s == nil || s.asked.IsZero() || s.over() || time.Since(s.last) < f.patience():
	case time.Since(later(s.asked, f.moved())) >= f.s.Options.Timeout:
		s.err = errLate
	default:
		f.ask(out)
	}
}

// curious reports whether what is stored must be looked at: it may be another
// event of that ID, or be stored under another subject. mu is held.
func (f *flight) curious(out *outgoing) bool {
	return out.given && out.ack.Duplicate ||
		f.terms != nil && f.terms.transform && f.terms.stream == out.ack.Stream && f.renamed[out.msg.Subject] == ""
}

// own reports whether what is stored was stored by an attempt of ours. mu is held.
func (f *flight) own(out *outgoing) bool {
	return out.repeated && out.sight != nil && out.sight.event != nil && !out.sight.event.Time.Before(out.born.Add(f.terms.clock))
}

// compare returns an error unless what is stored is the event that was sent, as
// far as that is known. mu is held.
func (f *flight) compare(out *outgoing) error {
	place := fmt.Sprintf("event #%d of the stream %s", out.ack.Sequence, out.ack.Stream)
	if out.sight.err != nil {
		if !out.ack.Duplicate { // it is only not known where
			return nil
		}
		return broker.Because(broker.ErrUncertain, fmt.Errorf("its ID %q is that of %s, which can't be looked at: %w", out.id(), place, out.sight.err))
	}
	is, subject := out.sight.event, out.msg.Subject
	if f.terms.transform && f.renamed[subject] == "" && !out.ack.Duplicate {
		f.renamed[subject] = is.Subject
		if is.Subject != subject {
			f.s.Options.Notify(fmt.Sprintf("the stream %s stores %s under the subject %s", out.ack.Stream, subject, is.Subject))
		}
	}
	switch _, counts := out.msg.Header["Nats-Incr"]; { // a counter stores the sum
	case !out.ack.Duplicate:
		return nil
	case is.Subject != subject && (!f.terms.transform || f.renamed[subject] != "" && f.renamed[subject] != is.Subject):
		return broker.Because(broker.ErrOtherEvent, fmt.Errorf("the ID %q is that of %s, on %s", out.id(), place, is.Subject))
	case !counts && !bytes.Equal(is.Data, out.msg.Data):
		return broker.Because(broker.ErrOtherEvent, fmt.Errorf("the ID %q is that of %s, on %s, with other data", out.id(), place, is.Subject))
	case !is.has(out.msg.Header):
		return broker.Because(broker.ErrOtherEvent, fmt.Errorf("the ID %q is that of %s, on %s, with other headers", out.id(), place, is.Subject))
	}
	return nil
}

// has reports whether an event was stored with the headers that another is sent
// with, but for those that speak to the server, which does not keep them all.
func (e *storedEvent) has(sent nats.Header) bool {
	stored, err := nats.DecodeHeadersMsg(e.Header)
	if err != nil {
		stored = nil
	}
	for key, values := range sent {
		if !strings.HasPrefix(key, "Nats-") && !slices.Equal(stored[key], values) {
			return false
		}
	}
	return true
}
