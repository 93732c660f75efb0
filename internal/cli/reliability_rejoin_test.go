//go:build unix

package cli_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

func TestServerKilledUnderAListen(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		members, kills int
		args           []string
	}{
		{1, 1, nil},
		// The acks of up to 700 events are lost, and that these were sent.
		{1, 3, []string{"--delay", "1ms", "--max-in-flight", "32"}},
		{2, 3, []string{"--delay", "1ms"}},
	} {
		t.Run(fmt.Sprintf("members %d kills %d", test.members, test.kills), func(t *testing.T) {
			t.Parallel()
			onEach(t, deadSoon, func(t *testing.T, s broker) {
				const events = 3000
				random := seeded(t)
				published(t, s.URL, 1, events)
				// JetStream has no sessions: what one held is redelivered after the ack
				// wait, not at once. So is, on NATS Streaming, what it hands on to a member
				// that is late with an answer to a heartbeat.
				ackWait := "10s"
				if s.jetStream {
					ackWait = "1s"
				}
				args := slices.Concat(test.args, []string{"--ack-wait", ackWait})
				c := newCrew(t, s.URL, test.members, args...)
				c.awaitJoined()
				for _, moment := range moments(random, test.kills, events/2) {
					c.await(moment)
					s.Kill()
					s.restart()
				}
				published(t, s.URL, events+1, events+10)
				c.awaitAll(events + 10)
				for _, p := range c.members {
					p.awaitSaying("joined again")
				}
				c.stopAll()
				// The server loses data not yet on disk; a member remembers the
				// events it has handled.
				if test.members == 1 {
					c.repeatedNothing()
				}
			})
		})
	}
}

// Nothing is in flight when the server goes away, nor sent before the loss is
// noticed: NATS Streaming would leave it in doubt.
func TestServerAwayForSeconds(t *testing.T) {
	t.Parallel()
	onEach(t, "", func(t *testing.T, s broker) {
		const events, attempts = 500, 7
		c := newCrew(t, s.URL, 1)
		p := runProcess(t, s.URL, "publish", channel, "--data", "-", "--timeout", "30s")
		if err := p.feed(1, events); err != nil {
			t.Fatal(err)
		}
		p.awaitLines(events)
		c.awaitAll(events)
		s.Kill()
		begin := time.Now()
		p.awaitSaying("connecting again") // data sent before is in flight
		p.feedAll(events+1, 2*events)
		brokertest.Eventually(t, "the listener has tried again and again", func() bool {
			return strings.Count(c.members[0].errors.all(), "joining again in") > attempts
		})
		s.restart()
		t.Logf("the server was away for %v", time.Since(begin))
		p.endsWith(0, 30*time.Second)
		c.awaitAll(2 * events)
		c.stopAll()
		c.repeatedNothing()
		if got := stored(t, s.URL); !slices.Equal(got, numbered(2*events)) {
			t.Errorf("stored: %v", got)
		}
	})
}

func TestServerKilledUnderAListenWithoutReconnect(t *testing.T) {
	t.Parallel()
	onEach(t, "", func(t *testing.T, s broker) {
		published(t, s.URL, 1, 1)
		p := runProcess(t, s.URL, "listen", channel, "--group", "g", "-o", "json", "--no-reconnect")
		p.awaitLines(1)
		s.Kill()
		p.endsWith(3, 10*time.Second)
		if !p.says("the connection was lost") {
			t.Error("the reason was not told")
		}
	})
}
