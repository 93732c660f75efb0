//go:build unix

package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// judgeLetters checks that each dead letter is that of an event without retries left.
func (w *crew) judgeLetters(v *verdict, events map[uint64]*story) {
	w.sum.letters = len(w.letters)
	for _, m := range w.letters {
		l, err := m.letter()
		e := events[l.Sequence]
		if err != nil || e == nil {
			v.untrue("dead letter #%d is of no event: %v: %s", m.sequence, err, m.data)
			continue
		}
		if e.letters++; e.letters > 1 {
			w.sum.lettersAgain++
		}
		e.attempt = max(e.attempt, l.Attempts)
		if l.Subject != channel || l.ID != e.id || l.Group != workerGroup {
			v.untrue("dead letter #%d says that #%d is %s of %s and %s: it is %s", m.sequence, l.Sequence, l.ID, l.Subject, l.Group, e.id)
		}
		if !bytes.Equal(l.Data, e.data) {
			v.untrue("dead letter #%d has other data than #%d: %s", m.sequence, l.Sequence, l.Data)
		}
		if !w.hopeless(e, l.Attempts) {
			v.untrue("dead letter #%d: #%d has retries left, and no run said that there is no use: attempt %d, %d runs", m.sequence, l.Sequence, l.Attempts, len(e.notes))
		}
	}
	for sequence, e := range events {
		most := 1 // by its ID, within the stream's window
		if w.streaming {
			// A member that was killed stored it, or a server that was killed stored
			// it and did not say so.
			most = max(1, e.dead+e.silent+len(w.restarts))
		}
		if e.letters > most {
			v.untrue("#%d has %d dead letters: at most %d can be, as it had %d runs that end so", sequence, e.letters, most, e.dead)
		}
	}
}

// hopeless reports whether a run of an event, which was its n-th delivery or attempt,
// is a reason for a dead letter.
func (w *crew) hopeless(e *story, attempt int) bool {
	for _, n := range e.notes {
		switch known := max(n.Attempt, n.Deliveries); {
		case !w.streaming && known != attempt, w.streaming && !w.loop && n.Attempt != attempt:
			// Another run. A loop on NATS Streaming does not know which it is.
		case n.Outcome == "d", n.Outcome != "o" && attempt > w.retries:
			return true
		}
	}
	return false
}

// judgeEnd checks that an event was handled, and ended in one way.
func (w *crew) judgeEnd(v *verdict, e *story) {
	switch {
	case len(e.notes) == 0:
		v.lost++
		v.untrue("#%d was never handled", e.sequence)
	case e.acked+e.dead == 0:
		v.lost++
		v.untrue("#%d was run %d times: it is neither acked by a success nor a dead letter", e.sequence, len(e.notes))
	case e.dead > 0 && e.letters == 0:
		v.lost++
		v.untrue("#%d is a dead letter, says a record: none is stored", e.sequence)
	case e.acked > 0 && e.letters > 0 && !w.wasCut(e):
		v.untrue("#%d was acked by a success, and is a dead letter", e.sequence)
	}
	if e.silent == 0 && e.letters > 0 && e.dead == 0 {
		v.untrue("#%d has a dead letter, and all of its runs a record: none is of a dead letter", e.sequence)
	}
}

// wasCut reports whether an event was in the hands of a member that was killed, or of
// a server: then one of its ends may be unknown to the broker.
func (w *crew) wasCut(e *story) bool {
	if len(w.restarts) > 0 {
		return true
	}
	for _, n := range e.notes {
		for _, m := range w.members {
			if m.pid == n.Parent && !m.killed.IsZero() {
				return true
			}
		}
	}
	return false
}

// judgeRepeats checks why an event was run again after a member had acked it.
func (w *crew) judgeRepeats(v *verdict, e *story) {
	again := make(map[int]bool)
	for _, s := range e.settled {
		for i := s.note + 1; i < len(e.notes); i++ {
			again[i] = true
			first, n := e.notes[s.note], e.notes[i]
			switch {
			case n.Parent == first.Parent: // it remembers what it handled, whatever the broker lost
				v.untrue("%s: #%d was run again, and it had acked it", s.by.name, e.sequence)
			case !w.mayRepeat(s.by, time.UnixMicro(first.At), time.UnixMicro(n.At)):
				v.untrue("#%d was run again by process %d, and %s had acked it %v before", e.sequence, n.Parent, s.by.name,
					time.Duration(n.At-first.At)*time.Microsecond)
			}
		}
	}
	v.repeated += len(again)
	w.sum.again += len(again)
}

// mayRepeat reports whether an event may be run again that a member acked after a
// time: its ack was lost, or the second run began before the ack came.
func (w *crew) mayRepeat(by *member, acked, again time.Time) bool {
	from := acked.Add(-2 * w.ackWait)
	within := func(t time.Time) bool { return !t.IsZero() && t.After(from) && t.Before(again) }
	if within(by.killed) || strings.Contains(by.said, "acks could not be sent") {
		return true
	}
	for _, s := range w.restarts {
		if s.to.After(from) && s.from.Before(again) {
			return true
		}
	}
	// NATS Streaming has a race of its own: while members leave, it hands out again
	// what was acked before.
	for _, m := range w.members {
		if w.streaming && within(m.ended) {
			return true
		}
	}
	return false
}

// saysWorked is the summary of a worker.
var saysWorked = regexp.MustCompile(`handled (\d+) events?, (\d+) (?:retry|retries), (\d+) dead letters?`)

// judgeSummary checks what a member said at its end.
func (m *member) judgeSummary(v *verdict) {
	if !m.killed.IsZero() {
		return
	}
	count := make(map[string]int)
	for _, o := range m.records {
		count[o.Outcome]++
	}
	if said := saysWorked.FindStringSubmatch(m.said); said == nil {
		v.untrue("%s: it ended without a summary", m.name)
	} else if number(said[1]) != count["acked"] || number(said[2]) != count["retry"] || number(said[3]) != count["dead"] {
		v.untrue("%s: it says that it %s: its records say %v", m.name, said[0], count)
	}
	if m.exit != exitDone {
		v.untrue("%s: exit %d", m.name, m.exit)
	}
	judgeWords(v, m.exit, m.said)
}

// cutOff reports whether a member said that it gave an event back whose handler had ended.
func (m *member) cutOff(sequence uint64) bool {
	return strings.Contains(m.said, fmt.Sprintf("#%d of %s goes back: ", sequence, channel))
}
