//go:build unix

package main

import (
	"fmt"
	"slices"
	"time"
)

// publishing is the load of one publish, with faults in the middle.
func publishing(r *round) {
	args := []string{"publish", channel, "--data", "-", "--timeout", r.timeout()}
	if rate := r.oneOf("", "2500", "5000"); rate != "" {
		args = append(args, "--rate", rate)
	}
	p := r.start(args...)
	r.strike(r.asked, p)
	r.awaitEnds(p)
	r.restore()
	r.judgePublication(p)
}

// draining is the load of one or two group members, or one lone listener, that read
// existing events to the end.
func draining(r *round) {
	r.fill()
	stored := r.stored()
	members, args := 1+r.random.IntN(2), []string{"listen", channel, "--until-end", "--ack-wait", "2s", "--timeout", r.timeout()}
	alone := r.random.IntN(3) == 0
	if alone {
		members = 1
	} else {
		args = append(args, "--group", "g", "--max-in-flight", r.oneOf("16", "256", "4096"))
	}
	if r.random.IntN(4) > 0 { // otherwise it may end before a fault
		args = append(args, "--delay", "1ms")
	}
	var all []*program
	for range members {
		all = append(all, r.start(args...))
	}
	r.strike(r.asked, all...)
	r.awaitEnds(all...)
	for _, p := range all {
		r.judgeListening(p, true, alone, stored)
	}
	r.restore()
	if !alone {
		r.drain(stored)
	}
	r.account(stored, !alone || all[0].exit() == exitDone)
}

// working returns the load of one publish and three members that handle its events,
// while hit affects one of them.
func working(ackWait string, hit func(r *round, p *program)) func(*round) {
	return func(r *round) {
		member := []string{"listen", channel, "--group", "g", "--ack-wait", ackWait}
		switch r.random.IntN(3) {
		case 0:
			member = append(member, "--delay", "1ms", "--max-in-flight", "256")
		case 1:
			member = append(member, "--max-in-flight", "64")
		}
		members := []*program{r.start(member...), r.start(member...), r.start(member...)}
		args := []string{"publish", channel, "--data", "-"}
		if r.random.IntN(2) == 0 {
			args = append(args, "--rate", "2500")
		}
		p := r.start(args...)
		r.strikeWith(r.asked, func() {
			i := r.random.IntN(len(members))
			hit(r, members[i])
			members[i] = r.start(member...)
		}, func() int { return r.count(r.listeners...) }, func() bool {
			return p.running() || r.count(r.listeners...) < r.asked
		})
		r.awaitEnds(p)
		r.judgePublication(p)
		stored := r.stored()
		for _, p := range members {
			r.terminate(p)
		}
		for _, p := range r.listeners {
			if p.killed.IsZero() {
				r.judgeListening(p, false, false, stored)
			}
		}
		r.drain(stored)
		repeated := r.account(stored, true)
		if r.situation.once && repeated > 0 {
			r.untrue(fmt.Sprintf("%d events were handled again, and all members were stopped by SIGTERM", repeated))
		}
	}
}

// fill stores the events, without faults.
func (r *round) fill() {
	p := r.start("publish", channel, "--data", "-")
	r.awaitEnds(p)
	r.judgePublication(p)
	if p.exit() != exitDone {
		r.Fatalf("%s: exit %d, and nothing was done to it", p.name, p.exit())
	}
}

// drain starts new members until one exits with 0: then all the group's events are
// handled. Events of dead members are redelivered after the ack wait.
func (r *round) drain(stored []record) {
	const most = 90 * time.Second
	deadline := time.Now().Add(most)
	for {
		p := r.start("listen", channel, "--group", "g", "--until-end", "--ack-wait", "2s")
		r.awaitEnds(p)
		r.judgeListening(p, true, false, stored)
		if p.exit() == exitDone {
			return
		}
		if time.Now().After(deadline) {
			r.untrue(fmt.Sprintf("no listener came to the end for %v, and nothing was done to any", most))
			return
		}
		r.pause(time.Second)
	}
}

// strike causes faults when the programs have reached random numbers of total.
func (r *round) strike(total int, programs ...*program) {
	r.strikeWith(total, func() { r.situation.fault(r) }, func() int { return r.count(programs...) }, func() bool {
		return slices.ContainsFunc(programs, (*program).running)
	})
}

func (r *round) strikeWith(total int, fault func(), progress func() int, working func() bool) {
	moments := make([]int, r.situation.faults)
	for i := range moments {
		moments[i] = r.random.IntN(total * 3 / 4)
	}
	slices.Sort(moments)
	moments[0] = min(moments[0], r.random.IntN(total/4)) // some programs end soon
	for _, moment := range moments {
		for still := newStillness(); progress() < moment; r.pause(20 * time.Millisecond) {
			if !working() || still.over(progress()) {
				return
			}
		}
		if !working() {
			return
		}
		r.result.faults++
		fault()
	}
}

// awaitEnds waits for programs that have an end. One without progress for a long
// time hangs.
func (r *round) awaitEnds(programs ...*program) {
	still := newStillness()
	for {
		running := slices.DeleteFunc(slices.Clone(programs), func(p *program) bool { return !p.running() })
		if len(running) == 0 {
			return
		}
		if still.over(r.count(programs...)) {
			r.quit(running[0], fmt.Sprintf("it does not end, and nothing came of it for %v", stillness))
			still = newStillness()
		}
		r.pause(20 * time.Millisecond)
	}
}

// stillness is longer than any documented time that a program waits for an
// available broker.
const stillness = time.Minute

// A stillnessWatch detects that a number no longer changes.
type stillnessWatch struct {
	last  int
	since time.Time
}

func newStillness() *stillnessWatch { return &stillnessWatch{-1, time.Now()} }

func (s *stillnessWatch) over(number int) bool {
	if number != s.last {
		s.last, s.since = number, time.Now()
	}
	return time.Since(s.since) > stillness
}

// count returns the number of lines the programs have written, and records for
// ended ones what was handled by then.
func (r *round) count(programs ...*program) (n int) {
	for _, p := range programs {
		ended := !p.running()
		n += r.read(p)
		if ended && !p.ended {
			p.ended, p.seen = true, r.handled()
			r.Logf("%s: has ended; %d events were handled by then", p.name, len(p.seen))
		}
	}
	return n
}

// handled returns the output of all listeners so far.
func (r *round) handled() (all []record) {
	for _, p := range r.listeners {
		r.read(p)
		all = append(all, p.handled...)
	}
	return all
}

func (r *round) judgePublication(p *program) {
	r.count(p)
	publication := publication{r.asked, p.exit(), p.acked, r.said(p), r.stored(), r.situation.broker != streaming}
	v := publication.judge()
	r.result.repeated += v.repeated
	r.judged(p, v)
}

func (r *round) judgeListening(p *program, untilEnd, alone bool, stored []record) {
	r.count(p)
	r.judged(p, listening{untilEnd, p.exit(), p.handled, p.seen, r.said(p), stored, alone && r.situation.broker != streaming}.judge())
}

// account counts repeated events, and, if complete, events that no listener
// handled.
func (r *round) account(stored []record, complete bool) (repeated int) {
	lost, repeated := account(stored, r.handled())
	r.result.repeated += repeated
	if complete {
		r.result.lost += lost
	}
	return repeated
}

func (r *round) oneOf(choices ...string) string { return choices[r.random.IntN(len(choices))] }

func (r *round) timeout() string { return r.oneOf("2s", "5s", "10s") }
