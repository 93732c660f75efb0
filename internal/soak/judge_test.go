//go:build unix

package main

import (
	"slices"
	"strings"
	"testing"
)

// channelOf returns the events as they are stored one after another.
func channelOf(events ...int) (all []record) {
	for i, event := range events {
		all = append(all, record{event, uint64(i + 1)})
	}
	return all
}

// wantUntruths fails the test unless each text, and nothing else, was found.
func wantUntruths(t *testing.T, v verdict, want ...string) {
	t.Helper()
	for _, text := range want {
		if !slices.ContainsFunc(v.untruths, func(found string) bool { return strings.Contains(found, text) }) {
			t.Errorf("not found: %s", text)
		}
	}
	if len(v.untruths) != len(want) {
		t.Errorf("found: %q", v.untruths)
	}
}

func TestLiesOfPublish(t *testing.T) {
	const doubt = "publish: publishing event 3 to \"s\": sent\npublish: 2 of 4 events acked; of 2 it is not known whether the broker stored them\n"
	tests := map[string]struct {
		p    publication
		want []string
		lost int
	}{
		"true":             {publication{3, 0, []uint64{1, 2, 3}, "", channelOf(1, 2, 3), true}, nil, 0},
		"true, streaming":  {publication{3, 0, []uint64{0, 0, 0}, "", channelOf(1, 2, 3), false}, nil, 0},
		"stored again":     {publication{2, 0, []uint64{0, 0}, "", channelOf(1, 2, 2), false}, nil, 0},
		"true doubt":       {publication{4, 5, []uint64{1, 2}, doubt, channelOf(1, 2, 4), true}, nil, 0},
		"all in doubt":     {publication{4, 5, []uint64{1, 2}, doubt, channelOf(1, 2, 3, 4), true}, nil, 0},
		"true failure":     {publication{4, 3, []uint64{1, 2}, "2 events acked before the error", channelOf(1, 2), true}, nil, 0},
		"nothing sent":     {publication{4, 3, nil, "publish: no server answers there", nil, true}, nil, 0},
		"out of order":     {publication{3, 8, []uint64{2, 1, 3}, "1 event is stored behind a later one", channelOf(2, 1, 3), true}, nil, 0},
		"interrupted line": {publication{4, 130, []uint64{1}, "1 event acked before the error", channelOf(1), true}, nil, 0},

		"done, one lost":        {publication{3, 0, []uint64{0, 0, 0}, "", channelOf(1, 3), false}, []string{"3 events were acked, 2 are stored", "not stored: 1 events, [2]"}, 1},
		"done, line missing":    {publication{3, 0, []uint64{1, 2}, "", channelOf(1, 2, 3), true}, []string{"2 of 3 events have a line"}, 0},
		"done, twice":           {publication{2, 0, []uint64{1, 2}, "", channelOf(1, 2, 2), true}, []string{"1 events are stored more than once"}, 0},
		"done, out of order":    {publication{3, 0, []uint64{2, 1, 3}, "", channelOf(2, 1, 3), true}, []string{"event 1 is stored behind event 2"}, 0},
		"order, all in place":   {publication{2, 8, []uint64{1, 2}, "some are behind", channelOf(1, 2), true}, []string{"every event is stored in its place"}, 0},
		"order, one lost":       {publication{3, 8, []uint64{2, 1, 3}, "some are behind", channelOf(2, 1), true}, []string{"#3 was acked", "3 events were acked", "not stored"}, 1},
		"acked, not stored":     {publication{4, 5, []uint64{1, 9}, doubt, channelOf(1, 2, 3), true}, []string{"#9 was acked: it is not stored"}, 1},
		"acked twice":           {publication{4, 5, []uint64{1, 1}, doubt, channelOf(1, 2, 3), true}, []string{"so says an earlier line"}, 0},
		"prefix, not stored":    {publication{4, 5, []uint64{0, 0}, doubt, channelOf(1, 3, 4), false}, []string{"not stored: 1 events, [2]"}, 1},
		"other number of lines": {publication{4, 5, []uint64{1}, doubt, channelOf(1), true}, []string{"2 events were acked, and has 1 lines", "first that failed, it says, and 1 were", "not stored: 1 events, [2]"}, 1},
		"more than in doubt":    {publication{4, 3, []uint64{1}, "1 event acked before the error", channelOf(1, 2), true}, []string{"1 events were acked and 0 are in doubt: 2 are stored"}, 0},
		"no numbers":            {publication{4, 3, []uint64{1}, "publish: the connection was lost", channelOf(1), true}, []string{"without a word of how many"}, 0},
		"no words":              {publication{4, 3, nil, "\n", nil, true}, []string{"exit 3 without a word"}, 0},
		"done, other lines":     {publication{3, 0, []uint64{2, 1, 3}, "", channelOf(1, 2, 3), true}, []string{"line 1 says that #2 was acked: it holds event 2", "line 2 says that #1 was acked: it holds event 1"}, 0},
		"line of an earlier":    {publication{4, 5, []uint64{2, 1}, doubt, channelOf(1, 2, 3), true}, []string{"line 2 says that #1 was acked: it holds event 1"}, 0},
		"more than there are":   {publication{3, 5, []uint64{1, 2}, doubt, channelOf(1, 2), true}, []string{"of 4 events 2 were acked"}, 0},
		"never published":       {publication{1, 0, []uint64{1}, "", channelOf(1, 7), true}, []string{"event 7, which was never published"}, 0},
		"crashed":               {publication{1, 0, []uint64{1}, "panic: x", channelOf(1), true}, []string{"it crashed"}, 0},
		"killed":                {publication{1, -1, nil, "", nil, true}, []string{"did not exit by itself"}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := test.p.judge()
			wantUntruths(t, v, test.want...)
			if v.lost != test.lost {
				t.Errorf("%d are lost, want %d", v.lost, test.lost)
			}
		})
	}
}

func TestLiesOfListen(t *testing.T) {
	stored := channelOf(1, 2, 3)
	tests := map[string]struct {
		l    listening
		want []string
	}{
		"alone":         {listening{true, 0, stored, stored, "handled 3 events", stored, true}, nil},
		"with others":   {listening{true, 0, stored[:1], channelOf(1, 2, 3), "handled 1 event", stored, false}, nil},
		"again":         {listening{true, 0, stored, append(channelOf(1, 2), stored...), "", stored, false}, nil},
		"newer":         {listening{true, 0, stored, channelOf(1, 2, 3, 4), "", stored, false}, nil},
		"no end asked":  {listening{false, 0, stored[:1], stored[:1], "", stored, false}, nil},
		"unfinished":    {listening{true, 7, stored[:1], stored[:1], "listen: 2 events are held by others\nhandled 1 event", stored, false}, nil},
		"can't be told": {listening{true, 7, stored[:1], stored[:1], "listen: what is left is not known", stored, false}, nil},
		"lost":          {listening{true, 3, stored[:1], stored[:1], "listen: the connection was lost\nhandled 1 event", stored, false}, nil},

		"a fraction":        {listening{true, 0, stored[:1], stored[:2], "", stored, false}, []string{"not handled: 1 events, [3]"}},
		"nothing":           {listening{true, 0, nil, nil, "", stored, true}, []string{"not handled: 3 events, [1 2 3]"}},
		"out of order":      {listening{true, 0, []record{{1, 1}, {3, 3}, {2, 2}}, stored, "", stored, true}, []string{"#2 came behind #3"}},
		"another event":     {listening{false, 0, nil, []record{{2, 1}}, "", stored, false}, []string{"#1 was handled as event 2: it is event 1"}},
		"another number":    {listening{false, 0, stored[:1], stored[:1], "listen: handled 2 events", stored, false}, []string{"handled 2 events, and wrote 1"}},
		"nothing is named":  {listening{true, 7, stored[:1], stored[:1], "listen: not everything was handled\nhint: start 1 more\nhandled 1 event", stored, false}, []string{"exit 7 without a word"}},
		"too few are named": {listening{true, 7, stored[:1], stored[:1], "listen: 1 event is held by others\nhandled 1 event", stored, false}, []string{"names 1 events: not handled are 2 events, [2 3]"}},
		"crashed":           {listening{false, 2, nil, nil, "WARNING: DATA RACE", nil, false}, []string{"it crashed"}},
		"said nothing":      {listening{false, 1, nil, nil, "", nil, false}, []string{"exit 1 without a word"}},
		"ended by a signal": {listening{false, -1, nil, nil, "", nil, false}, []string{"did not exit by itself"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { wantUntruths(t, test.l.judge(), test.want...) })
	}
}

func TestAccount(t *testing.T) {
	lost, repeated := account(channelOf(1, 2, 3, 4), []record{{1, 1}, {3, 3}, {1, 1}, {1, 1}})
	if lost != 2 || repeated != 2 {
		t.Errorf("%d lost, %d repeated", lost, repeated)
	}
}
