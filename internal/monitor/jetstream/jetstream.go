// Package jetstream reads the state of an account's streams and consumers from the
// JetStream API.
//
// The package's rule: it only looks, and every read is bounded.
package jetstream

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nats-test/internal/monitor"

	"github.com/nats-io/nats.go/jetstream"
)

// mostConsumers bounds one look at JetStream.
const mostConsumers = 100_000

// longAway is how long a replica has not been heard of when it is called away:
// servers of a cluster talk to each other each second.
const longAway = 10 * time.Second

// A Reader looks at the streams and consumers of an account.
type Reader struct {
	JS jetstream.JetStream

	// Ask runs a request, in good time, and explains its error.
	Ask func(context.Context, func(context.Context) error) error

	// Members asks who shares each of several consumers, as [stream, name]:
	// JetStream does not know. Who is not asked, or does not answer, is not
	// among them.
	Members func(ctx context.Context, consumers [][2]string) ([][]monitor.Member, error)

	// GroupOf returns the group that a consumer's name was made of, for a subject.
	GroupOf func(consumer, subject string) (group string, ok bool)
}

// Read returns what JetStream tells of the streams that store one of subjects,
// and of the consumers that want them; * stands for any text there. Without
// subjects it reads all.
func (r *Reader) Read(ctx context.Context, subjects []string) (*monitor.Snapshot, error) {
	s := &monitor.Snapshot{Time: time.Now(), Backend: "jetstream", Channels: []*monitor.Channel{}}
	streams, err := r.streams(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for the streams: %w", err)
	}
	missing, unknown := slices.Clone(subjects), false
	var names [][2]string
	var consumers []*monitor.Subscription
	for _, info := range streams {
		stored, err := r.stored(ctx, info, subjects)
		if err != nil {
			return nil, err
		}
		c := stream(info)
		mute := c.Leaderless && len(c.Subjects) == 0
		unknown = unknown || mute
		if len(subjects) > 0 && len(stored) == 0 && !mute {
			continue
		}
		missing = slices.DeleteFunc(missing, func(subject string) bool { return slices.Contains(stored, subject) })
		s.Channels = append(s.Channels, c)
		if c.Leaderless {
			continue // nobody answers for its consumers
		}
		list, err := r.consumers(ctx, info.Config.Name, mostConsumers-len(names))
		if err != nil {
			return nil, err
		}
		for _, consumer := range list {
			sub := r.subscription(consumer)
			if len(subjects) > 0 && len(sub.Filters) > 0 &&
				!slices.ContainsFunc(sub.Filters, func(f string) bool { return overlaps(subjects, f) }) {
				continue
			}
			c.Subscriptions = append(c.Subscriptions, sub)
			consumers = append(consumers, sub)
			names = append(names, [2]string{info.Config.Name, consumer.Name})
		}
	}
	if !unknown { // else it may be in a stream that nobody answers for
		s.Absent = missing
	}
	slices.SortFunc(s.Channels, func(a, b *monitor.Channel) int { return cmp.Compare(a.Name, b.Name) })
	return s, r.members(ctx, s, names, consumers)
}

func (r *Reader) consumers(ctx context.Context, stream string, most int) ([]*jetstream.ConsumerInfo, error) {
	var found []*jetstream.ConsumerInfo
	err := r.Ask(ctx, func(ctx context.Context) error {
		found = nil
		return pages[jetstream.ConsumerInfo](r.JS, "CONSUMER.LIST."+stream).all(ctx, func(info jetstream.ConsumerInfo) error {
			if len(found) == most {
				return fmt.Errorf("more than %d consumers: name the subjects that are to be looked at", mostConsumers)
			}
			found = append(found, &info)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("asking for the consumers of %q: %w", stream, err)
	}
	slices.SortFunc(found, func(a, b *jetstream.ConsumerInfo) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}

// members asks who shares the consumers, and finds out what nobody holds.
func (r *Reader) members(ctx context.Context, s *monitor.Snapshot, names [][2]string, consumers []*monitor.Subscription) error {
	if r.Members == nil || len(names) == 0 {
		return nil
	}
	answers, err := r.Members(ctx, names)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		s.Notes = append(s.Notes, fmt.Sprintf("members could not be asked: %v", err))
		return nil
	}
	for i, sub := range consumers {
		held := 0
		for _, m := range answers[i] {
			held += m.Unacked
			sub.Stalled = sub.Stalled || m.Stalled
			m.AckWait = sub.AckWait
			sub.Members = append(sub.Members, m)
		}
		slices.SortFunc(sub.Members, func(a, b monitor.Member) int { return cmp.Compare(a.Client, b.Client) })
		// Who pulls by other means does not answer, and may be at work.
		if !sub.Push && (len(sub.Members) > 0 || sub.Waiting == 0 && !sub.Offline) {
			sub.Lost = max(0, sub.Unacked-held)
		}
	}
	return nil
}

func stream(info *jetstream.StreamInfo) *monitor.Channel {
	c := &monitor.Channel{
		Name: info.Config.Name, Subjects: info.Config.Subjects, Events: info.State.Msgs, Bytes: info.State.Bytes,
		First: info.State.FirstSeq, Last: info.State.LastSeq,
		MaxEvents: uint64(max(0, info.Config.MaxMsgs)), MaxBytes: uint64(max(0, info.Config.MaxBytes)),
		Refuses: info.Config.Discard == jetstream.DiscardNew, Subscriptions: []*monitor.Subscription{},
	}
	if info.Cluster != nil && info.Config.Replicas > 1 {
		c.Leaderless = info.Cluster.Leader == ""
		for _, replica := range info.Cluster.Replicas {
			if replica != nil && !replica.Current && (replica.Offline || replica.Active == 0 || replica.Active > longAway) {
				c.Away = append(c.Away, replica.Name)
			}
		}
	}
	return c
}

func (r *Reader) subscription(info *jetstream.ConsumerInfo) *monitor.Subscription {
	s := &monitor.Subscription{
		Consumer: info.Name, Durable: info.Config.Durable, Members: []monitor.Member{}, Filters: info.Config.FilterSubjects,
		Delivered: info.Delivered.Stream, Lag: info.NumPending, Unacked: info.NumAckPending,
		Limit: max(0, info.Config.MaxAckPending), Waiting: info.NumWaiting, Paused: info.Paused, AckWait: info.Config.AckWait,
		AckFloor: info.AckFloor.Stream, Created: info.Created,
	}
	if info.Config.FilterSubject != "" {
		s.Filters = []string{info.Config.FilterSubject}
	}
	if info.Config.AckPolicy == jetstream.AckNonePolicy {
		s.Limit = 0
	}
	for _, filter := range s.Filters {
		if group, ok := r.GroupOf(info.Name, filter); ok && s.Durable != "" {
			s.Group = group
		}
	}
	if info.Config.MaxDeliver > 0 && info.NumAckPending == 0 && info.AckFloor.Stream < info.Delivered.Stream {
		s.GivenUp = info.Delivered.Stream
	}
	now := info.TimeStamp
	moved := info.Created
	for _, at := range []*time.Time{info.Delivered.Last, info.AckFloor.Last} {
		if at != nil && at.After(moved) {
			moved = *at
		}
	}
	var lastDelivery time.Time
	if at := info.Delivered.Last; at != nil {
		lastDelivery = *at
	}
	if s.Quiet = now.Sub(moved); s.Quiet < 0 {
		s.Quiet = 0
	}
	s.Stalled = s.Limit > 0 && s.Unacked >= s.Limit
	// A pull that is at work has asked, or has got something it is still to ack.
	working := s.Unacked > 0 && now.Sub(lastDelivery) < s.AckWait
	s.Push = info.Config.DeliverSubject != ""
	s.Offline = !info.PushBound && s.Waiting == 0 && !working
	return s
}

// overlaps reports whether a filter covers one of the names asked for, or is
// matched by it. All names are asked for if there are none.
func overlaps(asked []string, filter string) bool {
	return len(asked) == 0 || monitor.Wanted(asked, filter) || slices.ContainsFunc(asked, func(a string) bool {
		return covers(filter, a) || strings.Contains(a, "*") && strings.ContainsAny(filter, "*>") // which can't be told apart
	})
}

// Replayed returns how many events of subject, in stream c, a consumer has got:
// so many come again if it is forgotten.
func (r *Reader) Replayed(ctx context.Context, c *monitor.Channel, s *monitor.Subscription, subject string) (uint64, error) {
	stored, err := r.count(ctx, c.Name, subject)
	if err != nil {
		return 0, err
	}
	return stored - min(stored, s.Lag), nil
}
