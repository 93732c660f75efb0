//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// at is a time of a judged round, in seconds.
func at(seconds int) time.Time { return time.Unix(int64(1000+seconds), 0) }

const (
	onePid = 11
	twoPid = 22
)

// ran is a note of a run of event 1, 2 or 3, and what the record of it is.
func ran(pid int, second int, sequence uint64, run int, end string) note {
	return note{At: at(second).UnixMicro(), Parent: pid, Event: int(sequence), Run: run, Outcome: end, Sequence: sequence, Deliveries: run}
}

func wrote(sequence uint64, attempt int, what string) outcome {
	return outcome{Sequence: sequence, ID: fmt.Sprintf("id-%d", sequence), Attempt: attempt, Outcome: what}
}

// dead is a dead letter as JetStream has it.
func dead(sequence uint64, attempts int) message {
	header := nats.Header{}
	for key, value := range map[string]string{"Subject": channel, "Id": fmt.Sprintf("id-%d", sequence), "Group": workerGroup,
		"Sequence": fmt.Sprint(sequence), "Attempts": fmt.Sprint(attempts)} {
		header.Set("Dead-Letter-"+key, value)
	}
	return message{1, header, eventData(sequence)}
}

func eventData(sequence uint64) []byte { return fmt.Appendf(nil, `{"id":"%d","title":"x"}`, sequence) }

// worked is a true round on JetStream, with loops and one retry: event 1 is acked at
// once, 2 at its second run, 3 is of no use. Two members end by SIGTERM.
func worked() *crew {
	c := &crew{
		loop: true, retries: 1, ackWait: time.Second, capacity: 2,
		plans: map[int]string{1: "o", 2: "fo", 3: "d"},
		notes: []note{ran(onePid, 1, 1, 1, "o"), ran(onePid, 2, 2, 1, "f"), ran(twoPid, 3, 2, 2, "o"), ran(twoPid, 4, 3, 1, "d")},
		members: []member{
			{name: "one", pid: onePid, ended: at(50), records: []outcome{wrote(1, 1, "acked"), wrote(2, 1, "retry")},
				said: "listen: handled 1 event, 1 retry, 0 dead letters"},
			{name: "two", pid: twoPid, ended: at(50), records: []outcome{wrote(2, 2, "acked"), wrote(3, 1, "dead")},
				said: "listen: handled 1 event, 0 retries, 1 dead letter"},
		},
		letters: []message{dead(3, 1)},
	}
	for sequence := uint64(1); sequence <= 3; sequence++ {
		c.stored = append(c.stored, message{sequence, nats.Header{"Nats-Msg-Id": {fmt.Sprintf("id-%d", sequence)}}, eventData(sequence)})
	}
	return c
}

// onStreaming makes it one on NATS Streaming.
func onStreaming(c *crew) {
	c.streaming = true
	for i := range c.stored {
		c.stored[i].header = nil
	}
	for i := range c.members {
		for j := range c.members[i].records {
			o := &c.members[i].records[j]
			o.ID = fmt.Sprintf("%s/%d", channel, o.Sequence)
		}
	}
	c.letters[0].data, _ = json.Marshal(letter{Subject: channel, Sequence: 3, ID: channel + "/3", Group: workerGroup, Attempts: 1, Data: eventData(3)})
	c.letters[0].header = nil
}

// again has event 1 run once more, by the member two.
func again(c *crew) {
	c.notes = append(c.notes, ran(twoPid, 20, 1, 2, "o"))
	c.members[1].records = append(c.members[1].records, wrote(1, 2, "acked"))
	c.members[1].said = "handled 2 events, 0 retries, 1 dead letter"
}

// kill has a member killed.
func (c *crew) kill(i, second int) {
	m := &c.members[i]
	m.killed, m.ended, m.exit, m.said = at(second), at(second), -1, ""
}

func TestLiesOfWorkers(t *testing.T) {
	tests := map[string]struct {
		change func(c *crew)
		want   []string
		lost   int
	}{
		"true":                {func(*crew) {}, nil, 0},
		"true, streaming":     {onStreaming, nil, 0},
		"killed before acked": {func(c *crew) { again(c); c.kill(0, 1) }, nil, 0},
		"killed, no record": {func(c *crew) {
			again(c)
			c.kill(0, 1)
			c.members[0].records = nil
			c.notes[1].Outcome, c.notes[1].Parent = "f", twoPid
			c.members[1].records = append([]outcome{wrote(2, 1, "retry")}, c.members[1].records...)
			c.members[1].said = "handled 2 events, 1 retry, 1 dead letter"
		}, nil, 0},
		"server killed": {func(c *crew) { again(c); c.restarts = []span{{at(2), at(3)}} }, nil, 0},
		"acks not sent": {func(c *crew) { again(c); c.members[0].said += "\n1 event handled, and the acks could not be sent" }, nil, 0},
		"again, as another left": {func(c *crew) {
			onStreaming(c)
			again(c)
			c.notes[4].Deliveries = 2
			c.members[1].records[2].ID = channel + "/1"
			c.members[0].ended = at(19)
		}, nil, 0},
		"letter again, streaming": {func(c *crew) {
			onStreaming(c)
			c.letters = append(c.letters, c.letters[0])
			c.restarts = []span{{at(2), at(3)}}
		}, nil, 0},

		"never handled":     {func(c *crew) { c.stored = append(c.stored, message{4, nil, eventData(4)}) }, []string{"#4 was never handled"}, 1},
		"not settled":       {func(c *crew) { c.kill(0, 1); c.members[0].records = nil }, []string{"#1 was run 1 times: it is neither"}, 1},
		"letter not stored": {func(c *crew) { c.letters = nil }, []string{"#3 is a dead letter, says a record: none is stored"}, 1},
		"letter of another": {func(c *crew) { c.letters[0].data = eventData(2) }, []string{"has other data than #3"}, 0},
		"letter of nothing": {func(c *crew) { c.letters = append(c.letters, dead(9, 1)) }, []string{"is of no event"}, 0},
		"letter of a group": {func(c *crew) { c.letters[0].header.Set("Dead-Letter-Group", "h") }, []string{"dead letter #1 says"}, 0},
		"letter twice":      {func(c *crew) { c.letters = append(c.letters, dead(3, 1)) }, []string{"#3 has 2 dead letters: at most 1"}, 0},
		"letter twice, streaming": {func(c *crew) { onStreaming(c); c.letters = append(c.letters, c.letters[0]) },
			[]string{"#3 has 2 dead letters: at most 1"}, 0},
		"retries left": {func(c *crew) { c.letters = append(c.letters, dead(2, 1)) },
			[]string{"#2 has retries left", "#2 was acked by a success, and is a dead letter", "#2 has a dead letter, and all of its runs a record"}, 0},
		"dead by a record, retries left": {func(c *crew) {
			c.members[0].records[1] = wrote(2, 1, "dead")
			c.members[0].said = "handled 1 event, 0 retries, 1 dead letter"
		}, []string{"#2: the record says dead: it was retry", "#2 is a dead letter, says a record: none is stored", "#2 was run again by process 22"}, 1},
		"acked a failure": {func(c *crew) {
			c.notes[1].Outcome = "f"
			c.members[0].records[1] = wrote(2, 1, "acked")
			c.members[0].said = "handled 2 events, 0 retries, 0 dead letters"
		}, []string{"#2: the record says acked: it was retry", "#2 was run again by process 22"}, 0},
		"again, for nothing":  {again, []string{"#1 was run again by process 22, and one had acked it 19s before"}, 0},
		"again, killed later": {func(c *crew) { again(c); c.kill(0, 30) }, []string{"#1 was run again by process 22"}, 0},
		"again, streaming": {func(c *crew) {
			onStreaming(c)
			again(c)
			c.members[1].records[2].ID = channel + "/1"
		}, []string{"#1 was run again by process 22"}, 0},
		"again, here": {func(c *crew) {
			again(c)
			c.restarts = []span{{at(2), at(3)}}
			c.notes[4].Parent = onePid
			c.members[1] = worked().members[1]
			c.members[0].records = append(c.members[0].records, wrote(1, 2, "acked"))
			c.members[0].said = "handled 2 events, 1 retry, 0 dead letters"
		}, []string{"one: #1 was run again, and it had acked it"}, 0},
		"a run without a record": {func(c *crew) {
			c.members[0].records = c.members[0].records[:1]
			c.members[0].said = "handled 1 event, 0 retries, 0 dead letters"
		},
			[]string{"one: #2 was run 1 times without a record"}, 0},
		"killed, two runs without a record": {func(c *crew) {
			again(c)
			c.kill(1, 30)
			c.notes = append(c.notes, ran(twoPid, 21, 1, 3, "o"))
			c.members[1].records = c.members[1].records[:2]
		}, []string{"two: #1 was run 2 times without a record", "#1 was run again by process 22", "#1 was run again by process 22"}, 0},
		"a record without a run": {func(c *crew) { c.notes = c.notes[1:] }, []string{"one: #1 was run (acked)", "#1 was never handled"}, 1},
		"a run of nobody":        {func(c *crew) { c.notes = append(c.notes, ran(33, 5, 3, 2, "d")) }, []string{"#3 was run by no worker", "#3 was run again by process 33"}, 0},
		"another ID":             {func(c *crew) { c.members[0].records[0].ID = "x" }, []string{"the record of #1 has the ID x"}, 0},
		"another attempt":        {func(c *crew) { c.members[1].records[0].Attempt = 3 }, []string{"#2: attempt 3 at delivery 2"}, 0},
		"an attempt twice": {func(c *crew) {
			c.notes[2] = ran(onePid, 3, 2, 1, "o")
			c.members[0].records = append(c.members[0].records, wrote(2, 1, "acked"))
			c.members[0].said = "handled 2 events, 1 retry, 0 dead letters"
			c.members[1].records = c.members[1].records[1:]
			c.members[1].said = "handled 0 events, 0 retries, 1 dead letter"
		}, []string{"#2: attempt 1 behind attempt 1"}, 0},
		"other data":   {func(c *crew) { c.notes[0].Event = 2 }, []string{"#1 was handled with the data of event 2"}, 0},
		"not stored":   {func(c *crew) { c.notes = append(c.notes, ran(onePid, 5, 9, 1, "o")) }, []string{"#9 was handled, and is not stored"}, 0},
		"other totals": {func(c *crew) { c.members[0].said = "handled 2 events, 1 retry, 0 dead letters" }, []string{"one: it says that it handled 2 events"}, 0},
		"no totals":    {func(c *crew) { c.members[0].said = "" }, []string{"one: it ended without a summary"}, 0},
		"exit code":    {func(c *crew) { c.members[0].exit = 9 }, []string{"one: exit 9"}, 0},
		"lost deliveries": {func(c *crew) {
			for i := range c.notes[:4] {
				c.notes[i].Deliveries += 3
			}
			for i := range c.members {
				for j := range c.members[i].records {
					c.members[i].records[j].Attempt += 3
				}
			}
			c.members[0].records[1].Outcome, c.letters = "retry", []message{dead(3, 4)}
			c.retries = 9
		}, []string{"9 deliveries came to no run, and the ends of members and servers explain 4"}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := worked()
			test.change(c)
			v := c.judge()
			wantUntruths(t, v, test.want...)
			if v.lost != test.lost {
				t.Errorf("%d are lost, want %d", v.lost, test.lost)
			}
		})
	}
}
