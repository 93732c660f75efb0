package conn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
)

// movedEvery is how often it is asked, at most, which stream a subject is in.
const movedEvery = 2 * time.Second

// watchStreams has the server tell of streams that are made and changed. Who may
// not hear that is not told of a subject that moves to another stream.
func (s *jetSession) watchStreams() {
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
func (s *jetSession) lookForMoves(now time.Time, pulls []*pull) {
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
func (s *jetSession) streamNow(subject string) (string, error) {
	return link.Inquire(s.Ctx, s.Link, func(ctx context.Context) (string, error) { return s.js.StreamNameBySubject(ctx, subject) })
}
