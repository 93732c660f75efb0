//go:build unix

package cli_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
)

// Events are numbered, and published in order by one client to an empty
// channel: number and sequence are the same, which every test relies on.
const channel = "ticket:created"

// deadSoon makes NATS Streaming notice a dead client after about 2 s. JetStream
// notices it at once.
const deadSoon = "hb_interval: \"1s\"\n  hb_timeout: \"1s\"\n  hb_fail_count: 1"

// A broker is a server of one of the two kinds, with an empty channel.
type broker struct {
	*brokertest.Server
	t         *testing.T
	jetStream bool
}

// onEach runs a test on both kinds at the same time. NATS Streaming may have
// more lines in its configuration.
func onEach(t *testing.T, streaming string, test func(t *testing.T, s broker)) {
	t.Helper()
	t.Run("stan", func(t *testing.T) {
		t.Parallel()
		test(t, broker{brokertest.Start(t, brokertest.Config{StreamingExtra: streaming}), t, false})
	})
	t.Run("jetstream", func(t *testing.T) {
		t.Parallel()
		test(t, startJetStream(t))
	})
}

func startJetStream(t *testing.T) broker {
	t.Helper()
	s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	if _, err := s.JetStream().CreateStream(t.Context(), conn.NewStream(channel, 1)); err != nil {
		t.Fatal(err)
	}
	return broker{s, t, true}
}

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
func publishing(t *testing.T, url string, from, to int, args ...string) *process {
	t.Helper()
	p := runProcess(t, url, append([]string{"publish", channel, "--data", "-"}, args...)...)
	p.feedAll(from, to)
	return p
}

// published has events stored and acked, every one.
func published(t *testing.T, url string, from, to int) {
	t.Helper()
	p := publishing(t, url, from, to)
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

// A crew is the members of a group, with the events handled by all of them.
type crew struct {
	t       *testing.T
	url     string
	args    []string
	members []*process
	all     []*process // members, including those that ended
	read    map[*process]int
	times   map[int]int // how often each event was handled
	handled int
	whole   int // every event up to here was handled
}

func newCrew(t *testing.T, url string, size int, args ...string) *crew {
	c := &crew{
		t: t, url: url, members: make([]*process, size), read: make(map[*process]int), times: make(map[int]int),
		args: append([]string{"listen", channel, "--group", "g", "-o", "json"}, args...),
	}
	for i := range c.members {
		c.replace(i)
	}
	return c
}

// replace starts a new member in place of one that ended.
func (c *crew) replace(i int) {
	c.t.Helper()
	c.members[i] = runProcess(c.t, c.url, c.args...)
	c.all = append(c.all, c.members[i])
}

// awaitJoined waits until every member listens.
func (c *crew) awaitJoined() {
	c.t.Helper()
	for _, p := range c.members {
		p.awaitSaying("listening to")
	}
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

// latest returns the highest number of an event that was handled.
func (c *crew) latest() int {
	c.t.Helper()
	c.count()
	return slices.Max(slices.Collect(maps.Keys(c.times)))
}

// awaitUpTo waits until every event from 1 to n was handled.
func (c *crew) awaitUpTo(n int) {
	c.t.Helper()
	defer func() {
		if c.t.Failed() {
			c.t.Logf("handled up to %d: %d; never: %v", c.latest(), c.handled, c.never(n))
		}
	}()
	brokertest.Eventually(c.t, fmt.Sprintf("the group has handled the events up to %d", n), func() bool {
		for c.count(); c.times[c.whole+1] > 0; c.whole++ {
		}
		return c.whole >= n
	})
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

func (c *crew) repeatedNothing() {
	c.t.Helper()
	if twice := c.twice(); len(twice) > 0 {
		c.t.Errorf("%d events were handled more than once: %v …", len(twice), twice[:min(10, len(twice))])
	}
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
