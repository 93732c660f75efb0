package conn

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/jetstream"
	"nats-test/internal/conn/link"
	"nats-test/internal/conn/stan"
)

// Answers of a broker about one subject.
type answers struct {
	broker.Session
	newest, found broker.Mark
	err           error
}

func (a *answers) Newest(context.Context, string) (broker.Mark, error)       { return a.newest, a.err }
func (a *answers) Find(context.Context, string, uint64) (broker.Mark, error) { return a.found, a.err }

// What a listener does that comes back to a subject of which it has seen #5.
func TestWhereToGoOn(t *testing.T) {
	t.Parallel()
	now := time.Now()
	before := broker.Origin{Stream: "S", Since: now.Add(-time.Hour)}
	for name, test := range map[string]struct {
		traits   broker.Traits
		origin   broker.Origin
		untilEnd bool
		answers
		want broker.Start
	}{
		"nothing happened": {jetstream.Traits, before, false, answers{newest: broker.Mark{Sequence: 5, Origin: before}},
			broker.Start{Kind: broker.StartSequence, Sequence: 6}},
		// The first join ended after this subject, and before the listener knew of its stream.
		"of no known stream": {jetstream.Traits, broker.Origin{}, false, answers{newest: broker.Mark{Sequence: 5, Origin: before}, found: broker.Mark{Sequence: 5, Time: now, Origin: before}},
			broker.Start{Kind: broker.StartSequence, Sequence: 6}},
		"the stream is another": {jetstream.Traits, before, false, answers{newest: broker.Mark{Sequence: 3, Origin: broker.Origin{Stream: "S", Since: now}}},
			broker.Start{Kind: broker.StartAll}},
		"asking is not permitted": {stan.Traits, broker.Origin{}, true, answers{err: broker.ErrAuth},
			broker.Start{Kind: broker.StartSequence, Sequence: 1}}, // none is known to be handled
	} {
		t.Run(name, func(t *testing.T) {
			s := &attempt{Listener: &Listener{UntilEnd: test.untilEnd}, traits: test.traits, options: link.Options{Notify: func(string) {}}}
			p := &position{joinedAt: now, sequence: 5, time: now, origin: test.origin, handled: newHandledSet(1, 1)}
			if test.untilEnd {
				p.end, p.endTold = 10, true
			}
			if got, err := s.start(t.Context(), &test.answers, "a", p); err != nil || got != test.want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// Where the end was is not known in another stream.
func TestEndOfAnotherStream(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := &attempt{Listener: &Listener{UntilEnd: true}, traits: jetstream.Traits, options: link.Options{Notify: func(string) {}}}
	p := &position{joinedAt: now, sequence: 5, time: now, end: 10, endTold: true, origin: broker.Origin{Stream: "S", Since: now}}
	a := &answers{newest: broker.Mark{Sequence: 5, Origin: broker.Origin{Stream: "T", Since: now}}}
	if _, err := s.start(t.Context(), a, "a", p); err != nil {
		t.Fatal(err)
	}
	if newLooker(s, a).atRest(p, &looked{err: broker.ErrUntold}) {
		t.Error("at rest, and nothing is known")
	}
}

// A run says how far all events were handled, in whatever order they came: what a set
// of them says.
func TestRun(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var r run
		handled, unwanted, last := map[uint64]bool{}, map[uint64]bool{}, uint64(0)
		for range 200 {
			n := 1 + random.Uint64N(60)
			switch random.IntN(20) {
			case 0:
				if r.skip(n); n > last && handled[n] {
					last = n
				}
			case 1:
				r.begin(n)
				for ; last+1 < n; last++ {
					unwanted[last+1] = true
				}
			default:
				r.add(n)
				handled[n] = handled[n] || n > last
			}
			for handled[last+1] {
				last++
			}
			if r.last != last {
				t.Fatalf("%d, want %d; %+v", r.last, last, r)
			}
			some, lack := false, uint64(0)
			for i := uint64(1); i <= n; i++ {
				some = some || handled[i]
				if some && !handled[i] && !unwanted[i] {
					lack++
				}
			}
			if got := r.lacks(n); n >= last && got != lack {
				t.Fatalf("%d are lacking up to #%d, want %d; %+v", got, n, lack, r)
			}
		}
	}
}

// Behind one gap, no event is forgotten.
func TestRunBehindAGap(t *testing.T) {
	t.Parallel()
	const first, last = 9_000_001, 10_000_000
	var r run
	for n := uint64(first); n <= last; n++ {
		r.add(n)
	}
	if r.skip(first); r.last != last || len(r.ahead) > 0 {
		t.Errorf("%+v", r)
	}
}
