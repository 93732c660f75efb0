//go:build unix

package cli_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// Events are numbered, and published in order by one client to an empty
// channel: number and sequence are the same, which every test relies on.
const channel = "ticket:created"

// deadSoon makes the server notice a dead client after about 2 s.
const deadSoon = "hb_interval: \"1s\"\n  hb_timeout: \"1s\"\n  hb_fail_count: 1"

// seeded returns random numbers that a failed run can be repeated with.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("RELIABILITY_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("RELIABILITY_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// moments returns n random numbers of events from 1 to most, the lowest first.
func moments(random *rand.Rand, n, most int) []int {
	m := make([]int, n)
	for i := range m {
		m[i] = 1 + random.IntN(most)
	}
	slices.Sort(m)
	return m
}

// publishing starts a publish of the events up to n.
func publishing(t *testing.T, s *brokertest.Server, from, to int, args ...string) *process {
	t.Helper()
	p := runProcess(t, s, append([]string{"publish", channel, "--data", "-"}, args...)...)
	p.feedAll(from, to)
	return p
}

// published has events stored and acked, every one.
func published(t *testing.T, s *brokertest.Server, from, to int) {
	t.Helper()
	p := publishing(t, s, from, to)
	p.endsWith(0, 30*time.Second)
	if lines := p.out.lines(); len(lines) != to-from+1 {
		t.Fatalf("%s: %d lines for the events %d to %d", p, len(lines), from, to)
	}
}

// handledEvent is one line of listen -o json.
type handledEvent struct {
	Subject    string
	Sequence   int
	Deliveries int
	Data       struct{ ID string }
}

// handledIn reads such lines.
func handledIn(t testing.TB, lines []string) []handledEvent {
	t.Helper()
	events := make([]handledEvent, len(lines))
	for i, line := range lines {
		if err := json.Unmarshal([]byte(line), &events[i]); err != nil {
			t.Fatalf("line %d: %v: %s", i+1, err, line)
		}
	}
	return events
}

// A crew is the members of a group, and what all of them have handled.
type crew struct {
	t       *testing.T
	server  *brokertest.Server
	args    []string
	members []*process
	all     []*process // members, and those that ended
	read    map[*process]int
	times   map[int]int // how often each event was handled
	handled int
}

func newCrew(t *testing.T, s *brokertest.Server, size int, args ...string) *crew {
	c := &crew{
		t: t, server: s, members: make([]*process, size), read: make(map[*process]int), times: make(map[int]int),
		args: append([]string{"listen", channel, "--group", "g", "-o", "json"}, args...),
	}
	for i := range c.members {
		c.replace(i)
	}
	return c
}

// replace puts a new member in the place of one that ended.
func (c *crew) replace(i int) {
	c.t.Helper()
	c.members[i] = runProcess(c.t, c.server, c.args...)
	c.all = append(c.all, c.members[i])
}

// count reads on in every output, and returns how many lines there are.
func (c *crew) count() int {
	c.t.Helper()
	for _, p := range c.all {
		lines := p.out.lines()
		for _, e := range handledIn(c.t, lines[c.read[p]:]) {
			if e.Subject != channel || e.Deliveries < 1 || e.Data.ID != strconv.Itoa(e.Sequence) {
				c.t.Fatalf("%s: no event was published like this: %+v", p, e)
			}
			c.times[e.Sequence]++
			c.handled++
		}
		c.read[p] = len(lines)
	}
	return c.handled
}

func (c *crew) await(n int) {
	c.t.Helper()
	brokertest.Eventually(c.t, fmt.Sprintf("the group has handled %d times", n), func() bool { return c.count() >= n })
}

// awaitAll waits until every event from 1 to n was handled.
func (c *crew) awaitAll(n int) {
	c.t.Helper()
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Logf("handled %d times; never: %v", c.count(), c.never(n))
		}
	})
	brokertest.Eventually(c.t, "every event was handled", func() bool { c.count(); return len(c.times) >= n })
	if lost := c.never(n); len(lost) > 0 || len(c.times) != n {
		c.t.Fatalf("%d of %d events were handled; lost: %v", len(c.times), n, lost)
	}
}

func (c *crew) never(n int) []int {
	var lost []int
	for event := 1; event <= n; event++ {
		if c.times[event] == 0 {
			lost = append(lost, event)
		}
	}
	return lost
}

// twice returns the events that were handled more than once.
func (c *crew) twice() []int {
	var twice []int
	for event, times := range c.times {
		if times > 1 {
			twice = append(twice, event)
		}
	}
	slices.Sort(twice)
	return twice
}

// stop ends a member as a deployment does.
func (c *crew) stop(i int) {
	c.t.Helper()
	c.members[i].awaitSaying("listening to") // before, nothing catches the signal for sure
	c.members[i].signal(syscall.SIGTERM)
	c.members[i].endsWith(0, 15*time.Second)
}

func (c *crew) stopAll() {
	c.t.Helper()
	for i := range c.members {
		c.stop(i)
	}
	c.count()
}

func TestKilledMembersLoseNothing(t *testing.T) {
	for name, load := range map[string]struct{ listen, publish []string }{
		"members wait": {nil, []string{"--rate", "2500"}},
		"events wait":  {[]string{"--delay", "1ms", "--max-in-flight", "256"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			const events, kills = 5000, 25
			random := seeded(t)
			s := brokertest.Start(t, brokertest.Config{StreamingExtra: deadSoon})
			c := newCrew(t, s, 3, append(load.listen, "--ack-wait", "1s")...)
			publisher := publishing(t, s, 1, events, load.publish...)
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
	}
}

func TestStoppedMembersLoseAndRepeatNothing(t *testing.T) {
	for name, test := range map[string]struct {
		members, stops int
		apart, spread  int // events handled between two stops
		listen         []string
		publish        []string
	}{
		"one after another": {1, 50, 0, 100, []string{"--delay", "1ms"}, nil},
		// The server has a race of its own: 100 ms after a member has left, it
		// sends what that one held to others, and of a member that leaves
		// while this goes on, it gives each event to two others (in
		// performAckExpirationRedelivery and subStore.Remove). The members
		// need more than twice as long for the events between two stops.
		"members wait": {3, 20, 700, 200, nil, []string{"--rate", "2500"}},
		"events wait":  {3, 15, 900, 300, []string{"--delay", "1ms"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			random := seeded(t)
			events := test.stops * (test.apart + test.spread)
			s := brokertest.Start(t, brokertest.Config{})
			c := newCrew(t, s, test.members, test.listen...)
			publisher := publishing(t, s, 1, events, test.publish...)
			for range test.stops {
				c.await(min(c.count()+test.apart+random.IntN(test.spread), events))
				i := random.IntN(len(c.members))
				c.stop(i)
				c.replace(i)
			}
			publisher.endsWith(0, 30*time.Second)
			c.awaitAll(events)
			c.stopAll()
			if twice := c.twice(); len(twice) > 0 {
				t.Errorf("%d events were handled more than once: %v …", len(twice), twice[:min(10, len(twice))])
			}
		})
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	for _, which := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(which.String(), func(t *testing.T) {
			t.Parallel()
			if signal.Ignored(which) {
				t.Skip("this test's process ignores the signal, and so would the program")
			}
			s := brokertest.Start(t, brokertest.Config{StreamingExtra: deadSoon})
			args := []string{"listen", channel, "--group", "g", "--ack-wait", "1s", "-o", "json"}
			p := runProcess(t, s, append(args, "--delay", "1m")...)
			published(t, s, 1, 1)
			p.awaitLines(1) // the handler is at work
			p.signal(which)
			published(t, s, 2, 2) // time enough to end, if one signal did that
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
			next := runProcess(t, s, append(args, "--count", "2")...)
			next.endsWith(0, 20*time.Second)
			got := handledIn(t, next.out.lines())
			slices.SortFunc(got, func(a, b handledEvent) int { return a.Sequence - b.Sequence })
			if len(got) != 2 || got[0].Data.ID != "1" || got[1].Data.ID != "2" {
				t.Errorf("the event in hand was not acked, and the next member got %+v", got)
			}
		})
	}
}
