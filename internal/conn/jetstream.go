package conn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"
)

// jetSession is a session with JetStream.
type jetSession struct {
	*link
	js jetstream.JetStream

	room      *semaphore.Weighted // for the events in flight
	freed     int64               // of room, and not given back yet; of account
	sending   sync.Mutex          // held while events are sent, or sent again
	inFlight  chan *outgoing      // the oldest first; closed by Close
	closing   bool                // no more are sent; sending is held
	accounted chan struct{}       // closed when all of inFlight were answered

	listening sync.Mutex
	pulls     []*pull
	streams   map[string]string // by subject
}

// newJetStream opens a session over l. It asks the server nothing.
func newJetStream(l *link) (Session, error) {
	js, err := l.jetStream()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.strict = true
	l.mu.Unlock()
	s := &jetSession{
		link: l, js: js, streams: make(map[string]string),
		room: semaphore.NewWeighted(roomBytes), inFlight: make(chan *outgoing, l.opts.Window), accounted: make(chan struct{}),
	}
	go s.account()
	return s, nil
}

func (l *link) jetStream() (jetstream.JetStream, error) {
	opts := []jetstream.JetStreamOpt{
		jetstream.WithDefaultTimeout(l.opts.Timeout),
		// Half, so that an event whose ack was lost can be sent once more.
		jetstream.WithPublishAsyncTimeout(l.opts.Timeout / 2),
		jetstream.WithPublishAsyncMaxPending(2 * l.opts.Window),
	}
	if l.opts.Domain != "" {
		return jetstream.NewWithDomain(l.nc, l.opts.Domain, opts...)
	}
	return jetstream.New(l.nc, opts...)
}

func (s *jetSession) Backend() Backend { return JetStream }

// Alive asks for the account. That this is not permitted is an answer, too.
func (s *jetSession) Alive(ctx context.Context) error {
	err := s.ask(ctx, func(ctx context.Context) error {
		_, err := s.js.AccountInfo(ctx)
		return err
	})
	if api, ok := errors.AsType[*jetstream.APIError](err); err == nil || ok && !transient(api) {
		return nil
	}
	return because(ErrHung, err)
}

func (s *jetSession) Last(ctx context.Context, subject string) (uint64, time.Time, error) {
	name, err := s.stream(ctx, subject)
	if err != nil {
		return 0, time.Time{}, err
	}
	var last *jetstream.RawStreamMsg
	err = s.ask(ctx, func(ctx context.Context) error {
		stream, err := s.js.Stream(ctx, name)
		if err == nil {
			last, err = stream.GetLastMsgForSubject(ctx, subject)
		}
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, time.Time{}, nil
	case err != nil:
		return 0, time.Time{}, fmt.Errorf("looking for the last event of %q: %w", subject, explainJetStream(err))
	}
	return last.Sequence, last.Time, nil
}

// stream returns the name of the stream that covers subject, and makes one if
// none does and the options say so.
func (s *jetSession) stream(ctx context.Context, subject string) (string, error) {
	s.listening.Lock()
	defer s.listening.Unlock()
	if name := s.streams[subject]; name != "" {
		return name, nil
	}
	var name string
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		name, err = s.js.StreamNameBySubject(ctx, subject)
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) && s.opts.CreateStream {
		name, err = s.createStream(ctx, subject)
	}
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return "", fmt.Errorf("%q: %w", subject, ErrNoStream)
	case err != nil:
		return "", fmt.Errorf("looking for the stream of %q: %w", subject, explainJetStream(err))
	}
	s.streams[subject] = name
	return name, nil
}

func (s *jetSession) createStream(ctx context.Context, subject string) (string, error) {
	config := NewStream(subject, s.opts.Replicas)
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

func (s *jetSession) Close() error {
	first, lost := s.close()
	if !first {
		return nil
	}
	if lost {
		s.end()
	}
	s.sending.Lock()
	s.closing = true
	close(s.inFlight)
	s.sending.Unlock()
	<-s.accounted
	s.Drain(s.opts.Timeout)
	for _, p := range s.pulls {
		p.giveBack()
	}
	err := s.confirm(lost)
	s.abandon()
	for _, p := range s.pulls {
		p.close()
	}
	if err != nil {
		return fmt.Errorf("closing the session %q: %w", s.opts.ClientID, err)
	}
	return nil
}

// confirm waits until the server has taken the acks. It answers none of them,
// but says if they are not permitted.
func (s *jetSession) confirm(lost bool) error {
	if lost {
		if err := s.Err(); errors.Is(err, ErrAuth) {
			return err
		}
		return nil // there is nobody to ask
	}
	if err := s.nc.FlushTimeout(s.opts.Timeout); err != nil {
		return because(ErrLost, err)
	}
	if said := s.nc.LastError(); errors.Is(said, nats.ErrPermissionViolation) && strings.Contains(said.Error(), `Publish to "$JS.ACK.`) {
		return because(ErrAuth, said)
	}
	return nil
}

// transient reports an answer of a cluster that is changing its leaders.
func transient(err *jetstream.APIError) bool {
	switch err.ErrorCode {
	case 10004, 10007, 10008, 10009, 10118, 10119, 10158, 10167, 10194: // nats-server, errors.json
		return true
	}
	return false
}

// explainJetStream finds the reason behind an error of the JetStream API.
func explainJetStream(err error) error {
	api, isAPI := errors.AsType[*jetstream.APIError](err)
	switch {
	case err == nil, errors.Is(err, ErrAuth), errors.Is(err, ErrHung), errors.Is(err, ErrLost):
		return err
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount),
		errors.Is(err, nats.ErrNoResponders):
		return because(ErrNoJetStream, err)
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return because(ErrNoStream, err)
	case isAPI && transient(api), errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return because(ErrHung, err)
	case unsendable(err):
		return because(ErrLost, err)
	}
	return because(ErrRefused, err)
}

// Drain asks for no more, and hands out what has come.
func (s *jetSession) Drain(limit time.Duration) {
	s.listening.Lock()
	pulls := s.pulls
	s.listening.Unlock()
	var drains sync.WaitGroup
	for _, p := range pulls {
		drains.Go(func() { p.drain(limit) })
	}
	drains.Wait()
}

// api is the prefix of the subjects of the JetStream API.
func (s *jetSession) api() string {
	if s.opts.Domain != "" {
		return "$JS." + s.opts.Domain + ".API"
	}
	return "$JS.API"
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
