// Package jetstream takes snapshots of an account's streams and consumers through the
// JetStream API.
//
// The package's rule: it reads only, and every read is limited.
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

// mostConsumers is the maximum number of consumers in a snapshot.
const mostConsumers = 100_000

// longAway is how long a replica must be silent to be called away. Servers of a cluster
// exchange messages every second.
const longAway = 10 * time.Second

// A Reader takes snapshots of an account's streams and consumers.
type Reader struct {
	JS jetstream.JetStream

	// Ask makes a request with a time-out, and explains its error.
	Ask func(context.Context, func(context.Context) error) error

	// Members returns the members that answer for each of several consumers, given as
	// [stream, name]. JetStream does not know them.
	Members func(ctx context.Context, consumers [][2]string) ([][]monitor.Member, error)

	// GroupOf returns the group in a consumer's name, for a subject.
	GroupOf func(consumer, subject string) (group string, ok bool)
}

// Read returns the streams that store one of subjects, and their consumers for them. In
// subjects, * stands for any text. Without subjects it returns all.
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
			continue // its consumers can't be listed
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
	if !unknown { // else it may be in a stream without a leader
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
				return fmt.Errorf("more than %d consumers: name the subjects to look at", mostConsumers)
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

// members asks for the members of the consumers, and computes Lost.
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
			if m.Work != nil {
				held += m.Work.Passed // the broker waits, and counts them as unacked
			}
			sub.Stalled = sub.Stalled || m.Stalled
			m.AckWait = sub.AckWait
			sub.Members = append(sub.Members, m)
		}
		slices.SortFunc(sub.Members, func(a, b monitor.Member) int { return cmp.Compare(a.Client, b.Client) })
		// Programs that pull otherwise don't answer, and may hold the events.
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
	// A working client has an open pull request, or recent events still to be acked.
	working := s.Unacked > 0 && now.Sub(lastDelivery) < s.AckWait
	s.Push = info.Config.DeliverSubject != ""
	s.Offline = !info.PushBound && s.Waiting == 0 && !working
	return s
}

// overlaps reports whether a filter covers one of the names asked for, or matches one. It
// is true if asked is empty.
func overlaps(asked []string, filter string) bool {
	return len(asked) == 0 || monitor.Wanted(asked, filter) || slices.ContainsFunc(asked, func(a string) bool {
		return covers(filter, a) || strings.Contains(a, "*") && strings.ContainsAny(filter, "*>") // two patterns may overlap
	})
}

// Replayed returns how many events of subject, in stream c, were delivered to a consumer.
// They are delivered again if it is deleted.
func (r *Reader) Replayed(ctx context.Context, c *monitor.Channel, s *monitor.Subscription, subject string) (uint64, error) {
	stored, err := r.count(ctx, c.Name, subject)
	if err != nil {
		return 0, err
	}
	return stored - min(stored, s.Lag), nil
}
