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

// A sight is a look at the stored event at the sequence of an ack.
type sight struct {
	asked, last time.Time    // first and latest request to the leader
	event       *storedEvent // its answer
	err         error        // or why there is none
}

func (s *sight) over() bool { return s.event != nil || s.err != nil }

type storedEvent struct {
	Subject string    `json:"subject"`
	Data    []byte    `json:"data"`
	Header  []byte    `json:"hdrs"`
	Time    time.Time `json:"time"`
}

// A look says whether stored events can be read. The first read finds that out, in a
// request that notices a missing permission. Later reads are sent without waiting, and
// answered among the acks.
type look int

const (
	lookUntried look = iota
	lookTrying
	lookWorks
	lookFails
)

// lookToken takes the place of the attempt in reply subjects of reads.
const lookToken = "_"

// seen reports whether the stored event of out's ack has been read, or can't be. If not,
// it starts reading it. mu is held.
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

// tryLook makes the first read.
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

// ask requests the stored event. mu is held.
func (f *flight) ask(out *outgoing) {
	out.sight.last = time.Now()
	if out.sight.asked.IsZero() {
		out.sight.asked = out.sight.last
	}
	reply := f.replies + lookToken + "." + strconv.FormatUint(out.number, 36)
	_ = f.s.NC.PublishRequest(f.s.lookSubject(out.ack.Stream), reply, lookRequest(out.ack.Sequence)) // on an error it is repeated soon
}

// sighted handles the answer to a read. mu is held.
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
	case err == nil && answer.Error != nil && link.Transient(answer.Error): // it is repeated soon
	case err == nil && answer.Error != nil:
		out.sight.err = answer.Error
	case err != nil || answer.Message == nil:
		out.sight.err = fmt.Errorf("not the answer of a stream: %.60q", m.Data)
	default:
		out.sight.event = answer.Message
	}
}

// lookAgain repeats a read that was not answered. mu is held.
func (f *flight) lookAgain(out *outgoing) {
	switch s := out.sight; {
	case s == nil || s.asked.IsZero() || s.over() || time.Since(s.last) < f.patience():
	case time.Since(later(s.asked, f.moved())) >= f.s.Options.Timeout:
		s.err = errLate
	default:
		f.ask(out)
	}
}

// curious reports whether the stored event must be read: the ack of a duplicate may be
// that of another event, and a subject transform may have changed the subject. mu is held.
func (f *flight) curious(out *outgoing) bool {
	return out.given && out.ack.Duplicate ||
		f.terms != nil && f.terms.transform && f.terms.stream == out.ack.Stream && f.renamed[out.msg.Subject] == ""
}

// own reports whether the event was stored by an attempt of this session. mu is held.
func (f *flight) own(out *outgoing) bool {
	return out.repeated && out.sight != nil && out.sight.event != nil && !out.sight.event.Time.Before(out.born.Add(f.terms.clock))
}

// compare returns an error if the stored event is known to be another than the one that
// was sent. mu is held.
func (f *flight) compare(out *outgoing) error {
	place := fmt.Sprintf("event #%d of the stream %s", out.ack.Sequence, out.ack.Stream)
	if out.sight.err != nil {
		if !out.ack.Duplicate { // only its place is unknown
			return nil
		}
		return broker.Because(broker.ErrUncertain, fmt.Errorf("its ID %q belongs to %s, which can't be looked at: %w", out.id(), place, out.sight.err))
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
		return broker.Because(broker.ErrOtherEvent, fmt.Errorf("the ID %q belongs to %s, on %s", out.id(), place, is.Subject))
	case !counts && !bytes.Equal(is.Data, out.msg.Data):
		return broker.Because(broker.ErrOtherEvent, fmt.Errorf("the ID %q belongs to %s, on %s, with other data", out.id(), place, is.Subject))
	case !is.has(out.msg.Header):
		return broker.Because(broker.ErrOtherEvent, fmt.Errorf("the ID %q belongs to %s, on %s, with other headers", out.id(), place, is.Subject))
	}
	return nil
}

// has reports whether an event was stored with the same headers as sent, apart from the
// Nats-… headers, of which the server does not keep all.
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
