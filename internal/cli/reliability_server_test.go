//go:build unix

package cli_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// stored returns the numbers of all events in the channel, in its order.
func stored(t *testing.T, url string) []int {
	t.Helper()
	p := runProcess(t, url, "listen", channel, "--until-end", "-o", "json")
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
	t.Parallel()
	for name, late := range map[string]bool{"back at once": false, "back too late": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, "", func(t *testing.T, s broker) {
				random := seeded(t)
				w := newWire(t, s.Server)
				timeout := "2s"
				if s.jetStream && !late {
					timeout = "15s" // repeats are sent for this long
				}
				p := runProcess(t, w.URL, "publish", channel, "--data", "-", "-o", "json", "--timeout", timeout)
				enough := make(chan struct{})
				go feedUntil(enough, p)
				p.awaitLines(1 + random.IntN(20000))
				s.Kill()
				begin := time.Now()
				if !late {
					s.restart()
					close(enough)
				}
				code := p.wait(20 * time.Second)
				took := time.Since(begin)
				if late {
					s.restart()
					close(enough)
				}
				acked, kept := w.acked(p), stored(t, s.URL)
				t.Logf("exit code %d %v after the kill; %d acked, %d stored, %d sent", code, took, len(acked), len(kept), len(w.all()))
				// The last event acked or stored must not precede a missing one,
				// and there are no duplicates.
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
					s.tells(p, code, len(acked), len(kept))
				}
				// JetStream drops repeats, so publish sends unacked events again.
				if s.jetStream && (code == 0) == late {
					t.Errorf("exit code %d", code)
				}
			})
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

// tells fails the test unless a failed publish reported the events in doubt, with
// the matching exit code.
func (s broker) tells(p *process, code, acked, kept int) {
	p.t.Helper()
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
		p.t.Errorf("said that event %d failed first, and it was %d", failed, acked+1)
	}
	if good != acked {
		p.t.Errorf("said that %d were acked, and told of %d", good, acked)
	}
	switch {
	case doubt == 0 && (code != 3 || kept != acked):
		p.t.Errorf("exit code %d, no event is in doubt; %d acked, %d stored", code, acked, kept)
	case !s.jetStream && sent != acked+doubt: // on JetStream, some may have waited for a connection
		p.t.Errorf("%d acked and %d in doubt are not %d", acked, doubt, sent)
	case doubt > 0 && (code != 5 || sent < acked+doubt || kept > acked+doubt):
		p.t.Errorf("exit code %d, %d in doubt of %d; %d acked, %d stored", code, doubt, sent, acked, kept)
	}
}

func TestServerKilledUnderASlowPublish(t *testing.T) {
	t.Parallel()
	onEach(t, "", func(t *testing.T, s broker) {
		const each, kills = 10, 4
		random := seeded(t)
		w := newWire(t, s.Server)
		// A busy machine needs more than the default 5 s to start a server again.
		p := runProcess(t, w.URL, "publish", channel, "--data", "-", "-o", "json", "--rate", "200", "--timeout", "30s")
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
			s.restart()
			feed(i*each+early+1, (i+1)*each)
			p.awaitLines((i + 1) * each)
		}
		if err := p.stdin.Close(); err != nil {
			t.Fatal(err)
		}
		p.endsWith(0, 20*time.Second)
		const events = (kills + 1) * each
		sent := w.all()
		if s.jetStream { // it may take an event more than once until it is ready
			sent = slices.Compact(sent)
		}
		for name, got := range map[string][]int{"acked": w.acked(p), "stored": stored(t, s.URL), "sent": sent} {
			if !slices.Equal(got, numbered(events)) {
				t.Errorf("%s: %v", name, got)
			}
		}
		if !p.says("connecting again") || !p.says("connected again") {
			t.Error("nobody was told")
		}
	})
}

// A server that comes back takes connections before it takes events.
func TestSlowPublishWaitsUntilTheServerIsReady(t *testing.T) {
	t.Parallel()
	onEach(t, "", func(t *testing.T, s broker) {
		w := newWire(t, s.Server)
		p := runProcess(t, w.URL, "publish", channel, "--data", "-", "-o", "json", "--rate", "200", "--timeout", "20s")
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
		other := runProcess(t, unready.URL, "publish", channel, "--sample")
		other.endsWith(3, 10*time.Second) // time enough for the first to do something wrong
		unready.Kill()
		w.lead(s.Server)
		s.restart()
		p.endsWith(0, 20*time.Second)
		if acked, kept := w.acked(p), stored(t, s.URL); !slices.Equal(acked, numbered(5)) || !slices.Equal(kept, acked) {
			t.Errorf("acked %v, stored %v", acked, kept)
		}
	})
}
