//go:build unix

package cli_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// A frozen member keeps its events until the ack wait ends. All others go to other
// members at once.
func TestFrozenMemberStallsNoOther(t *testing.T) {
	t.Parallel()
	const before, after, holds = 100, 1000, 10
	for name, ackWait := range map[string]string{"long ack wait": "1m", "short ack wait": "3s"} {
		t.Run(name, func(t *testing.T) {
			onEach(t, "", func(t *testing.T, s broker) {
				c := newCrew(t, s.URL, 3, "--ack-wait", ackWait, "--max-in-flight", "10")
				c.awaitJoined()
				published(t, s.URL, 1, before)
				c.awaitAll(before)
				frozen := c.members[0]
				frozen.signal(syscall.SIGSTOP)
				done := len(frozen.out.lines())
				published(t, s.URL, before+1, after)
				if ackWait == "3s" {
					c.awaitAll(after)
				} else {
					c.await(after - holds) // in time, or Eventually fails
				}
				if more := len(frozen.out.lines()); more > done {
					t.Errorf("the member that is stopped handled %d events", more-done)
				}
				frozen.signal(syscall.SIGCONT)
				c.awaitAll(after)
				c.stopAll()
				// It also handles the events it held, even if others have done so
				// already.
				if twice := c.twice(); ackWait != "3s" && len(twice) > 0 || len(twice) > holds {
					t.Errorf("handled more than once: %v", twice)
				}
			})
		})
	}
}

// A handler slower than the ack wait holds its event, and blocks no other member.
// On JetStream, the ack wait is extended. NATS Streaming has no such ack, and
// delivers the event to others meanwhile.
func TestSlowMember(t *testing.T) {
	t.Parallel()
	onEach(t, "", func(t *testing.T, s broker) {
		const events = 500
		heard := newAckLog(s)
		published(t, s.URL, 1, 1)
		slow := newCrew(t, s.URL, 1, "--ack-wait", "1s", "--delay", "3500ms", "--count", "1")
		slow.await(1) // it is at work
		others := newCrew(t, s.URL, 2, "--ack-wait", "1s")
		published(t, s.URL, 2, events)
		others.await(events - 1)
		if !slow.members[0].running() {
			t.Error("the others had to wait")
		}
		slow.members[0].endsWith(0, 20*time.Second)
		others.stopAll()
		if slow.count(); s.jetStream {
			others.repeatedNothing()
			if heard.oneEach(events); others.times[1] > 0 {
				t.Error("others handled the event meanwhile")
			}
			return
		}
		if others.times[1] == 0 || !slow.members[0].says("raise --ack-wait") {
			t.Errorf("others handled the event %d times meanwhile, and this was not told", others.times[1])
		}
	})
}

// Each of two members takes three times the ack wait for each event.
func TestSlowMembersHandleEachEventOnce(t *testing.T) {
	t.Parallel()
	const events = 4
	s := startJetStream(t) // NATS Streaming would send each event to both
	heard := newAckLog(s)
	c := newCrew(t, s.URL, 2, "--ack-wait", "1s", "--delay", "3s")
	published(t, s.URL, 1, events)
	c.awaitAll(events)
	c.stopAll()
	c.repeatedNothing()
	heard.oneEach(events)
	for _, e := range handledIn(t, slices.Concat(c.members[0].out.lines(), c.members[1].out.lines())) {
		if e.Deliveries != 1 {
			t.Errorf("delivered %d times: %+v", e.Deliveries, e)
		}
	}
	brokertest.Eventually(t, "it was told that the work goes on", func() bool { return heard.told() >= 2*events })
}
