//go:build unix

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A record is an event and its sequence in the channel or stream. Events are
// numbered in the order of their publishing.
type record struct {
	event    int
	sequence uint64
}

// A verdict is the result of a judge.
type verdict struct {
	lost     int      // acked, but not stored
	repeated int      // events stored again, each time
	untruths []string // false exit codes and sentences
}

func (v *verdict) untrue(format string, args ...any) {
	v.untruths = append(v.untruths, fmt.Sprintf(format, args...))
}

// A publication is an uninterrupted run of publish, and the broker's final state.
type publication struct {
	asked  int      // the events 1 to asked were to be published
	exit   int      // exit code; -1 after a signal
	acked  []uint64 // the sequence of each acked event, in the order of events; 0 on NATS Streaming
	said   string   // its stderr
	stored []record // the whole channel, in order
	once   bool     // the broker drops repeats: each event must be stored once
}

// Exit codes used by the judges, as documented for the programs.
const (
	exitDone       = 0
	exitUnfinished = 7
	exitOrder      = 8
)

// Sentences of publish and listen with numbers.
var (
	saysInDoubt = regexp.MustCompile(`(\d+) of (\d+) events? acked; of (\d+) it is not known`)
	saysAcked   = regexp.MustCompile(`(\d+) events? acked before the error`)
	saysFailed  = regexp.MustCompile(`publishing event (\d+) to `)
	saysHandled = regexp.MustCompile(`handled (\d+) events?`)
	saysNumber  = regexp.MustCompile(`\d+`)
	saysUnknown = regexp.MustCompile(`not known|unknown|can't be known|can't tell`)
)

// judge finds false claims of a publication.
func (p publication) judge() (v verdict) {
	times := make(map[int]int)
	bySequence := make(map[uint64]int)
	for _, r := range p.stored {
		times[r.event]++
		bySequence[r.sequence] = r.event
		if r.event < 1 || r.event > p.asked {
			v.untrue("#%d holds event %d, which was never published", r.sequence, r.event)
		}
	}
	v.repeated = len(p.stored) - len(times)
	missing := missingFrom(times, p.asked)

	acks := make(map[uint64]bool)
	for i, sequence := range p.acked {
		switch {
		case sequence == 0:
		case bySequence[sequence] == 0:
			v.lost++
			v.untrue("line %d says that #%d was acked: it is not stored", i+1, sequence)
		case acks[sequence]:
			v.untrue("line %d says that #%d was acked: so says an earlier line of another event", i+1, sequence)
		case bySequence[sequence] <= i: // one line per acked event, in their order
			v.untrue("line %d says that #%d was acked: it holds event %d", i+1, sequence, bySequence[sequence])
		case bySequence[sequence] > i+1 && len(p.acked) == p.asked:
			v.untrue("line %d says that #%d was acked: it holds event %d", i+1, sequence, bySequence[sequence])
		}
		acks[sequence] = true
	}
	if more := len(p.acked) - len(times); more > 0 {
		v.lost = max(v.lost, more)
		v.untrue("%d events were acked, %d are stored", len(p.acked), len(times))
	}
	switch p.exit {
	case exitDone, exitOrder:
		p.judgeDone(&v, missing)
	default:
		p.judgeFailed(&v, len(times), missing)
	}
	judgeWords(&v, p.exit, p.said)
	return v
}

// judgeDone checks an exit code that claims that all events are stored.
func (p publication) judgeDone(v *verdict, missing []int) {
	if len(p.acked) != p.asked {
		v.untrue("exit %d, and %d of %d events have a line", p.exit, len(p.acked), p.asked)
	}
	if len(missing) > 0 {
		v.lost = max(v.lost, len(missing))
		v.untrue("exit %d, and not stored: %s", p.exit, some(missing))
	}
	if p.once && v.repeated > 0 {
		v.untrue("exit %d, and %d events are stored more than once", p.exit, v.repeated)
	}
	behind := 1 // or the first one stored out of order
	for behind < len(p.stored) && p.stored[behind-1].event <= p.stored[behind].event {
		behind++
	}
	inOrder := behind >= len(p.stored)
	switch {
	case p.exit == exitDone && !inOrder:
		v.untrue("exit 0, and event %d is stored behind event %d", p.stored[behind].event, p.stored[behind-1].event)
	case p.exit == exitOrder && inOrder:
		v.untrue("exit %d, and every event is stored in its place", p.exit)
	}
}

// judgeFailed checks the numbers with an exit code that claims that some events are
// not stored, or may not be.
func (p publication) judgeFailed(v *verdict, stored int, missing []int) {
	acked, inDoubt := 0, 0
	if m := saysInDoubt.FindStringSubmatch(p.said); m != nil {
		acked, inDoubt = number(m[1]), number(m[3])
		if sent := number(m[2]); sent > p.asked || sent < acked+inDoubt {
			v.untrue("it says that of %d events %d were acked and %d are in doubt: there are %d", sent, acked, inDoubt, p.asked)
		}
	} else if m := saysAcked.FindStringSubmatch(p.said); m != nil {
		acked = number(m[1])
	} else if len(p.acked) > 0 || stored > 0 {
		v.untrue("exit %d without a word of how many events were acked: %d were, %d are stored", p.exit, len(p.acked), stored)
		return
	}
	if acked != len(p.acked) {
		v.untrue("it says that %d events were acked, and has %d lines", acked, len(p.acked))
	}
	if stored > acked+inDoubt {
		v.untrue("it says that %d events were acked and %d are in doubt: %d are stored", acked, inDoubt, stored)
	}
	if m := saysFailed.FindStringSubmatch(p.said); m != nil {
		first := number(m[1])
		if len(p.acked) < first-1 {
			v.untrue("event %d is the first that failed, it says, and %d were acked", first, len(p.acked))
		}
		if i, _ := slices.BinarySearch(missing, first); i > 0 {
			v.lost = max(v.lost, i)
			v.untrue("event %d is the first that failed, it says, and not stored: %s", first, some(missing[:i]))
		}
	}
}

// A listening is a run of listen that was not killed.
type listening struct {
	untilEnd bool
	exit     int      // exit code; -1 after a signal
	own      []record // its output, in order
	handled  []record // output of all listeners by the time it ended
	said     string   // its stderr
	stored   []record // the channel before it began
	ordered  bool     // a lone listener on JetStream: in order, nothing twice
}

// judge finds false claims of a listening.
func (l listening) judge() (v verdict) {
	events := make(map[uint64]int, len(l.stored))
	for _, r := range l.stored {
		events[r.sequence] = r.event
	}
	times := make(map[int]int)
	for _, r := range l.handled {
		times[r.event]++
		if event, found := events[r.sequence]; found && event != r.event {
			v.untrue("#%d was handled as event %d: it is event %d", r.sequence, r.event, event)
		}
	}
	var missing []int
	for _, r := range l.stored {
		if times[r.event] == 0 {
			missing = append(missing, r.event)
		}
	}
	if l.untilEnd && l.exit == exitDone && len(missing) > 0 {
		v.untrue("exit 0 at the end of %d events, and not handled: %s", len(l.stored), some(missing))
	}
	if l.ordered {
		for i := 1; i < len(l.own); i++ {
			if before, r := l.own[i-1].sequence, l.own[i].sequence; r <= before {
				v.untrue("#%d came behind #%d", r, before)
				break
			}
		}
	}
	if m := saysHandled.FindStringSubmatch(l.said); m != nil && number(m[1]) != len(l.own) {
		v.untrue("it says that it handled %s events, and wrote %d", m[1], len(l.own))
	}
	if l.exit == exitUnfinished {
		l.judgeUnfinished(&v, missing)
	}
	judgeWords(&v, l.exit, l.said)
	return v
}

// account returns the number of stored events that no listener handled, and of
// repeated ones.
func account(stored, handled []record) (lost, repeated int) {
	times := make(map[int]int)
	for _, r := range handled {
		times[r.event]++
	}
	repeated = len(handled) - len(times)
	for _, r := range stored {
		if times[r.event] == 0 {
			lost++
		}
	}
	return lost, repeated
}

// judgeUnfinished checks the claim about unhandled events: a number that is not too
// small, or that it is unknown.
func (l listening) judgeUnfinished(v *verdict, missing []int) {
	named, most := false, 0
	for _, line := range strings.Split(l.said, "\n") {
		if strings.Contains(line, "hint: ") || saysHandled.MatchString(line) {
			continue
		}
		if saysUnknown.MatchString(line) {
			return
		}
		for _, digits := range saysNumber.FindAllString(line, -1) {
			named, most = true, max(most, number(digits))
		}
	}
	switch {
	case !named:
		v.untrue("exit %d without a word of how much is missing", l.exit)
	case most < len(missing):
		v.untrue("exit %d, and it names %d events: not handled are %s", l.exit, most, some(missing))
	}
}

// judgeWords checks rules for the output of all programs.
func judgeWords(v *verdict, exit int, said string) {
	switch {
	case strings.Contains(said, "DATA RACE") || strings.Contains(said, "panic: "):
		v.untrue("it crashed")
	case exit < 0:
		v.untrue("it did not exit by itself")
	case exit > 0 && strings.TrimSpace(said) == "":
		v.untrue("exit %d without a word", exit)
	}
}

// missingFrom returns the events from 1 to n that are not in times.
func missingFrom(times map[int]int, n int) (missing []int) {
	for event := 1; event <= n; event++ {
		if times[event] == 0 {
			missing = append(missing, event)
		}
	}
	return missing
}

// some describes a number of events, and the first of them.
func some(events []int) string {
	const most = 10
	text := fmt.Sprint(events[:min(len(events), most)])
	if len(events) > most {
		text = strings.TrimSuffix(text, "]") + " …]"
	}
	return fmt.Sprintf("%d events, %s", len(events), text)
}

// number parses digits. A number too large for an int can't be a number of events.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return n
}
