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

// Stream returns the name of the stream for subject; see streamInfo.
func (s *Session) Stream(ctx context.Context, subject string) (string, error) {
	info, err := s.streamInfo(ctx, subject)
	if err != nil {
		return "", err
	}
	return info.Config.Name, nil
}

// streamInfo returns the stream that Options.Stream names, else the one that covers
// subject. It creates one if there is none and the options say so. Configuration and state
// are cached from the first call. If reading the stream is not permitted, only its name is
// set, and Created is zero.
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

// look returns the current state of a stream.
func (s *Session) look(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	return link.Inquire(ctx, s.Link, func(ctx context.Context) (*jetstream.StreamInfo, error) {
		stream, err := s.js.Stream(ctx, name)
		if err != nil {
			return nil, err
		}
		return stream.CachedInfo(), nil
	})
}

// mayStore reports whether a stream may have events of subject. The subjects of a stream
// say nothing about events that it copies or renames.
func mayStore(c jetstream.StreamConfig, subject string) bool {
	return c.Mirror != nil || len(c.Sources) > 0 || c.SubjectTransform != nil ||
		slices.ContainsFunc(c.Subjects, func(filter string) bool { return broker.Covers(filter, subject) })
}

// refuses returns the error if the stream of that name does not store events published to
// subject, nil if it does.
func refuses(name, mirrorOf string, sources int, subjects []string, subject string) error {
	switch {
	case mirrorOf != "":
		return broker.Because(broker.ErrMirror, fmt.Errorf("%s is a mirror of %s, which takes the events", name, mirrorOf))
	case len(subjects) == 0 && sources > 0:
		return broker.Because(broker.ErrOtherStream, fmt.Errorf("%s gets its events only from other streams", name))
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
	s.Options.Notify(fmt.Sprintf("created the stream %s for the subject %s: file storage, replicas: %d, %s, repeats are detected for %v",
		config.Name, subject, config.Replicas, kept, config.Duplicates))
	return config.Name, nil
}

// NewStream returns the configuration of the stream created for a subject that no stream
// covers: one stream per subject, like the channels of NATS Streaming, with file storage
// and no limits. It detects repeats within 2 minutes.
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

// forget drops the cached stream of subject.
func (s *Session) forget(subject string) {
	s.finding.Lock()
	defer s.finding.Unlock()
	delete(s.streams, subject)
}

// Newest returns the last sequence of the whole stream when it was first read. It comes
// from the leader; direct gets may be answered by a replica that lags.
func (s *Session) Newest(ctx context.Context, subject string) (broker.Mark, error) {
	info, err := s.streamInfo(ctx, subject)
	if err != nil {
		return broker.Mark{}, err
	}
	return broker.Mark{Sequence: info.State.LastSeq, Origin: broker.Origin{Stream: info.Config.Name, Since: info.Created}}, nil
}

// Find implements [broker.Session]. It asks the stream's leader.
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
		if err == nil && json.Unmarshal(reply.Data, &answer) != nil {
			err = fmt.Errorf("not an answer of JetStream: %.60q", reply.Data)
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

// several reports whether a stream can store more than one subject.
func (s *Session) several(name string) bool {
	info, err := s.look(s.Ctx, name)
	return err != nil || len(info.Config.Subjects) != 1 || strings.ContainsAny(info.Config.Subjects[0], "*>")
}

// movedEvery is the minimum interval of asking which stream has a subject.
const movedEvery = 2 * time.Second

// watchStreams subscribes to advisories on created and updated streams. Without permission
// for them, the listener does not notice that a subject moves to another stream.
func (s *Session) watchStreams() {
	if s.Options.Stream != "" {
		return
	}
	for _, what := range []string{"CREATED", "UPDATED"} {
		// An error means that the connection is gone, which is reported elsewhere.
		_, _ = s.NC.Subscribe(link.Advisories+"STREAM."+what+".*", func(*nats.Msg) {
			defer fault.Exit()
			s.changed.Store(true)
		})
	}
}

// watchGivenUp subscribes to advisories on events that the consumer delivered as often as
// it allows.
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

// mostAdvisory is the maximum size of an advisory, in bytes.
const mostAdvisory = 4096

// lookForMoves ends the session if another stream stores a subject now, and the consumer
// has handled all events in the old one. It asks only if streams have changed since.
func (s *Session) lookForMoves(now time.Time, pulls []*pull) {
	if now.Sub(s.moveLook) < movedEvery || !s.changed.Swap(false) {
		return
	}
	s.moveLook = now
	s.maintaining.Go(func() {
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

// streamNow returns the stream that covers subject now.
func (s *Session) streamNow(subject string) (string, error) {
	return link.Inquire(s.Ctx, s.Link, func(ctx context.Context) (string, error) { return s.js.StreamNameBySubject(ctx, subject) })
}

// Forget deletes a JetStream consumer, and so the position of a durable, if it is still as
// seen. The error wraps [broker.ErrNoPosition] if it is gone, and [broker.ErrChanged] if it
// was created anew or has moved.
func Forget(ctx context.Context, l *link.Link, seen broker.Seen) error {
	js, err := Client(l)
	tried := false
	if err == nil {
		err = l.Ask(ctx, func(ctx context.Context) error {
			consumer, err := js.Consumer(ctx, seen.Stream, seen.Consumer)
			switch {
			case tried && errors.Is(err, jetstream.ErrConsumerNotFound): // the answer to the deletion was lost
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
	return fmt.Errorf("deleting the consumer %q of stream %q: %w", seen.Consumer, seen.Stream, err)
}
