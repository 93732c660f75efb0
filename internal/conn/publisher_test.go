package conn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
)

// answering is a session that answers each event as it was told.
type answering struct {
	broker.Session
	answers []answer
}

type answer struct {
	sequence uint64
	err      error
}

func (s *answering) Publish(_ context.Context, _ broker.Event, done func(broker.Receipt, error)) error {
	next := s.answers[0]
	s.answers = s.answers[1:]
	done(broker.Receipt{Stream: "orders", Sequence: next.sequence}, next.err)
	return nil
}

// Nothing of it is a success, and the worst is what is told.
func TestPublisherTellsOfDoubtsAndOfOrderInTheEnd(t *testing.T) {
	t.Parallel()
	unknown := fmt.Errorf("%w: for a test", broker.ErrUncertain)
	refused := fmt.Errorf("%w: for a test", broker.ErrRefused)
	for name, test := range map[string]struct {
		answers        []answer
		want           error
		acked, inDoubt int
	}{
		"in order":              {[]answer{{1, nil}, {2, nil}, {3, nil}}, nil, 3, 0},
		"out of order":          {[]answer{{1, nil}, {3, nil}, {2, nil}}, broker.ErrOrder, 3, 0},
		"not known":             {[]answer{{1, nil}, {0, unknown}, {2, nil}}, broker.ErrUncertain, 2, 1},
		"not known and unorder": {[]answer{{2, nil}, {0, unknown}, {1, nil}}, broker.ErrUncertain, 2, 1},
		"refused, and worse":    {[]answer{{2, nil}, {0, unknown}, {1, nil}, {0, refused}}, broker.ErrRefused, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := conn.NewPublisher(&answering{answers: test.answers}, nil)
			for range len(test.answers) {
				if err := p.Publish(t.Context(), broker.Event{Subject: "orders"}); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Flush(); !errors.Is(err, test.want) {
				t.Error(err)
			}
			if _, acked, inDoubt := p.Sent(); acked != test.acked || inDoubt != test.inDoubt {
				t.Errorf("%d acked, %d in doubt", acked, inDoubt)
			}
		})
	}
}

// handing is a session that answers the event before while it hands over the
// next, as one does whose connection is being mended.
type handing struct {
	broker.Session
	before func(broker.Receipt, error)
}

func (s *handing) Publish(_ context.Context, _ broker.Event, done func(broker.Receipt, error)) error {
	if s.before != nil {
		s.before(broker.Receipt{}, nil)
	}
	s.before = done
	return nil
}

// An event that could not be sent yet is none in flight: who writes results out
// must not wait for it.
func TestPublisherTellsOfTheLastAckWhileTheNextEventWaits(t *testing.T) {
	session := &handing{}
	var last []bool
	p := conn.NewPublisher(session, func(_ int, _ broker.Receipt, l bool) { last = append(last, l) })
	for range 2 {
		if err := p.Publish(t.Context(), broker.Event{Subject: "orders"}); err != nil {
			t.Fatal(err)
		}
	}
	session.before(broker.Receipt{}, nil)
	if err := p.Flush(); err != nil || !slices.Equal(last, []bool{true, true}) {
		t.Errorf("last: %v, error %v", last, err)
	}
}
