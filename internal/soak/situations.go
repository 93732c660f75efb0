//go:build unix

package main

import (
	"strings"
	"time"

	"nats-test/internal/brokertest/netsim"
)

// A situation is a load and a fault, on one broker.
type situation struct {
	name   string
	broker string
	events int // limit for a round
	faults int // per round, unless the programs end earlier
	load   func(*round)
	fault  func(*round) // nil with members, whose load has faults of its own
	once   bool         // no event may be handled twice

	handler string // the flag with which workers run it
	part    int    // faults, and events of workers, are divided by it
}

// situations returns all situations. Add new ones here.
func situations() (all []situation) {
	const many, some, few = 10000, 6000, 3000
	add := func(name string, events, faults int, load, fault func(*round), brokers ...string) {
		for _, broker := range brokers {
			all = append(all, situation{name: name, broker: broker, events: events, faults: faults, load: load, fault: fault})
		}
	}
	both := []string{streaming, jetStream}
	add("members-killed", many, 10, working("2s", (*round).kill), nil, both...)
	add("members-stopped", many, 10, working("30s", (*round).terminate), nil, both...)
	for i := range all {
		s := &all[i]
		// NATS Streaming has a race of its own: it redelivers acked events.
		s.once = s.name == "members-stopped" && s.broker == jetStream
	}
	for _, fault := range []struct {
		name    string
		events  int
		faults  int
		happens func(*round)
	}{
		{"server-killed", many, 3, killServer},
		{"cut", many, 5, cut},
		{"frozen", many, 2, freeze},
		{"slow", few, 1, slow},
		{"black-hole", many, 2, blackHole},
		{"half-closed", many, 3, halfClose},
	} {
		add(fault.name+"-publish", fault.events, fault.faults, publishing, fault.happens, both...)
		add(fault.name+"-drain", min(fault.events, some), fault.faults, draining, fault.happens, both...)
	}
	add("answers-lost-publish", many, 3, publishing, loseAnswers, both...)
	add("leader-killed-publish", many, 2, publishing, killLeader, cluster)
	add("leader-killed-drain", some, 2, draining, killLeader, cluster)
	add("worker-"+execFlag, execEvents, workerFaults, handling, nil, both...)
	add("worker-"+loopFlag, loopEvents, workerFaults, handling, nil, both...)
	for i := range all {
		if flag, ok := strings.CutPrefix(all[i].name, "worker-"); ok {
			all[i].handler = flag
		}
	}
	return all
}

// killServer ends the server like kill -9, and restarts it with its store.
func killServer(r *round) {
	r.Logf("the server is killed")
	r.server.Kill()
	r.pause(r.shortOrLong(0, time.Second, 8*time.Second))
	r.server.Restart()
	r.Logf("the server runs again")
}

// killLeader kills the leader of the stream, and restarts it.
func killLeader(r *round) {
	leader := r.cluster.StreamLeader(channel)
	r.Logf("%s, which leads, is killed", leader.Name)
	leader.Kill()
	r.pause(r.between(0, 3*time.Second))
	leader.Restart()
	r.cluster.AwaitReady()
	r.Logf("%s follows again", leader.Name)
}

func cut(r *round) {
	r.Logf("connections are cut")
	r.network.Cut()
}

// freeze suspends the server for a while; data sent meanwhile waits.
func freeze(r *round) {
	r.Logf("the server is frozen")
	r.server.Freeze()
	r.pause(r.shortOrLong(100*time.Millisecond, 2*time.Second, 12*time.Second))
	r.server.Thaw()
	r.Logf("the server is thawed")
}

// slow throttles the network until the programs have ended.
func slow(r *round) {
	delay := r.between(0, 300*time.Millisecond)
	rate := 100_000 + r.random.IntN(400_000)
	r.Logf("from now on, %v and %d bytes/s in each direction", delay, rate)
	r.network.Delay(delay)
	r.network.Throttle(rate, rate)
}

// blackHole blocks all data for a while.
func blackHole(r *round) {
	r.Logf("nothing passes")
	r.network.BlackHole(true)
	r.pause(r.shortOrLong(100*time.Millisecond, 2*time.Second, 12*time.Second))
	r.network.BlackHole(false)
	r.Logf("everything passes again")
}

func halfClose(r *round) {
	direction, text := netsim.Up, "to"
	if r.random.IntN(2) == 0 {
		direction, text = netsim.Down, "from"
	}
	r.Logf("the way %s the server is closed", text)
	r.network.HalfClose(direction)
}

// loseAnswers drops messages to the program; for publish, these are acks.
func loseAnswers(r *round) {
	n := 1 + r.random.IntN(20)
	r.Logf("%d messages of the server are lost", n)
	r.network.Lose(netsim.Holds("MSG "), n)
}

// shortOrLong returns a duration up to most, and sometimes one up to longest.
func (r *round) shortOrLong(least, most, longest time.Duration) time.Duration {
	if r.random.IntN(5) == 0 {
		return r.between(most, longest)
	}
	return r.between(least, most)
}
