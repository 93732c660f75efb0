//go:build unix

package cli_test

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// interrupted ends p with a signal, which p must report, and returns the number of
// acked events.
func interrupted(t *testing.T, p *process, code int, says string) {
	t.Helper()
	p.signal(syscall.SIGINT)
	p.endsWith(code, 20*time.Second)
	if !regexp.MustCompile(says).MatchString(p.errors.all()) {
		t.Errorf("%s does not say %q: %s", p, says, p.errors.all())
	}
}

func TestInterruptedPublishSaysHowMuchWasDone(t *testing.T) {
	t.Parallel()
	onEach(t, "", func(t *testing.T, s broker) {
		p := runProcess(t, s.URL, "publish", channel, "--sample", "-n", "1000000")
		p.awaitLines(1000)
		interrupted(t, p, 130, `(?m)^publish: interrupted: \d+ of 1000000 events acked$`)
		var acked int
		said := p.errors.all()
		if _, err := fmt.Sscanf(said[strings.Index(said, "interrupted: "):], "interrupted: %d", &acked); err != nil {
			t.Fatal(err)
		}
		if kept := len(storedAny(t, s.URL)); acked != len(p.out.lines()) || acked != kept {
			t.Errorf("%d acked, it says, %d lines, %d stored", acked, len(p.out.lines()), kept)
		}

		p = runProcess(t, s.URL, "publish", channel, "--data", "-")
		if err := p.feed(1, 10); err != nil {
			t.Fatal(err)
		}
		p.awaitLines(10)
		interrupted(t, p, 130, `(?m)^publish: interrupted: 10 of the 10 events read so far acked$`)

		p = runProcess(t, s.URL, "publish", channel, "--sample", "--interactive")
		p.awaitLines(1)
		interrupted(t, p, 0, `(?m)^publish: interrupted; all 1 event acked$`)
	})
}

// Acks of events in flight are awaited for up to --timeout.
func TestInterruptedPublishWaitsForItsAcks(t *testing.T) {
	t.Parallel()
	onEach(t, "", func(t *testing.T, s broker) {
		p := runProcess(t, s.URL, "publish", channel, "--data", "-", "--timeout", "20s")
		if err := p.feed(1, 1); err != nil {
			t.Fatal(err)
		}
		p.awaitLines(1)
		s.freeze(100 * time.Millisecond)
		if err := p.feed(2, 2); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, s.Thaw)
		interrupted(t, p, 130, `(?m)^publish: interrupted: [12] of the [12] events read so far acked$`)
	})
}

func storedAny(t *testing.T, url string) []string {
	t.Helper()
	p := runProcess(t, url, "listen", channel, "--until-end", "-q", "-o", "raw")
	p.endsWith(0, 30*time.Second)
	return p.out.lines()
}
