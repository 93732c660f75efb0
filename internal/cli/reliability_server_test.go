//go:build unix

package cli_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// stored returns the numbers of all events in the channel, in its order.
func stored(t *testing.T, s *brokertest.Server) []int {
	t.Helper()
	p := runProcess(t, s, "listen", channel, "--until-end", "-o", "json")
	p.endsWith(0, 30*time.Second)
	var events []int
	for i, e := range handledIn(t, p.out.lines()) {
		n, err := strconv.Atoi(e.Data.ID)
		if err != nil || e.Sequence != i+1 {
			t.Fatalf("%s: line %d: %+v", p, i+1, e)
		}
		events = append(events, n)
	}
	return events
}

// numbered returns 1 to to.
func numbered(to int) []int {
	var n []int
	for i := 1; i <= to; i++ {
		n = append(n, i)
	}
	return n
}

func TestServerKilledUnderABusyPublish(t *testing.T) {
	for name, late := range map[string]bool{"back at once": false, "back too late": true} {
		t.Run(name, func(t *testing.T) {
			random := seeded(t)
			s := brokertest.Start(t, brokertest.Config{})
			w := newWire(t, s)
			p := runProcessAt(t, w.URL, "publish", channel, "--data", "-", "-o", "json", "--timeout", "2s")
			enough := make(chan struct{})
			go feedUntil(enough, p)
			p.awaitLines(1 + random.IntN(20000))
			s.Kill()
			begin := time.Now()
			if !late {
				restartKilled(t, s)
				close(enough)
			}
			code := p.wait(20 * time.Second)
			took := time.Since(begin)
			if late {
				restartKilled(t, s)
				close(enough)
			}
			acked, kept := w.acked(p), stored(t, s)
			t.Logf("exit code %d %v after the kill; %d acked, %d stored, %d sent", code, took, len(acked), len(kept), len(w.all()))
			// The last to be acked and stored may not stand behind others
			// that were not.
			for what, events := range map[string][]int{"acked": acked, "stored": kept} {
				if i := inOrder(events); i < len(events) {
					t.Errorf("%d events were %s, the last is %d, and %d is not among them, or not in order",
						len(events), what, events[len(events)-1], i+1)
				}
			}
			switch {
			case len(kept) < len(acked):
				t.Errorf("%d events were acked, and %d stored", len(acked), len(kept))
			case code != 0 && !t.Failed():
				tells(t, p, code, len(acked), len(kept))
			}
		})
	}
}

// inOrder returns how many of events are 1, 2, 3 and so on from the first.
func inOrder(events []int) int {
	for i, event := range events {
		if event != i+1 {
			return i
		}
	}
	return len(events)
}

// feedUntil feeds events, and ends stdin after enough was closed.
func feedUntil(enough <-chan struct{}, p *process) {
	defer func() { _ = p.stdin.Close() }()
	const some = 50
	for n := 1; ; n += some {
		select {
		case <-enough:
			return
		default:
		}
		if p.feed(n, n+some-1) != nil {
			return // it has ended
		}
	}
}

// tells fails the test unless a publish that failed said what is in doubt, and
// had the exit code for it.
func tells(t *testing.T, p *process, code, acked, kept int) {
	t.Helper()
	var failed, good, sent, doubt int
	for _, line := range p.errors.lines() {
		if _, after, found := strings.Cut(line, "publishing event "); found {
			_, _ = fmt.Sscanf(after, "%d to ", &failed)
		}
		if n, _ := fmt.Sscanf(line, "publish: %d of %d events acked; of %d it is not known", &good, &sent, &doubt); n == 0 {
			_, _ = fmt.Sscanf(line, "publish: %d event", &good)
		}
	}
	if failed != acked+1 {
		t.Errorf("said that event %d failed first, and it was %d", failed, acked+1)
	}
	if good != acked {
		t.Errorf("said that %d were acked, and told of %d", good, acked)
	}
	switch {
	case doubt == 0 && (code != 3 || kept != acked):
		t.Errorf("exit code %d, no event is in doubt; %d acked, %d stored", code, acked, kept)
	case doubt > 0 && (code != 5 || sent != acked+doubt || kept > sent):
		t.Errorf("exit code %d, %d in doubt of %d; %d acked, %d stored", code, doubt, sent, acked, kept)
	}
}

func TestServerKilledUnderASlowPublish(t *testing.T) {
	const each, kills = 10, 4
	random := seeded(t)
	s := brokertest.Start(t, brokertest.Config{})
	w := newWire(t, s)
	p := runProcessAt(t, w.URL, "publish", channel, "--data", "-", "-o", "json", "--rate", "200")
	feed := func(from, to int) {
		t.Helper()
		if err := p.feed(from, to); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
	}
	feed(1, each)
	p.awaitLines(each)
	for i := 1; i <= kills; i++ { // nothing is in flight
		s.Kill()
		w.awaitOpen(t, 0)
		early := random.IntN(2) * random.IntN(each)
		feed(i*each+1, i*each+early) // these find no server
		restartKilled(t, s)
		feed(i*each+early+1, (i+1)*each)
		p.awaitLines((i + 1) * each)
	}
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	p.endsWith(0, 20*time.Second)
	const events = (kills + 1) * each
	for name, got := range map[string][]int{"acked": w.acked(p), "stored": stored(t, s), "sent": w.all()} {
		if !slices.Equal(got, numbered(events)) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !p.says("connecting again") || !p.says("connected again") {
		t.Error("nobody was told")
	}
}

// A server that comes back takes connections before it takes events.
func TestSlowPublishWaitsUntilTheServerIsReady(t *testing.T) {
	s := brokertest.Start(t, brokertest.Config{})
	w := newWire(t, s)
	p := runProcessAt(t, w.URL, "publish", channel, "--data", "-", "-o", "json", "--rate", "200", "--timeout", "20s")
	if err := p.feed(1, 1); err != nil {
		t.Fatal(err)
	}
	p.awaitLines(1)
	s.Kill()
	w.awaitOpen(t, 0)
	unready := brokertest.Start(t, brokertest.Config{Plain: true})
	w.lead(unready)
	w.awaitOpen(t, 1)
	p.feedAll(2, 5)
	other := runProcess(t, unready, "publish", channel, "--sample")
	other.endsWith(3, 10*time.Second) // time enough for the first to do something wrong
	unready.Kill()
	w.lead(s)
	restartKilled(t, s)
	p.endsWith(0, 20*time.Second)
	if acked, kept := w.acked(p), stored(t, s); !slices.Equal(acked, numbered(5)) || !slices.Equal(kept, acked) {
		t.Errorf("acked %v, stored %v", acked, kept)
	}
}

func TestServerKilledUnderAListen(t *testing.T) {
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
			const events = 3000
			random := seeded(t)
			s := brokertest.Start(t, brokertest.Config{StreamingExtra: deadSoon})
			published(t, s, 1, events)
			c := newCrew(t, s, test.members, test.args...)
			for _, p := range c.members {
				p.awaitSaying("listening to")
			}
			for _, moment := range moments(random, test.kills, events/2) {
				c.await(moment)
				s.Kill()
				restartKilled(t, s)
			}
			published(t, s, events+1, events+10)
			c.awaitAll(events + 10)
			for _, p := range c.members {
				p.awaitSaying("joined again")
			}
			c.stopAll()
			// The server loses what it did not write; a member knows what it
			// has handled itself.
			if twice := c.twice(); test.members == 1 && len(twice) > 0 {
				t.Errorf("%d events were handled more than once: %v …", len(twice), twice[:min(10, len(twice))])
			}
		})
	}
}

func TestServerKilledUnderAListenWithoutReconnect(t *testing.T) {
	s := brokertest.Start(t, brokertest.Config{})
	published(t, s, 1, 1)
	p := runProcess(t, s, "listen", channel, "--group", "g", "-o", "json", "--no-reconnect")
	p.awaitLines(1)
	s.Kill()
	p.endsWith(3, 10*time.Second)
	if !p.says("the connection was lost") {
		t.Error("the reason was not told")
	}
}

// freeze freezes the server, and waits until a new connection is not greeted
// for some time.
func freeze(t *testing.T, s *brokertest.Server, silence time.Duration) {
	t.Helper()
	s.Freeze()
	brokertest.Eventually(t, "the server is frozen", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "nats://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if err := c.SetReadDeadline(time.Now().Add(silence)); err != nil {
			t.Fatal(err)
		}
		_, err = c.Read(make([]byte, 1))
		return errors.Is(err, os.ErrDeadlineExceeded)
	})
}

func TestPublishToAFrozenServerIsInDoubt(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	p := runProcess(t, s, "publish", channel, "--data", "-", "--timeout", "1s")
	if err := p.feed(1, 1); err != nil {
		t.Fatal(err)
	}
	p.awaitLines(1) // it is connected
	freeze(t, s, 100*time.Millisecond)
	begin := time.Now()
	p.feedAll(2, 2)
	p.endsWith(5, 15*time.Second)
	if took := time.Since(begin); took < 900*time.Millisecond || took > 4*time.Second {
		t.Errorf("ended after %v", took)
	} else {
		t.Logf("ended after %v", took)
	}
	if !p.says("may have stored it") || !p.says("1 of 2 events acked") || !p.says("publishing event 2 ") {
		t.Error("the doubt was not told")
	}
	late := runProcess(t, s, "publish", channel, "--sample", "--timeout", "1s")
	late.endsWith(3, 15*time.Second)
	s.Thaw()
	if got := stored(t, s); !slices.Equal(got, numbered(1)) && !slices.Equal(got, numbered(2)) {
		t.Errorf("stored: %v", got)
	}
}

// Stdin may stay open for hours, as after tail -f.
func TestDoubtIsToldWhileStdinIsOpen(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	p := runProcess(t, s, "publish", channel, "--data", "-", "--timeout", "1s")
	if err := p.feed(1, 1); err != nil {
		t.Fatal(err)
	}
	p.awaitLines(1)
	freeze(t, s, 100*time.Millisecond)
	if err := p.feed(2, 2); err != nil {
		t.Fatal(err)
	}
	p.endsWith(5, 10*time.Second)
	s.Thaw()
}

func TestShortFreezeLosesNothing(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	p := runProcess(t, s, "publish", channel, "--data", "-", "--timeout", "10s", "-o", "json")
	if err := p.feed(1, 1); err != nil {
		t.Fatal(err)
	}
	p.awaitLines(1)
	freeze(t, s, 100*time.Millisecond)
	p.feedAll(2, 5000)
	freeze(t, s, time.Second)
	s.Thaw()
	p.endsWith(0, 20*time.Second)
	if n := len(p.out.lines()); n != 5000 {
		t.Errorf("%d lines", n)
	}
	if got := stored(t, s); !slices.Equal(got, numbered(5000)) {
		t.Errorf("stored: %v", got)
	}
}

func TestListenNoticesAFrozenServer(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	published(t, s, 1, 3)
	c := newCrew(t, s, 1, "--timeout", "1s")
	c.awaitAll(3)
	freeze(t, s, 100*time.Millisecond)
	begin := time.Now()
	c.members[0].awaitSaying("joining again in")
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("noticed after %v", took)
	} else {
		t.Logf("noticed after %v", took)
	}
	s.Thaw()
	published(t, s, 4, 6)
	c.awaitAll(6)
	c.stopAll()
	if twice := c.twice(); len(twice) > 0 {
		t.Errorf("handled more than once: %v", twice)
	}
}

func TestListenStopsWhileTheServerIsFrozen(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	published(t, s, 1, 3)
	c := newCrew(t, s, 1, "--timeout", "1s")
	c.awaitAll(3)
	freeze(t, s, 100*time.Millisecond)
	begin := time.Now()
	c.members[0].signal(syscall.SIGTERM)
	c.members[0].endsWith(3, 15*time.Second)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("ended after %v", took)
	} else {
		t.Logf("ended after %v", took)
	}
	if !c.members[0].says("closing the session") || !c.members[0].says("handled 3 events") {
		t.Error("what happened was not told")
	}
}
