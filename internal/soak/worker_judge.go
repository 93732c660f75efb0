//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// A note is what a handler wrote down of a run: see ./handler.
type note struct {
	At         int64 // µs since 1970
	Parent     int
	Event      int
	Run        int // the n-th of all runs of the event
	Outcome    string
	Sequence   uint64
	Deliveries int
	Attempt    int    // with --exec
	ID         string // likewise
}

// An outcome is a worker's record of a run.
type outcome struct {
	Sequence uint64
	ID       string
	Attempt  int
	Outcome  string
	Exit     *int
	Signal   string
}

// A letter is a dead letter.
type letter struct {
	Subject   string
	Sequence  uint64
	ID, Group string
	Attempts  int
	Data      json.RawMessage
}

// letter reads a dead letter: headers on JetStream, else JSON around the data.
func (m message) letter() (l letter, err error) {
	if m.header == nil {
		err = json.Unmarshal(m.data, &l)
		return l, err
	}
	get := func(key string) string { return m.header.Get("Dead-Letter-" + key) }
	l = letter{Subject: get("Subject"), ID: get("Id"), Group: get("Group"), Data: m.data}
	if l.Sequence, err = strconv.ParseUint(get("Sequence"), 10, 64); err == nil {
		l.Attempts, err = strconv.Atoi(get("Attempts"))
	}
	return l, err
}

// A member is one worker.
type member struct {
	name    string
	pid     int
	records []outcome // in the order of writing
	killed  time.Time // by SIGKILL; else zero
	ended   time.Time
	exit    int
	said    string
}

type span struct{ from, to time.Time }

// A crew is what a group of workers did with the events of a channel, which were
// stored before, each once.
type crew struct {
	streaming bool
	loop      bool
	retries   int
	ackWait   time.Duration
	capacity  int            // events that a member may hold
	plans     map[int]string // how the runs of each event end
	stored    []message
	letters   []message
	notes     []note // of all runs, in their order
	members   []member
	restarts  []span // of the server, each from its SIGKILL on

	sum crewSum
}

// A crewSum says how much there was to judge.
type crewSum struct {
	runs, unrecorded, lostDeliveries, again, letters, lettersAgain, early int
}

func (s crewSum) String() string {
	return fmt.Sprintf("%d runs, %d without a record; %d deliveries came to no run; %d runs of settled events; %d dead letters, %d of them repeats; %d events used up their retries by deliveries that came to no run",
		s.runs, s.unrecorded, s.lostDeliveries, s.again, s.letters, s.lettersAgain, s.early)
}

// A story is what is known of one event.
type story struct {
	message
	id      string
	plan    string
	notes   []note
	attempt int // the largest of all records and dead letters
	settled []settled
	silent  int // runs without a record
	acked   int // records
	dead    int // likewise
	letters int
}

// A settled is a run after which a member acked the event, as its record says.
type settled struct {
	by   *member
	note int // which of the event's notes
}

// judge finds what can't be, whatever was killed.
//
// What a kill may do, and so is no untruth: A run whose member was killed has no record.
// An event that was handled, and whose ack was not sent or is lost with a server, is run
// again; its dead letter, stored before the ack, is stored again on NATS Streaming, which
// knows no IDs. A delivery counts as a run wherever it was lost, since no broker tells
// the difference: so an event may be dead after fewer runs than it has retries, but
// never with fewer deliveries.
func (w *crew) judge() (v verdict) {
	events := w.events(&v)
	w.judgeRecords(&v, events)
	w.judgeLetters(&v, events)
	ends := len(w.members)
	for _, m := range w.stored {
		e := events[m.sequence]
		w.judgeEnd(&v, e)
		w.judgeRepeats(&v, e)
		lost := e.attempt - len(e.notes)
		if lost > 0 && !w.streaming {
			w.sum.lostDeliveries += lost
		}
		if lost > 0 && e.letters > 0 && e.attempt > w.retries {
			w.sum.early++
		}
	}
	// Each delivery without a run was to a member that ended, or was asked for from a
	// server that did. NATS Streaming repeats itself after each ack wait.
	if most := (ends + members*len(w.restarts)) * w.capacity; w.sum.lostDeliveries > most {
		v.untrue("%d deliveries came to no run, and the ends of members and servers explain %d", w.sum.lostDeliveries, most)
	}
	return v
}

// events finds what belongs to each event, by sequence.
func (w *crew) events(v *verdict) map[uint64]*story {
	events := make(map[uint64]*story, len(w.stored))
	for _, m := range w.stored {
		e := &story{message: m, id: fmt.Sprintf("%s/%d", channel, m.sequence)}
		if id := m.header.Get("Nats-Msg-Id"); id != "" {
			e.id = id
		}
		events[m.sequence] = e
	}
	for _, n := range w.notes {
		e := events[n.Sequence]
		if e == nil {
			v.untrue("#%d was handled, and is not stored", n.Sequence)
			continue
		}
		e.plan = w.plans[n.Event]
		if !bytes.Contains(e.data, fmt.Appendf(nil, `{"id":"%d",`, n.Event)) {
			v.untrue("#%d was handled with the data of event %d", n.Sequence, n.Event)
		}
		if n.ID != "" && n.ID != e.id {
			v.untrue("#%d was handled as %s: its ID is %s", n.Sequence, n.ID, e.id)
		}
		e.notes = append(e.notes, n)
	}
	w.sum.runs = len(w.notes)
	return events
}

// judgeRecords compares each member's records with the notes of its handlers. Each
// event is in one place of a member at a time, so both are in the same order.
func (w *crew) judgeRecords(v *verdict, events map[uint64]*story) {
	type place struct {
		pid      int
		sequence uint64
	}
	notes := make(map[place][]int) // which of the event's notes
	for sequence, e := range events {
		for i, n := range e.notes {
			at := place{n.Parent, sequence}
			notes[at] = append(notes[at], i)
		}
	}
	for i := range w.members {
		m := &w.members[i]
		latest := make(map[uint64]int) // the attempt in the event's last record
		for _, o := range m.records {
			e := events[o.Sequence]
			at := place{m.pid, o.Sequence}
			if e == nil || len(notes[at]) == 0 {
				v.untrue("%s: #%d was run (%s), as its record says: no handler was", m.name, o.Sequence, o.Outcome)
				continue
			}
			which := notes[at][0]
			n := e.notes[which]
			notes[at] = notes[at][1:]
			e.attempt = max(e.attempt, o.Attempt)
			if want := w.recordOf(n, o.Attempt); o.String() != want {
				v.untrue("%s: #%d: the record says %s: it was %s", m.name, o.Sequence, o, want)
			}
			if o.ID != e.id {
				v.untrue("%s: the record of #%d has the ID %s: it is %s", m.name, o.Sequence, o.ID, e.id)
			}
			w.judgeAttempt(v, m, o, n, latest[o.Sequence])
			latest[o.Sequence] = o.Attempt
			switch o.Outcome {
			case "acked":
				e.acked++
				e.settled = append(e.settled, settled{m, which})
			case "dead":
				e.dead++
				e.settled = append(e.settled, settled{m, which})
			}
		}
		m.judgeSummary(v)
	}
	byPid := make(map[int]*member, len(w.members))
	unrecorded := make(map[int]int)
	for i := range w.members {
		byPid[w.members[i].pid] = &w.members[i]
	}
	for at, left := range notes {
		if len(left) == 0 {
			continue
		}
		w.sum.unrecorded += len(left)
		events[at.sequence].silent += len(left)
		unrecorded[at.pid] += len(left)
		switch m := byPid[at.pid]; {
		case m == nil:
			v.untrue("#%d was run by no worker of the group (process %d)", at.sequence, at.pid)
		case m.killed.IsZero() && !m.cutOff(at.sequence):
			v.untrue("%s: #%d was run %d times without a record", m.name, at.sequence, len(left))
		case len(left) > 1:
			v.untrue("%s: #%d was run %d times without a record: one may be, as it was killed", m.name, at.sequence, len(left))
		}
	}
	for pid, n := range unrecorded {
		if n > w.capacity {
			v.untrue("process %d: %d runs without a record: it may hold %d events", pid, n, w.capacity)
		}
	}
}

// recordOf returns what the record of a run must say.
func (w *crew) recordOf(n note, attempt int) string {
	o := outcome{Outcome: "retry"}
	code := map[string]int{"o": 0, "f": 1, "t": 75, "d": 65, "c": -1}[n.Outcome]
	switch {
	case n.Outcome == "o":
		o.Outcome = "acked"
	case n.Outcome == "d" || attempt > w.retries:
		o.Outcome = "dead"
	}
	switch {
	case w.loop && n.Outcome == "c":
		code = 3
	case w.loop:
		code = -1
	case n.Outcome == "c":
		o.Signal = "SIGKILL"
	}
	if code >= 0 {
		o.Exit = &code
	}
	return o.String()
}

func (o outcome) String() string {
	switch {
	case o.Exit != nil:
		return fmt.Sprintf("%s, exit %d", o.Outcome, *o.Exit)
	case o.Signal != "":
		return o.Outcome + ", " + o.Signal
	}
	return o.Outcome
}

// judgeAttempt checks the number of a run. latest is that of the member's run before.
func (w *crew) judgeAttempt(v *verdict, m *member, o outcome, n note, latest int) {
	switch {
	case n.Attempt > 0 && n.Attempt != o.Attempt:
		v.untrue("%s: the record of #%d is of attempt %d: its handler was in %d", m.name, o.Sequence, o.Attempt, n.Attempt)
	case !w.streaming && o.Attempt != n.Deliveries: // the broker counts
		v.untrue("%s: #%d: attempt %d at delivery %d", m.name, o.Sequence, o.Attempt, n.Deliveries)
	case w.streaming && latest == 0 && o.Attempt != n.Deliveries, w.streaming && latest > 0 && o.Attempt != latest+1: // it is kept, and run again here
		v.untrue("%s: #%d: attempt %d at delivery %d, behind attempt %d", m.name, o.Sequence, o.Attempt, n.Deliveries, latest)
	case o.Attempt <= latest && len(w.restarts) == 0:
		v.untrue("%s: #%d: attempt %d behind attempt %d", m.name, o.Sequence, o.Attempt, latest)
	}
}
