//go:build unix

package cli_test

import (
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

func TestKilledMembersLoseNothing(t *testing.T) {
	t.Parallel()
	for name, load := range map[string]struct{ listen, publish []string }{
		"members wait": {nil, []string{"--rate", "2500"}},
		"events wait":  {[]string{"--delay", "1ms", "--max-in-flight", "256"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, deadSoon, func(t *testing.T, s broker) {
				const events, kills = 5000, 25
				random := seeded(t)
				c := newCrew(t, s.URL, 3, slices.Concat(load.listen, []string{"--ack-wait", "1s"})...)
				publisher := publishing(t, s.URL, 1, events, load.publish...)
				for _, moment := range moments(random, kills, events) {
					c.await(moment)
					i := random.IntN(len(c.members))
					c.members[i].kill()
					c.replace(i)
				}
				publisher.endsWith(0, 30*time.Second)
				c.awaitAll(events)
				c.stopAll()
				t.Logf("%d events were handled more than once", len(c.twice()))
			})
		})
	}
}

// NATS Streaming has a race: 100 ms after a member left, it redelivers that one's
// events, and if another member leaves during this, it delivers each event to two
// others (performAckExpirationRedelivery and subStore.Remove). So the next member
// leaves once the others have handled all events delivered by then.
func TestStoppedMembersLoseAndRepeatNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		members, stops  int
		inFlight        int // of each member
		between, spread int // events handled between two stops, at most: surely, and at random
		listen, publish []string
	}{
		"one after another": {1, 50, 64, 0, 100, []string{"--delay", "1ms"}, nil},
		"members wait":      {3, 20, 64, 500, 200, nil, []string{"--rate", "2500"}},
		"events wait":       {3, 15, 256, 1000, 300, []string{"--delay", "1ms"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, "", func(t *testing.T, s broker) {
				random := seeded(t)
				heard := newAckLog(s)
				events := test.stops * (test.between + test.spread)
				// Events lost by the server on the way are redelivered within the wait.
				c := newCrew(t, s.URL, test.members, slices.Concat(test.listen,
					[]string{"--max-in-flight", strconv.Itoa(test.inFlight), "--ack-wait", "20s"})...)
				publisher := publishing(t, s.URL, 1, events, test.publish...)
				for range test.stops {
					c.await(min(c.count()+random.IntN(test.spread), events))
					i := random.IntN(len(c.members))
					c.stop(i)
					c.replace(i)
					if test.members > 1 {
						c.awaitUpTo(min(c.latest()+test.members*test.inFlight, events))
					}
				}
				publisher.endsWith(0, 30*time.Second)
				c.awaitAll(events)
				c.stopAll()
				c.repeatedNothing()
				heard.oneEach(events)
			})
		})
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	for _, which := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(which.String(), func(t *testing.T) {
			t.Parallel()
			if signal.Ignored(which) {
				t.Skip("this test's process ignores the signal, and so would the program")
			}
			onEach(t, deadSoon, func(t *testing.T, s broker) { secondSignalEnds(t, s, which) })
		})
	}
}

func secondSignalEnds(t *testing.T, s broker, which syscall.Signal) {
	args := []string{"listen", channel, "--group", "g", "--ack-wait", "1s", "-o", "json"}
	p := runProcess(t, s.URL, append(args, "--delay", "1m")...)
	published(t, s.URL, 1, 1)
	p.awaitLines(1) // the handler is at work
	p.signal(which)
	published(t, s.URL, 2, 2) // time enough to end, if one signal did that
	if !p.running() {
		t.Fatal("the first signal ended it")
	}
	begin := time.Now()
	sent := 0
	brokertest.Eventually(t, "a second signal ended it", func() bool {
		_ = p.cmd.Process.Signal(which) // again, as signals that come together count as one
		sent++
		return !p.running()
	})
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("ended after %v", took)
	}
	t.Logf("%d signals after the first", sent)
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != which {
		t.Errorf("ended with %v", p.cmd.ProcessState)
	}
	next := runProcess(t, s.URL, append(args, "--count", "2")...)
	next.endsWith(0, 20*time.Second)
	got := handledIn(t, next.out.lines())
	slices.SortFunc(got, func(a, b handledEvent) int { return a.Sequence - b.Sequence })
	if len(got) != 2 || got[0].Data.ID != "1" || got[1].Data.ID != "2" {
		t.Errorf("the event in hand was not acked, and the next member got %+v", got)
	}
}
