package streaming

import (
	"context"
	"fmt"
	"slices"

	"nats-test/internal/monitor"
)

// work asks the members of groups and durables that are alive for their work.
func (r *Reader) work(ctx context.Context, s *monitor.Snapshot) error {
	var asked [][3]string
	var subscriptions []*monitor.Subscription
	alive := func(m monitor.Member) bool { return m.State == monitor.Alive }
	for _, c := range s.Channels {
		for _, sub := range c.Subscriptions {
			if (sub.Group != "" || sub.Durable != "") && slices.ContainsFunc(sub.Members, alive) {
				asked, subscriptions = append(asked, [3]string{sub.Durable, sub.Group, c.Name}), append(subscriptions, sub)
			}
		}
	}
	if r.Workers == nil || len(asked) == 0 {
		return nil
	}
	answers, err := r.Workers(ctx, asked)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		s.Notes = append(s.Notes, fmt.Sprintf("workers could not be asked for retries and dead letters: %v", err))
		return nil
	}
	for i, sub := range subscriptions {
		for n := range sub.Members {
			m := &sub.Members[n]
			if at := slices.IndexFunc(answers[i], func(a monitor.Member) bool { return a.Client == m.Client }); at >= 0 {
				m.Work = answers[i][at].Work
			}
		}
	}
	return nil
}
