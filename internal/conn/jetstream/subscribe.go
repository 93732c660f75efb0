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

// Inactive thresholds: that of a group without a durable covers the time to rejoin, that of
// a single listener the expiry of a pull request. If the output is blocked for longer, the
// listener creates another consumer and continues there.
const (
	groupVanishes = 30 * time.Second
	aloneVanishes = pullExpires + 10*time.Second
)

// Subscribe finds or creates the streams of all subjects before it subscribes to any.
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

// subscribe creates one pull consumer for a durable or group, which its members share, or
// joins the existing one. Otherwise it creates an ephemeral consumer without acks, like
// nats.go's ordered consumer: if an event is missing, the session is lost, and the next one
// continues there.
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
		s.maintaining.Go(s.maintain)
	}
	s.pulling.Store(int64(len(s.pulls)))
	s.listening.Unlock()
	s.AnswerRolls(link.Roll("jetstream", info.Stream, info.Name), sub.Group != "", func(m *link.Member) {
		p.describe(m)
		m.Tell(sub.Work)
	})
	return place, nil
}

// describe tells a roll call how it stands here.
func (p *pull) describe(m *link.Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.Held, m.Limit, m.Quiet = len(p.held), p.limit, time.Since(p.moved).Milliseconds()
	if p.isBlocked() {
		m.Blocked = p.blocked().Milliseconds()
	}
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
			if !errors.Is(err, jetstream.ErrConsumerExists) { // another member has just created it
				return err
			}
		}
	})
	switch {
	case errors.Is(err, jetstream.ErrNotPullConsumer):
		return broker.Place{}, nil, broker.Because(broker.ErrConsumer, fmt.Errorf("consumer %q of stream %q is a push consumer, and a group needs a pull consumer", wanted.Name, stream))
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

// ConsumerName returns the name of a group's or durable's consumer.
func ConsumerName(sub broker.Subscription) string {
	return cmp.Or(sub.Durable, sub.Group) + "_" + broker.LegalName(sub.Subject)
}

// GroupOf returns the group or durable in a consumer's name made by [ConsumerName].
func GroupOf(consumer, subject string) (group string, ok bool) {
	return strings.CutSuffix(consumer, "_"+broker.LegalName(subject))
}

// consumerConfig returns the configuration of a new consumer for sub.
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
	if sub.Durable == "" { // a durable of the same name may exist
		c.Name, c.Durable, c.InactiveThreshold = c.Name+"_transient", "", groupVanishes
	}
	// MaxAckPending is for the whole group: one member that hangs would stall all. Instead,
	// each member limits what it requests.
	c.AckPolicy, c.AckWait, c.MaxAckPending = jetstream.AckExplicitPolicy, sub.AckWait, -1
	return c
}

// compare returns an error if an existing consumer can't be used, and reports how its
// settings differ from those requested.
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

// A note explains how a stream's setting restricts what publishers and listeners may rely
// on otherwise. listening is set if it concerns listeners.
type note struct {
	applies   func(c jetstream.StreamConfig, subject string) bool
	listening bool
	says      func(c jetstream.StreamConfig, subject string) string
}

// shortWindow is shorter than most outages.
const shortWindow = 30 * time.Second

var notes = []note{
	{func(c jetstream.StreamConfig, _ string) bool { return c.NoAck }, false, func(c jetstream.StreamConfig, _ string) string {
		return fmt.Sprintf("%s answers no publisher (no_ack): it is not known which events are stored", c.Name)
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
			return fmt.Sprintf("%s detects a repeat for %v only: an outage that is longer leaves published events in doubt", c.Name, c.Duplicates)
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

// notesOn returns the notes on a stream for a listener to subject, or with all, also those
// for a publisher.
func notesOn(c jetstream.StreamConfig, subject string, all bool) []string {
	var lines []string
	for _, n := range notes {
		if (all || n.listening) && n.applies(c, subject) {
			lines = append(lines, "the stream "+n.says(c, subject))
		}
	}
	return lines
}

// transforms reports whether a stream stores events published to subject under another
// subject.
func transforms(c jetstream.StreamConfig, subject string) bool {
	t := c.SubjectTransform
	return t != nil && (t.Source == "" || broker.Covers(t.Source, subject))
}

// renaming returns the subject transform for events of subject that the stream copies from
// others, the zero value if there is none.
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

// explainConsumer wraps the error of creating a consumer in its reason.
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

// Notes returns the notes on the stream that stores subject, once that is cached.
func (s *Session) Notes(subject string) []string {
	return notesOn(s.streams[subject].Config, subject, true)
}
