package jetstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
)

// The terms of a stream are the settings that matter to publishers.
type terms struct {
	stream string
	err    error     // why they are not known, or nil
	at     time.Time // time of the request

	repeats   time.Duration // duplicate window; 0 if unknown
	clock     time.Duration // how far the server's clock is ahead of ours, at least
	subjects  []string      // subjects that it stores
	mirrorOf  string        // stream that it mirrors
	sources   int           // number of its sources
	noAck     bool          // it does not send acks
	transform bool          // events may be stored under another subject
	maxSize   int           // of an event in bytes; 0 for no limit
	maxBytes  int64         // of all events; 0 for no limit

	// With interest retention: its consumers by name, or why they are not known.
	interest    bool
	consumers   map[string]wanting
	consumerErr error
	lapsed      bool // all consumers seen before are gone
}

type wanting struct {
	filters []string // empty for all subjects
	created time.Time
}

// learn reads the terms of the stream of that name, or of the one that covers subject, in
// the background. Until then, no outcome is reported. mu is held.
func (f *flight) learn(name, subject string) {
	f.learning = true
	f.done.Go(func() {
		defer fault.Exit()
		t := f.s.terms(name, subject)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.learning = false
		switch before := f.known[t.stream]; {
		case before == nil:
		case t.err != nil:
			again := *before
			again.at, again.consumerErr = t.at, t.err
			t = &again
		default:
			t.lapsed = before.lapsed || t.interest && !before.continues(t)
		}
		f.terms, f.known[t.stream] = t, t
		if t.noAck {
			f.stop(broker.Because(broker.ErrNotAcked, f.unsafe()))
			for _, out := range f.events {
				out.err, out.doubt = cmp.Or(out.err, errLate), out.doubt || out.err == nil
			}
		}
		f.advance()
		f.signal()
	})
}

// streamAnswer has the fields of JetStream API answers that are used here. Decoding
// nats.go's own types for the first time takes half a millisecond longer.
type streamAnswer struct {
	Error *jetstream.APIError `json:"error"`

	Streams []string `json:"streams"`

	Config struct {
		Duplicates time.Duration             `json:"duplicate_window"`
		Retention  jetstream.RetentionPolicy `json:"retention"`
		Subjects   []string                  `json:"subjects"`
		Mirror     struct {
			Name string `json:"name"`
		} `json:"mirror"`
		Sources    []struct{} `json:"sources"`
		NoAck      bool       `json:"no_ack"`
		MaxMsgSize int        `json:"max_msg_size"`
		MaxBytes   int64      `json:"max_bytes"`
		Transform  *struct{}  `json:"subject_transform"`
	} `json:"config"`
	Time time.Time `json:"ts"`
}

// apiRequest makes a request to the JetStream API.
func (s *Session) apiRequest(what string, request []byte) (streamAnswer, error) {
	return link.Inquire(s.Ctx, s.Link, func(ctx context.Context) (a streamAnswer, err error) {
		m, err := s.NC.RequestWithContext(ctx, s.api()+what, request)
		if err != nil {
			return a, err
		}
		if err := json.Unmarshal(m.Data, &a); err != nil {
			return a, fmt.Errorf("not an answer of JetStream: %.60q", m.Data)
		}
		if a.Error != nil {
			return a, a.Error
		}
		return a, nil
	})
}

// covering returns the name of the stream that covers subject, and creates one if the
// options say so.
func (s *Session) covering(subject string) (string, error) {
	if s.Options.Stream != "" {
		return s.Options.Stream, nil
	}
	request, _ := json.Marshal(struct { // strings always marshal
		Subject string `json:"subject"`
	}{subject})
	a, err := s.apiRequest(".STREAM.NAMES", request)
	if err != nil || len(a.Streams) != 1 {
		return s.Stream(s.Ctx, subject)
	}
	return a.Streams[0], nil
}

// terms reads the configuration of a stream, and its consumers if they decide which events
// it keeps.
func (s *Session) terms(name, subject string) *terms {
	t := &terms{stream: name, at: time.Now()}
	if name == "" {
		if t.stream, t.err = s.covering(subject); t.err != nil {
			return t
		}
	}
	a, err := s.apiRequest(".STREAM.INFO."+t.stream, nil)
	if err != nil {
		t.err = err
		return t
	}
	t.repeats, t.clock = a.Config.Duplicates, time.Until(a.Time)
	t.subjects, t.mirrorOf, t.sources = a.Config.Subjects, a.Config.Mirror.Name, len(a.Config.Sources)
	t.noAck, t.maxSize, t.maxBytes = a.Config.NoAck, max(a.Config.MaxMsgSize, 0), max(a.Config.MaxBytes, 0)
	t.transform = a.Config.Transform != nil
	if a.Config.Retention == jetstream.InterestPolicy {
		t.interest = true
		t.consumers, t.consumerErr = s.consumersOf(t.stream)
	}
	return t
}

// consumersOf lists the consumers of a stream.
func (s *Session) consumersOf(stream string) (map[string]wanting, error) {
	return link.Inquire(s.Ctx, s.Link, func(ctx context.Context) (map[string]wanting, error) {
		all := make(map[string]wanting)
		handle, err := s.js.Stream(ctx, stream)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // ends the list even if it is left early
		list := handle.ListConsumers(ctx)
		for c := range list.Info() {
			if c == nil {
				return nil, errors.New("not an answer of JetStream: a list with a consumer missing")
			}
			w := wanting{c.Config.FilterSubjects, c.Created}
			if c.Config.FilterSubject != "" {
				w.filters = []string{c.Config.FilterSubject}
			}
			all[c.Name] = w
		}
		return all, list.Err()
	})
}

// continues reports whether one of the consumers in t still exists.
func (t *terms) continues(now *terms) bool {
	for name, w := range t.consumers {
		if is, there := now.consumers[name]; there && is.created.Equal(w.created) {
			return true
		}
	}
	return false
}

// keeps returns an error if the stream does not keep events stored under subject, or if
// that is not known. subject is "" if unknown.
func (t *terms) keeps(subject string) error {
	switch {
	case !t.interest:
		return nil
	case t.consumerErr != nil:
		return broker.Because(broker.ErrUncertain, fmt.Errorf("the stream %s keeps events only for consumers that want them, "+
			"and whether one wants %s is not known: %w", t.stream, subject, t.consumerErr))
	}
	for _, w := range t.consumers {
		if len(w.filters) == 0 || subject != "" && w.wants(subject) {
			if t.lapsed {
				return broker.Because(broker.ErrUncertain, fmt.Errorf("the stream %s keeps events only for consumers that want them, "+
					"and those that were there when this began are gone: events may have been dropped meanwhile", t.stream))
			}
			return nil
		}
	}
	if subject == "" && len(t.consumers) > 0 {
		return broker.Because(broker.ErrUncertain, fmt.Errorf("the stream %s keeps events only for consumers that want them, and stores this under another subject, "+
			"which could not be looked at", t.stream))
	}
	return broker.Because(broker.ErrNotStored, fmt.Errorf("the stream %s keeps events only for consumers that want them, and none wants %s: "+
		"it was acked and dropped", t.stream, subject))
}

func (w wanting) wants(subject string) bool {
	for _, filter := range w.filters {
		if broker.Covers(filter, subject) {
			return true
		}
	}
	return false
}

// safe reports whether an event can be sent again: it is not in doubt, or still within the
// duplicate window. mu is held.
func (f *flight) safe(out *outgoing) bool {
	return !out.doubt || f.terms != nil && !f.terms.noAck && time.Since(out.born) < f.terms.repeats
}

// wellInTime reports whether the ack of any attempt settles an event: less than half of
// the duplicate window has passed, so the newest attempt, still on its way, can't be stored
// a second time. mu is held.
func (f *flight) wellInTime(out *outgoing) bool {
	return f.terms != nil && 2*time.Since(out.born) < f.terms.repeats
}

// unsafe returns why an event is not sent again. mu is held.
func (f *flight) unsafe() error {
	switch t := f.terms; {
	case t == nil:
		return errLate
	case t.noAck:
		return fmt.Errorf("the stream %s answers no publisher (no_ack)", t.stream)
	case t.repeats > 0:
		return fmt.Errorf("%w, and it was not sent again: the stream %s detects a repeat within %v, and that time has passed", errLate, t.stream, t.repeats)
	default:
		return fmt.Errorf("%w, and it was not sent again: how long the stream detects a repeat can't be known (%w)", errLate, t.err)
	}
}

// onTerms reports whether the terms of the stream that acked an event are known. If not,
// it reads them. mu is held.
func (f *flight) onTerms(out *outgoing) bool {
	stream := out.ack.Stream
	if f.terms == nil || f.terms.stream != stream {
		known := f.known[stream]
		if known == nil {
			f.learn(stream, "")
			return false
		}
		f.terms = known
	}
	t := f.terms
	if last := len(f.events) == 1; last && t.interest && t.consumerErr == nil && t.at.Before(out.came) && !f.over {
		f.learn(stream, "") // check that a consumer still wants it
		return false
	}
	return true
}

// kept returns an error if, by the stream's terms, an acked event is not stored, or may be
// stored twice. mu is held.
func (f *flight) kept(out *outgoing) error {
	t := f.terms
	if late := out.came.Sub(out.born); out.repeated && !out.ack.Duplicate && late >= t.repeats {
		return broker.Because(broker.ErrUncertain, fmt.Errorf("it may be stored twice: an attempt was not answered, another after %v, and the stream %s detects a repeat within %v",
			late.Round(time.Millisecond), t.stream, t.repeats))
	}
	if errors.Is(t.err, broker.ErrAuth) && !f.told {
		f.told = true
		f.s.Options.Notify(fmt.Sprintf("the stream %s can't be read, so whether it keeps the events that it acks is not known (%v)", t.stream, t.err))
	}
	if size := len(out.msg.Data) + headerSize(out.msg.Header); t.maxBytes > 0 && int64(size) > t.maxBytes && !out.ack.Duplicate {
		return broker.Because(broker.ErrNotStored, fmt.Errorf("%d bytes with headers, and the stream %s holds %d in all (max_bytes): it was acked and dropped",
			size, t.stream, t.maxBytes))
	}
	subject := out.msg.Subject
	if t.transform {
		subject = f.renamed[subject]
	}
	return t.keeps(subject)
}

// otherStream returns the error for an event that reached another stream than the one
// named.
func (t *terms) otherStream(subject string, answer error) error {
	switch {
	case errors.Is(t.err, jetstream.ErrStreamNotFound):
		return broker.Because(broker.ErrNoSuchStream, fmt.Errorf("%s: %w", t.stream, answer))
	case t.err != nil:
		return broker.Because(broker.ErrRefused, answer)
	}
	return cmp.Or(refuses(t.stream, t.mirrorOf, t.sources, t.subjects, subject), broker.Because(broker.ErrRefused, answer))
}
