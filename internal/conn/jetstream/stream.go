package jetstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
)

// Stream returns the name of the stream of subject; see streamInfo.
func (s *Session) Stream(ctx context.Context, subject string) (string, error) {
	info, err := s.streamInfo(ctx, subject)
	if err != nil {
		return "", err
	}
	return info.Config.Name, nil
}

// streamInfo returns the stream that Options.Stream names, else the one that
// covers subject, and makes one if none does and the options say so. Its
// configuration and state are those of the first look. Where looking at the
// stream is not permitted, only its name is known: Created is the zero time.
func (s *Session) streamInfo(ctx context.Context, subject string) (*jetstream.StreamInfo, error) {
	s.finding.Lock()
	defer s.finding.Unlock()
	if info := s.streams[subject]; info != nil {
		return info, nil
	}
	info, err := s.findStream(ctx, subject)
	switch {
	case errors.Is(err, broker.ErrOtherStream), errors.Is(err, broker.ErrNoStream):
		return nil, err
	case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		return nil, broker.Because(broker.ErrRefused, fmt.Errorf("a stream %q with other subjects exists: add %q to it, or to another", broker.LegalName(subject), subject))
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("%q: %w", subject, broker.ErrNoStream)
	case err != nil:
		return nil, fmt.Errorf("looking for the stream of %q: %w", subject, Explain(err))
	}
	s.streams[subject] = info
	return info, nil
}

func (s *Session) findStream(ctx context.Context, subject string) (info *jetstream.StreamInfo, err error) {
	name := s.Options.Stream
	if name == "" {
		name, err = link.Inquire(ctx, s.Link, func(ctx context.Context) (string, error) { return s.js.StreamNameBySubject(ctx, subject) })
	}
	if err == nil {
		info, err = s.look(ctx, name)
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) && s.Options.CreateStream {
		if name, err = s.createStream(ctx, subject); err == nil {
			info, err = s.look(ctx, name)
		}
	}
	switch {
	case name != "" && errors.Is(err, broker.ErrAuth) && s.Err() == nil:
		return &jetstream.StreamInfo{Config: jetstream.StreamConfig{Name: name}}, nil
	case name != "" && errors.Is(err, jetstream.ErrStreamNotFound):
		reason := broker.ErrNoStream
		if s.Options.Stream != "" {
			reason = broker.ErrNoSuchStream
		}
		return nil, broker.Because(reason, fmt.Errorf("%s: %w", name, err))
	case err == nil && s.Options.Stream != "" && !mayStore(info.Config, subject):
		return nil, refuses(name, "", 0, info.Config.Subjects, subject)
	}
	return info, err
}

// look asks for a stream as it is now.
func (s *Session) look(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	return link.Inquire(ctx, s.Link, func(ctx context.Context) (*jetstream.StreamInfo, error) {
		stream, err := s.js.Stream(ctx, name)
		if err != nil {
			return nil, err
		}
		return stream.CachedInfo(), nil
	})
}

// mayStore reports whether a stream may have events of subject: what it copies
// or renames is not known from its own subjects.
func mayStore(c jetstream.StreamConfig, subject string) bool {
	return c.Mirror != nil || len(c.Sources) > 0 || c.SubjectTransform != nil ||
		slices.ContainsFunc(c.Subjects, func(filter string) bool { return broker.Covers(filter, subject) })
}

// refuses returns why the stream of that name stores no event that is published
// to subject, nil if it does.
func refuses(name, mirrorOf string, sources int, subjects []string, subject string) error {
	switch {
	case mirrorOf != "":
		return broker.Because(broker.ErrMirror, fmt.Errorf("%s has its events from %s alone", name, mirrorOf))
	case len(subjects) == 0 && sources > 0:
		return broker.Because(broker.ErrOtherStream, fmt.Errorf("%s has its events from other streams alone", name))
	case len(subjects) > 0 && !slices.ContainsFunc(subjects, func(filter string) bool { return broker.Covers(filter, subject) }):
		return broker.Because(broker.ErrOtherStream, fmt.Errorf("%s stores %s, not %s", name, strings.Join(subjects, ", "), subject))
	}
	return nil
}

func (s *Session) createStream(ctx context.Context, subject string) (string, error) {
	config := NewStream(subject, s.Options.Replicas)
	config.Name = cmp.Or(s.Options.Stream, config.Name)
	kept := "nothing is dropped"
	if s.Options.MaxBytes > 0 {
		config.MaxBytes, config.Discard = s.Options.MaxBytes, jetstream.DiscardNew
		kept = fmt.Sprintf("at most %s, then it takes no more", broker.Size(uint64(s.Options.MaxBytes)))
	}
	err := s.Ask(ctx, func(ctx context.Context) error {
		_, err := s.js.CreateStream(ctx, config)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("creating the stream %q: %w", config.Name, err)
	}
	s.Options.Notify(fmt.Sprintf("created the stream %s for the subject %s: file storage, replicas: %d, %s, repeats are known for %v",
		config.Name, subject, config.Replicas, kept, config.Duplicates))
	return config.Name, nil
}

// NewStream is what is made for a subject that no stream covers: a stream of
// its own, as NATS Streaming has a channel for each. It keeps all its events,
// in files, and knows a repeat within 2 minutes.
func NewStream(subject string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:       broker.LegalName(subject),
		Subjects:   []string{subject},
		Retention:  jetstream.LimitsPolicy,
		Storage:    jetstream.FileStorage,
		Replicas:   replicas,
		Duplicates: 2 * time.Minute,
	}
}

// forget has the stream of subject looked for again.
func (s *Session) forget(subject string) {
	s.finding.Lock()
	defer s.finding.Unlock()
	delete(s.streams, subject)
}

// Newest is the newest event of the whole stream when it was looked at first: the
// leader's word, where direct gets may be answered by a replica that lags.
func (s *Session) Newest(ctx context.Context, subject string) (broker.Mark, error) {
	info, err := s.streamInfo(ctx, subject)
	if err != nil {
		return broker.Mark{}, err
	}
	return broker.Mark{Sequence: info.State.LastSeq, Origin: broker.Origin{Stream: info.Config.Name, Since: info.Created}}, nil
}

// Find asks the stream's leader.
func (s *Session) Find(ctx context.Context, subject string, from uint64) (broker.Mark, error) {
	name, err := s.Stream(ctx, subject)
	if err != nil {
		return broker.Mark{}, err
	}
	question := struct {
		Sequence uint64 `json:"seq,omitempty"`
		Next     string `json:"next_by_subj,omitempty"`
		Last     string `json:"last_by_subj,omitempty"`
	}{Last: subject}
	if from > 0 {
		question.Sequence, question.Next, question.Last = from, subject, ""
	}
	type message struct {
		Sequence uint64    `json:"seq"`
		Time     time.Time `json:"time"`
	}
	request, _ := json.Marshal(question) // numbers and strings always marshal
	found, err := link.Inquire(ctx, s.Link, func(ctx context.Context) (message, error) {
		var answer struct {
			Error   *jetstream.APIError `json:"error"`
			Message message             `json:"message"`
		}
		reply, err := s.NC.RequestWithContext(ctx, s.api()+".STREAM.MSG.GET."+name, request)
		if err == nil {
			err = json.Unmarshal(reply.Data, &answer)
		}
		if err == nil && answer.Error != nil {
			err = answer.Error
		}
		return answer.Message, err
	})
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return broker.Mark{}, nil
	case err != nil:
		return broker.Mark{}, fmt.Errorf("looking for events of %q: %w", subject, Explain(err))
	}
	return broker.Mark{Sequence: found.Sequence, Time: found.Time}, nil
}

// several reports whether a stream stores more than one subject, or can.
func (s *Session) several(name string) bool {
	info, err := s.look(s.Ctx, name)
	return err != nil || len(info.Config.Subjects) != 1 || strings.ContainsAny(info.Config.Subjects[0], "*>")
}

// movedEvery is how often it is asked, at most, which stream a subject is in.
const movedEvery = 2 * time.Second

// watchStreams has the server tell of streams that are made and changed. Who may
// not hear that is not told of a subject that moves to another stream.
func (s *Session) watchStreams() {
	if s.Options.Stream != "" {
		return
	}
	for _, what := range []string{"CREATED", "UPDATED"} {
		// An error says that the connection is gone, which is told elsewhere.
		_, _ = s.NC.Subscribe(link.Advisories+"STREAM."+what+".*", func(*nats.Msg) {
			defer fault.Exit()
			s.changed.Store(true)
		})
	}
}

// watchGivenUp has the server tell of events that it delivers no more, since they
// were delivered as often as the consumer allows.
func (p *pull) watchGivenUp(gaveUp func(sequence uint64, deliveries int)) {
	_, _ = p.s.NC.Subscribe(link.Advisories+"CONSUMER.MAX_DELIVERIES."+p.stream+"."+p.name, func(m *nats.Msg) {
		defer fault.Exit()
		var about struct {
			Sequence   uint64 `json:"stream_seq"`
			Deliveries int    `json:"deliveries"`
		}
		if len(m.Data) <= mostAdvisory && json.Unmarshal(m.Data, &about) == nil && about.Sequence > 0 {
			gaveUp(about.Sequence, about.Deliveries)
		}
	})
}

// mostAdvisory is more than an advisory has, in bytes.
const mostAdvisory = 4096

// lookForMoves ends the session where a subject is stored by another stream now,
// and all that the listener's consumer had in the old one is done with. Streams
// have to have changed since the last look.
func (s *Session) lookForMoves(now time.Time, pulls []*pull) {
	if now.Sub(s.moveLook) < movedEvery || !s.changed.Swap(false) {
		return
	}
	s.moveLook = now
	s.tending.Go(func() {
		defer fault.Exit()
		for _, p := range pulls {
			name, err := s.streamNow(p.subject)
			switch {
			case errors.Is(err, jetstream.ErrStreamNotFound), err == nil && name == p.stream:
				continue
			case err != nil:
				s.changed.Store(true)
				return
			}
			if rest, err := p.rest(s.Ctx); err != nil || rest.Waiting > 0 || rest.Unacked > 0 {
				s.changed.Store(true) // later
				continue
			}
			s.Leave(broker.Ended(fmt.Errorf("%s is stored by the stream %s now, and no longer by %s", p.subject, name, p.stream)))
			return
		}
	})
}

// streamNow asks which stream covers subject.
func (s *Session) streamNow(subject string) (string, error) {
	return link.Inquire(s.Ctx, s.Link, func(ctx context.Context) (string, error) { return s.js.StreamNameBySubject(ctx, subject) })
}

// Forget deletes a consumer of JetStream, and so the position of a durable: the
// very one that was looked at. The error wraps [broker.ErrNoPosition] if it is gone, and
// [broker.ErrChanged] if it is another now, or has moved.
func Forget(ctx context.Context, l *link.Link, seen broker.Seen) error {
	js, err := Client(l)
	tried := false
	if err == nil {
		err = l.Ask(ctx, func(ctx context.Context) error {
			consumer, err := js.Consumer(ctx, seen.Stream, seen.Consumer)
			switch {
			case tried && errors.Is(err, jetstream.ErrConsumerNotFound): // the answer was lost
				return nil
			case err != nil:
				return err
			}
			if info := consumer.CachedInfo(); !info.Created.Equal(seen.Created) || info.Delivered.Stream != seen.Delivered {
				return broker.Because(broker.ErrChanged, fmt.Errorf("the consumer %s of stream %s has come to #%d", broker.Clip(seen.Consumer), broker.Clip(seen.Stream), info.Delivered.Stream))
			}
			tried = true
			return js.DeleteConsumer(ctx, seen.Stream, seen.Consumer)
		})
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		err = broker.Because(broker.ErrNoPosition, err)
	case !errors.Is(err, broker.ErrChanged):
		err = Explain(err)
	}
	return fmt.Errorf("forgetting the consumer %q of stream %q: %w", seen.Consumer, seen.Stream, err)
}
