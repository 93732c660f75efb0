package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// How long the server keeps a consumer that nobody asks: that of a group without
// a durable as long as a rejoin may take, that of one listener a little longer
// than a request stands. One whose output is paused for longer makes another,
// and goes on where it was.
const (
	groupVanishes = 30 * time.Second
	aloneVanishes = pullExpires + 10*time.Second
)

// Subscribe looks for the streams of all subjects, and creates them if the
// options say so, before it asks for events of any.
func (s *Session) Subscribe(ctx context.Context, subs []broker.Subscription) ([]broker.Place, error) {
	var missing []string
	for _, sub := range subs {
		switch _, err := s.Stream(ctx, sub.Subject); {
		case errors.Is(err, broker.ErrNoStream) && !errors.Is(err, broker.ErrNoSuchStream):
			missing = append(missing, strconv.Quote(sub.Subject))
		case err != nil:
			return nil, err
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%s: %w", strings.Join(missing, ", "), broker.ErrNoStream)
	}
	places := make([]broker.Place, len(subs))
	for i, sub := range subs {
		var err error
		if places[i], err = s.subscribe(ctx, sub); err != nil {
			return places[:i], fmt.Errorf("subscribing to %q: %w", sub.Subject, err)
		}
	}
	return places, nil
}

// subscribe makes of a durable or group one pull consumer that its members
// share, and joins the one that is there. Without either it makes a consumer
// for this session alone that needs no acks, as nats.go's ordered consumer is:
// where an event is missing, the session is lost, and the next continues.
func (s *Session) subscribe(ctx context.Context, sub broker.Subscription) (broker.Place, error) {
	place, info, err := s.consumer(ctx, sub)
	if err != nil {
		return broker.Place{}, err
	}
	p, err := newPull(s, info, sub)
	if err != nil {
		return broker.Place{}, Explain(err)
	}
	s.listening.Lock()
	if s.pulls = append(s.pulls, p); len(s.pulls) == 1 {
		s.watchStreams()
		s.tending.Go(s.tend)
	}
	s.pulling.Store(int64(len(s.pulls)))
	s.listening.Unlock()
	s.AnswerRolls(link.Roll("jetstream", info.Stream, info.Name), sub.Group != "", p.describe)
	return place, nil
}

// consumer finds or creates the consumer for sub.
func (s *Session) consumer(ctx context.Context, sub broker.Subscription) (broker.Place, *jetstream.ConsumerInfo, error) {
	if err := broker.CheckConsumer(cmp.Or(sub.Durable, sub.Group)); err != nil {
		return broker.Place{}, nil, err
	}
	its, err := s.streamInfo(ctx, sub.Subject)
	if err != nil {
		return broker.Place{}, nil, err
	}
	stream := its.Config.Name
	wanted := consumerConfig(sub)
	place := broker.Place{Subject: sub.Subject, Origin: broker.Origin{Stream: stream, Since: its.Created}, Consumer: wanted.Name, MaxInFlight: sub.MaxInFlight,
		Notes: notesOn(its.Config, sub.Subject, false)}
	var consumer jetstream.Consumer
	err = s.Ask(ctx, func(ctx context.Context) (err error) {
		for {
			if wanted.Name != "" {
				place.Resumed = true
				consumer, err = s.js.Consumer(ctx, stream, wanted.Name)
				if !errors.Is(err, jetstream.ErrConsumerNotFound) {
					return err
				}
			}
			place.Resumed = false
			consumer, err = s.js.CreateConsumer(ctx, stream, wanted)
			if !errors.Is(err, jetstream.ErrConsumerExists) { // another member was faster
				return err
			}
		}
	})
	switch {
	case errors.Is(err, jetstream.ErrNotPullConsumer):
		return broker.Place{}, nil, broker.Because(broker.ErrConsumer, fmt.Errorf("consumer %q of stream %q is a push consumer, which no group shares by pulling", wanted.Name, stream))
	case err != nil:
		return broker.Place{}, nil, explainConsumer(err, stream)
	}
	info := consumer.CachedInfo()
	place.AckWait, place.Position = info.Config.AckWait, info.Delivered.Stream
	if place.Resumed {
		err = s.compare(info, wanted)
	}
	return place, info, err
}

// ConsumerName is what the consumer of a group or durable is called.
func ConsumerName(sub broker.Subscription) string {
	return cmp.Or(sub.Durable, sub.Group) + "_" + broker.LegalName(sub.Subject)
}

// GroupOf returns the group or durable that [ConsumerName] made a consumer's
// name of, for a subject.
func GroupOf(consumer, subject string) (group string, ok bool) {
	return strings.CutSuffix(consumer, "_"+broker.LegalName(subject))
}

// consumerConfig is the consumer for sub where there is none yet.
func consumerConfig(sub broker.Subscription) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{FilterSubject: sub.Subject, MaxDeliver: -1}
	switch sub.Start.Kind {
	case broker.StartNew:
		c.DeliverPolicy = jetstream.DeliverNewPolicy
	case broker.StartLast:
		c.DeliverPolicy = jetstream.DeliverLastPolicy
	case broker.StartSequence:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, max(1, sub.Start.Sequence)
	case broker.StartTime:
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &sub.Start.Time
	}
	if sub.Durable == "" && sub.Group == "" {
		c.AckPolicy, c.MemoryStorage, c.Replicas, c.InactiveThreshold = jetstream.AckNonePolicy, true, 1, aloneVanishes
		return c
	}
	c.Name = ConsumerName(sub)
	c.Durable = c.Name
	if sub.Durable == "" { // a group of the same name may have one
		c.Name, c.Durable, c.InactiveThreshold = c.Name+"_transient", "", groupVanishes
	}
	// The limit of acks pending is for the group: it would stall all when one
	// member hangs. Each limits what it asks for instead.
	c.AckPolicy, c.AckWait, c.MaxAckPending = jetstream.AckExplicitPolicy, sub.AckWait, -1
	return c
}

// compare refuses a consumer that delivers something else, and tells how it
// differs otherwise from what was asked for.
func (s *Session) compare(info *jetstream.ConsumerInfo, wanted jetstream.ConsumerConfig) error {
	is := info.Config
	filter := strings.Join(append(is.FilterSubjects, is.FilterSubject), "")
	problem := ""
	switch {
	case filter != wanted.FilterSubject && (filter != "" || s.several(info.Stream)):
		problem = fmt.Sprintf("has the filter %q", filter)
	case is.AckPolicy != jetstream.AckExplicitPolicy:
		problem = fmt.Sprintf("has the ack policy %q, and each event is to be acked", is.AckPolicy)
	case is.HeadersOnly:
		problem = "delivers headers without the data"
	case is.PriorityPolicy != jetstream.PriorityPolicyNone:
		problem = "has priority groups, which are not known here"
	}
	if problem != "" {
		return broker.Because(broker.ErrConsumer, fmt.Errorf("consumer %q of stream %q %s", info.Name, info.Stream, problem))
	}
	differs := func(what string, is, wanted any) {
		s.Options.Notify(fmt.Sprintf("the consumer %s exists: its %s is %v, not %v", info.Name, what, is, wanted))
	}
	if is.AckWait != wanted.AckWait {
		differs("ack wait", is.AckWait, wanted.AckWait)
	}
	if is.MaxAckPending > 0 {
		differs("limit of acks pending, for the whole group,", is.MaxAckPending, "none")
	}
	if is.MaxDeliver > 0 {
		differs("limit of deliveries", is.MaxDeliver, "none")
	}
	if len(is.BackOff) > 0 {
		differs("backoff", is.BackOff, "none")
	}
	if is.PauseUntil != nil && is.PauseUntil.After(time.Now()) {
		differs("pause", "until "+is.PauseUntil.Format(time.RFC3339), "none")
	}
	return nil
}

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
		return Explain(err)
	}
	switch api.ErrorCode { // nats-server, errors.json
	case 10084:
		return broker.Because(broker.ErrNeedsGroup, fmt.Errorf("the stream %s is a work queue, whose events go to a group that acks them", stream))
	case 10099, 10100:
		return broker.Because(broker.ErrTaken, fmt.Errorf("the stream %s is a work queue, and another consumer gets these events already", stream))
	}
	return Explain(err)
}

// Notes says what the settings of the stream that stores subject take away, once
// that was asked for.
func (s *Session) Notes(subject string) []string {
	return notesOn(s.streams[subject].Config, subject, true)
}
