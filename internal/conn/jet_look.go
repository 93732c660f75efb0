package conn

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A sighting is what the leader of a stream answers on a stored event.
type sighting struct {
	Message *struct {
		Subject string `json:"subject"`
		Data    []byte `json:"data"`
	} `json:"message"`
	Error *jetstream.APIError `json:"error"`
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
	switch {
	case out.stored != nil || out.unseen != nil:
		return true
	case f.look == lookFails:
		out.unseen = f.lookErr
		return true
	case f.look == lookUntried:
		f.look = lookTrying
		f.done.Go(func() { f.tryLook(out, out.ack.Stream, out.ack.Sequence) })
	case f.look == lookWorks && out.looked.IsZero():
		f.ask(out)
	}
	return false
}

// tryLook makes the first look.
func (f *flight) tryLook(out *outgoing, stream string, sequence uint64) {
	var answer *nats.Msg
	err := f.s.ask(f.s.life, func(ctx context.Context) (err error) {
		answer, err = f.s.nc.RequestWithContext(ctx, f.s.lookSubject(stream), lookRequest(sequence))
		return err
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.look, f.lookErr = lookFails, err
		out.unseen = err
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

func (s *jetSession) lookSubject(stream string) string { return s.api() + ".STREAM.MSG.GET." + stream }

func lookRequest(sequence uint64) []byte { return fmt.Appendf(nil, `{"seq":%d}`, sequence) }

// ask sends the request of a look. mu is held.
func (f *flight) ask(out *outgoing) {
	out.looked = time.Now()
	if out.asked.IsZero() {
		out.asked = out.looked
	}
	reply := f.replies + lookToken + "." + strconv.FormatUint(out.number, 36)
	_ = f.s.nc.PublishRequest(f.s.lookSubject(out.ack.Stream), reply, lookRequest(out.ack.Sequence)) // else again, soon
}

// sighted takes the answer to a look. mu is held.
func (f *flight) sighted(out *outgoing, m *nats.Msg) {
	var s sighting
	switch err := json.Unmarshal(m.Data, &s); {
	case err != nil:
		out.unseen = fmt.Errorf("no answer of a stream: %.60q", m.Data)
		if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
			out.unseen = nats.ErrNoResponders
		}
	case s.Error != nil && transient(s.Error): // again, soon
	case s.Error != nil:
		out.unseen = s.Error
	case s.Message == nil:
		out.unseen = fmt.Errorf("no answer of a stream: %.60q", m.Data)
	default:
		out.stored = &s
	}
}

// lookAgain repeats a look that was not answered. mu is held.
func (f *flight) lookAgain(out *outgoing) {
	switch {
	case out.looked.IsZero() || out.stored != nil || out.unseen != nil || time.Since(out.looked) < f.patience():
	case time.Since(later(out.asked, f.heard)) >= f.s.opts.Timeout:
		out.unseen = errLate
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

// compare returns an error unless what is stored is the event that was sent, as
// far as that is known. mu is held.
func (f *flight) compare(out *outgoing) error {
	place := fmt.Sprintf("event #%d of the stream %s", out.ack.Sequence, out.ack.Stream)
	if out.unseen != nil {
		if !out.ack.Duplicate { // it is only not known where
			return nil
		}
		return because(ErrUncertain, fmt.Errorf("its ID %q is that of %s, which can't be looked at: %w", out.id(), place, out.unseen))
	}
	is, subject := out.stored.Message, out.msg.Subject
	if f.terms.transform && f.renamed[subject] == "" && !out.ack.Duplicate {
		f.renamed[subject] = is.Subject
		if is.Subject != subject {
			f.s.opts.Notify(fmt.Sprintf("the stream %s stores %s under the subject %s", out.ack.Stream, subject, is.Subject))
		}
	}
	switch _, counts := out.msg.Header["Nats-Incr"]; { // a counter stores the sum
	case !out.ack.Duplicate:
		return nil
	case is.Subject != subject && (!f.terms.transform || f.renamed[subject] != "" && f.renamed[subject] != is.Subject):
		return because(ErrOtherEvent, fmt.Errorf("the ID %q is that of %s, on %s", out.id(), place, is.Subject))
	case !counts && !bytes.Equal(is.Data, out.msg.Data):
		return because(ErrOtherEvent, fmt.Errorf("the ID %q is that of %s, on %s, with other data", out.id(), place, is.Subject))
	}
	return nil
}
