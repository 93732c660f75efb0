package conn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// stream returns the name of the stream of subject; see streamInfo.
func (s *jetSession) stream(ctx context.Context, subject string) (string, error) {
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
func (s *jetSession) streamInfo(ctx context.Context, subject string) (*jetstream.StreamInfo, error) {
	s.finding.Lock()
	defer s.finding.Unlock()
	if info := s.streams[subject]; info != nil {
		return info, nil
	}
	info, err := s.findStream(ctx, subject)
	switch {
	case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		return nil, because(ErrRefused, fmt.Errorf("a stream %q with other subjects exists: add %q to it, or to another", legalName(subject), subject))
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("%q: %w", subject, ErrNoStream)
	case err != nil:
		return nil, fmt.Errorf("looking for the stream of %q: %w", subject, explainJetStream(err))
	}
	s.streams[subject] = info
	return info, nil
}

func (s *jetSession) findStream(ctx context.Context, subject string) (info *jetstream.StreamInfo, err error) {
	name := s.opts.Stream
	if name == "" {
		err = s.ask(ctx, func(ctx context.Context) (err error) {
			name, err = s.js.StreamNameBySubject(ctx, subject)
			return err
		})
		if errors.Is(err, jetstream.ErrStreamNotFound) && s.opts.CreateStream {
			name, err = s.createStream(ctx, subject)
		}
		if err != nil {
			return nil, err
		}
	}
	err = s.ask(ctx, func(ctx context.Context) error {
		stream, err := s.js.Stream(ctx, name)
		if err == nil {
			info = stream.CachedInfo()
		}
		return err
	})
	if errors.Is(err, ErrAuth) && s.Err() == nil {
		return &jetstream.StreamInfo{Config: jetstream.StreamConfig{Name: name}}, nil
	}
	return info, err
}

func (s *jetSession) createStream(ctx context.Context, subject string) (string, error) {
	config := NewStream(subject, s.opts.Replicas)
	if s.opts.MaxBytes > 0 {
		config.MaxBytes = s.opts.MaxBytes
	}
	err := s.ask(ctx, func(ctx context.Context) error {
		_, err := s.js.CreateStream(ctx, config)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("creating the stream %q: %w", config.Name, err)
	}
	s.opts.Notify(fmt.Sprintf("created the stream %s for the subject %s: file storage, replicas: %d, nothing is dropped, repeats are known for %v",
		config.Name, subject, config.Replicas, config.Duplicates))
	return config.Name, nil
}

// NewStream is what is made for a subject that no stream covers: a stream of
// its own, as NATS Streaming has a channel for each. It keeps all its events,
// in files, and knows a repeat within 2 minutes.
func NewStream(subject string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:       legalName(subject),
		Subjects:   []string{subject},
		Retention:  jetstream.LimitsPolicy,
		Storage:    jetstream.FileStorage,
		Replicas:   replicas,
		Duplicates: 2 * time.Minute,
	}
}

// forget has the stream of subject looked for again.
func (s *jetSession) forget(subject string) {
	s.finding.Lock()
	defer s.finding.Unlock()
	delete(s.streams, subject)
}

// Origin is the stream of subject, and when it was created.
func (s *jetSession) Origin(ctx context.Context, subject string) (Origin, error) {
	info, err := s.streamInfo(ctx, subject)
	if err != nil {
		return Origin{}, err
	}
	return Origin{info.Config.Name, info.Created}, nil
}

// End is the newest event of the whole stream when it was looked at first: the
// leader's word, where direct gets may be answered by a replica that lags.
func (s *jetSession) End(ctx context.Context, subject string) (uint64, error) {
	info, err := s.streamInfo(ctx, subject)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}

// Find asks the stream's leader.
func (s *jetSession) Find(ctx context.Context, subject string, from uint64) (uint64, time.Time, error) {
	name, err := s.stream(ctx, subject)
	if err != nil {
		return 0, time.Time{}, err
	}
	question := struct {
		Sequence uint64 `json:"seq,omitempty"`
		Next     string `json:"next_by_subj,omitempty"`
		Last     string `json:"last_by_subj,omitempty"`
	}{Last: subject}
	if from > 0 {
		question.Sequence, question.Next, question.Last = from, subject, ""
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Sequence uint64    `json:"seq"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	request, err := json.Marshal(question)
	if err == nil {
		err = s.ask(ctx, func(ctx context.Context) error {
			reply, err := s.nc.RequestWithContext(ctx, s.api()+".STREAM.MSG.GET."+name, request)
			if err == nil {
				err = json.Unmarshal(reply.Data, &answer)
			}
			if err == nil && answer.Error != nil {
				return answer.Error
			}
			return err
		})
	}
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, time.Time{}, nil
	case err != nil:
		return 0, time.Time{}, fmt.Errorf("looking for events of %q: %w", subject, explainJetStream(err))
	}
	return answer.Message.Sequence, answer.Message.Time, nil
}

// several reports whether a stream stores more than one subject, or can.
func (s *jetSession) several(name string) bool {
	several := true
	_ = s.ask(s.life, func(ctx context.Context) error {
		stream, err := s.js.Stream(ctx, name)
		if err == nil {
			subjects := stream.CachedInfo().Config.Subjects
			several = len(subjects) != 1 || strings.ContainsAny(subjects[0], "*>")
		}
		return err
	})
	return several
}
