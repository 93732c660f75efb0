//go:build unix

package cli_test

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// freeze freezes the server, and waits until a new connection is not greeted
// for some time.
func (s broker) freeze(silence time.Duration) {
	s.t.Helper()
	s.Freeze()
	brokertest.Eventually(s.t, "the server is frozen", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "nats://"))
		if err != nil {
			s.t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if err := c.SetReadDeadline(time.Now().Add(silence)); err != nil {
			s.t.Fatal(err)
		}
		_, err = c.Read(make([]byte, 1))
		return errors.Is(err, os.ErrDeadlineExceeded)
	})
}

func TestPublishToAFrozenServerIsInDoubt(t *testing.T) {
	t.Parallel()
	onEach(t, "", func(t *testing.T, s broker) {
		p := runProcess(t, s.URL, "publish", channel, "--data", "-", "--timeout", "1s")
		if err := p.feed(1, 1); err != nil {
			t.Fatal(err)
		}
		p.awaitLines(1) // it is connected
		s.freeze(100 * time.Millisecond)
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
		late := runProcess(t, s.URL, "publish", channel, "--sample", "--timeout", "1s")
		late.endsWith(3, 15*time.Second)
		s.Thaw()
		if got := stored(t, s.URL); !slices.Equal(got, numbered(1)) && !slices.Equal(got, numbered(2)) {
			t.Errorf("stored: %v", got)
		}
	})
}

// Stdin may stay open for hours, as after tail -f.
func TestDoubtIsToldWhileStdinIsOpen(t *testing.T) {
	t.Parallel()
	onEach(t, "", func(t *testing.T, s broker) {
		p := runProcess(t, s.URL, "publish", channel, "--data", "-", "--timeout", "1s")
		if err := p.feed(1, 1); err != nil {
			t.Fatal(err)
		}
		p.awaitLines(1)
		s.freeze(100 * time.Millisecond)
		if err := p.feed(2, 2); err != nil {
			t.Fatal(err)
		}
		p.endsWith(5, 10*time.Second)
		s.Thaw()
	})
}

func TestShortFreezeLosesNothing(t *testing.T) {
	t.Parallel()
	onEach(t, "", func(t *testing.T, s broker) {
		p := runProcess(t, s.URL, "publish", channel, "--data", "-", "--timeout", "10s", "-o", "json")
		if err := p.feed(1, 1); err != nil {
			t.Fatal(err)
		}
		p.awaitLines(1)
		s.freeze(100 * time.Millisecond)
		p.feedAll(2, 5000)
		s.freeze(time.Second)
		s.Thaw()
		p.endsWith(0, 20*time.Second)
		if n := len(p.out.lines()); n != 5000 {
			t.Errorf("%d lines", n)
		}
		if got := stored(t, s.URL); !slices.Equal(got, numbered(5000)) {
			t.Errorf("stored: %v", got)
		}
	})
}

func TestListenNoticesAFrozenServer(t *testing.T) {
	t.Parallel()
	onEach(t, "", func(t *testing.T, s broker) {
		published(t, s.URL, 1, 3)
		c := newCrew(t, s.URL, 1, "--timeout", "1s")
		c.awaitAll(3)
		s.freeze(100 * time.Millisecond)
		begin := time.Now()
		c.members[0].awaitSaying("joining again in")
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("noticed after %v", took)
		} else {
			t.Logf("noticed after %v", took)
		}
		s.Thaw()
		published(t, s.URL, 4, 6)
		c.awaitAll(6)
		c.stopAll()
		c.repeatedNothing()
	})
}

func TestListenStopsWhileTheServerIsFrozen(t *testing.T) {
	t.Parallel()
	onEach(t, "", func(t *testing.T, s broker) {
		published(t, s.URL, 1, 3)
		c := newCrew(t, s.URL, 1, "--timeout", "1s")
		c.awaitAll(3)
		s.freeze(100 * time.Millisecond)
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
	})
}
