package conn

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
)

// A note says what a setting of a stream takes away from what both programs
// promise elsewhere. listening marks those that concern a listener.
type note struct {
	applies   func(c jetstream.StreamConfig, subject string) bool
	listening bool
	says      func(c jetstream.StreamConfig, subject string) string
}

// shortWindow is less than an outage usually takes.
const shortWindow = 30 * time.Second

var notes = []note{
	{func(c jetstream.StreamConfig, _ string) bool { return c.NoAck }, false, func(c jetstream.StreamConfig, _ string) string {
		return fmt.Sprintf("%s answers no publisher (no_ack): publish can't know what is stored", c.Name)
	}},
	{func(c jetstream.StreamConfig, _ string) bool { return c.Retention == jetstream.InterestPolicy }, true, func(c jetstream.StreamConfig, _ string) string {
		return c.Name + " keeps an event only until every consumer has acked it, and none that no consumer wants"
	}},
	{func(c jetstream.StreamConfig, _ string) bool { return c.Retention == jetstream.WorkQueuePolicy }, true, func(c jetstream.StreamConfig, _ string) string {
		return c.Name + " is a work queue: one group gets each event, and it is removed once acked"
	}},
	{transforms, true, func(c jetstream.StreamConfig, subject string) string {
		return fmt.Sprintf("%s stores events of %s under another subject (it maps %s to %s): listen to that one",
			c.Name, subject, c.SubjectTransform.Source, c.SubjectTransform.Destination)
	}},
	{func(c jetstream.StreamConfig, subject string) bool { return renaming(c, subject).Source != "" }, true, func(c jetstream.StreamConfig, subject string) string {
		t := renaming(c, subject)
		return fmt.Sprintf("%s stores under another subject what other streams have of %s (it maps %s to %s): listen to that one",
			c.Name, subject, t.Source, t.Destination)
	}},
	{func(c jetstream.StreamConfig, _ string) bool { return c.Mirror != nil }, true, func(c jetstream.StreamConfig, _ string) string {
		return fmt.Sprintf("%s is a mirror of %s, and may lag behind", c.Name, c.Mirror.Name)
	}},
	{func(c jetstream.StreamConfig, _ string) bool { return len(c.Sources) > 0 }, true, func(c jetstream.StreamConfig, _ string) string {
		return c.Name + " takes events from other streams, and may lag behind"
	}},
	{func(c jetstream.StreamConfig, _ string) bool {
		return c.Mirror == nil && c.Duplicates > 0 && c.Duplicates < shortWindow
	}, false,
		func(c jetstream.StreamConfig, _ string) string {
			return fmt.Sprintf("%s knows a repeat for %v only: after a longer outage, publish leaves events in doubt", c.Name, c.Duplicates)
		}},
	{func(c jetstream.StreamConfig, _ string) bool { return c.MaxMsgSize > 0 }, false, func(c jetstream.StreamConfig, _ string) string {
		return fmt.Sprintf("%s takes events of at most %d bytes", c.Name, c.MaxMsgSize)
	}},
	{func(c jetstream.StreamConfig, _ string) bool { return c.MaxAge > 0 }, false, func(c jetstream.StreamConfig, _ string) string {
		return fmt.Sprintf("%s drops events after %v", c.Name, c.MaxAge)
	}},
	{func(c jetstream.StreamConfig, _ string) bool { return c.MaxMsgsPerSubject > 0 }, false, func(c jetstream.StreamConfig, _ string) string {
		return fmt.Sprintf("%s keeps %d of each subject's events", c.Name, c.MaxMsgsPerSubject)
	}},
	{func(c jetstream.StreamConfig, _ string) bool { return c.Sealed }, false, func(c jetstream.StreamConfig, _ string) string {
		return c.Name + " is sealed: it takes no more events"
	}},
}

// notesOn returns the notes on a stream, for one who listens to subject or, with
// all, also for one who publishes.
func notesOn(c jetstream.StreamConfig, subject string, all bool) []string {
	var lines []string
	for _, n := range notes {
		if (all || n.listening) && n.applies(c, subject) {
			lines = append(lines, "the stream "+n.says(c, subject))
		}
	}
	return lines
}

// transforms reports whether a stream stores events of subject under another.
func transforms(c jetstream.StreamConfig, subject string) bool {
	t := c.SubjectTransform
	return t != nil && (t.Source == "" || broker.Covers(t.Source, subject))
}

// renaming is how the events of subject that a stream has from others come to
// another subject, the zero value if they don't.
func renaming(c jetstream.StreamConfig, subject string) jetstream.SubjectTransformConfig {
	sources := c.Sources
	if c.Mirror != nil {
		sources = []*jetstream.StreamSource{c.Mirror}
	}
	for _, source := range sources {
		for _, t := range source.SubjectTransforms {
			if broker.Covers(t.Source, subject) && t.Destination != "" && t.Destination != subject {
				return t
			}
		}
	}
	return jetstream.SubjectTransformConfig{}
}

// explainConsumer finds the reason why a stream gives a listener no consumer.
func explainConsumer(err error, stream string) error {
	api, isAPI := errors.AsType[*jetstream.APIError](err)
	if !isAPI {
		return explainJetStream(err)
	}
	switch api.ErrorCode { // nats-server, errors.json
	case 10084:
		return broker.Because(broker.ErrNeedsGroup, fmt.Errorf("the stream %s is a work queue, whose events go to a group that acks them", stream))
	case 10099, 10100:
		return broker.Because(broker.ErrTaken, fmt.Errorf("the stream %s is a work queue, and another consumer gets these events already", stream))
	}
	return explainJetStream(err)
}

// Notes says what the settings of the stream that stores subject take away, once
// that was asked for.
func (s *jetSession) Notes(subject string) []string {
	return notesOn(s.streams[subject].Config, subject, true)
}
