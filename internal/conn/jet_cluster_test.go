package conn_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/link"
)

// A consumer of three replicas that was made a moment ago may answer before its
// leader has counted what waits: that is no end.
func TestEndOfAConsumerThatWasJustMade(t *testing.T) {
	t.Parallel()
	c := brokertest.StartCluster(t, 3)
	brokertest.NoLeaks(t)
	const events, groups = 500, 12
	o := link.Options{Servers: c.URLs(), CreateStream: true, Replicas: 3}
	publish(t, o, "orders", 1, events)
	for group := range groups {
		both := &recorder{}
		var members sync.WaitGroup
		for range 2 {
			l := member(o, "orders")
			l.Subscription.Group = fmt.Sprint("group", group)
			l.Subscription.Durable = l.Subscription.Group
			l.UntilEnd, l.Subscription.MaxInFlight = true, 16
			members.Go(func() {
				end, err := l.Run(soon(t), both)
				if end != conn.EndReached || err != nil {
					t.Errorf("end %v, error %v", end, err)
				}
				if got := both.seen(); !slices.Equal(sorted(got), sorted(numbers(1, events))) {
					t.Errorf("group %d: a member came to the end after %d of %d events", group, len(got), events)
				}
			})
		}
		members.Wait()
	}
}
