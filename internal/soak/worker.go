//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// The sizes of a round with workers, before -part. Starting 20,000 processes and more
// takes too long.
const (
	loopEvents   = 20_000
	execEvents   = 10_000
	memberKills  = 60
	memberStops  = 60
	serverKills  = 3
	workerFaults = memberKills + memberStops + serverKills
)

// What workers are started with.
const (
	workerGroup   = "g"
	workerRetries = 5
	workersEach   = 2
	workerAckWait = 3 * time.Second
	members       = 3
	execFlag      = "exec"
	loopFlag      = "exec-loop"
	handlerName   = "handler"
)

// plan chooses how the runs of an event's handler end (see ./handler): 10 % fail, and
// the last succeeds, but a few events always fail, or are of no use.
func (r *round) plan() string {
	const letters, most = 8, 1000
	few := min(most, r.asked/4)
	ends := make([]byte, letters)
	hopeless := r.random.IntN(few)
	for i := range ends {
		ends[i] = 'o'
		if hopeless == 0 || i < letters-1 && r.random.IntN(10) == 0 {
			ends[i] = "fftc"[r.random.IntN(4)]
		}
	}
	if hopeless == 1 {
		ends[r.random.IntN(2)] = 'd'
	}
	return string(ends)
}

// handling is the load of three workers, which are killed and stopped, and whose
// server is killed.
func handling(r *round) {
	r.fill()
	handler := r.handler()
	depth := r.oneOf("2", "8", "64")
	if r.situation.handler == execFlag { // more would wait here while others are idle
		depth = strconv.Itoa(workersEach)
	}
	w := crew{
		streaming: r.situation.broker == streaming, loop: r.situation.handler == loopFlag, retries: workerRetries, ackWait: workerAckWait,
		capacity: max(number(depth), workersEach),
	}
	args := []string{
		"listen", channel, "--group", workerGroup, "--ack-wait", workerAckWait.String(), "--retries", strconv.Itoa(workerRetries),
		"--backoff", "20ms..200ms", "--workers", strconv.Itoa(workersEach), "--max-in-flight", depth, "--" + r.situation.handler, handler,
	}
	r.workers(args)
	r.drainWorkers(append(args, "--until-end"))
	r.awaitNoHandler()
	w.restarts = r.restarts
	w.plans, w.stored, w.letters, w.notes = r.plans(), r.messages(channel), r.messages(deadLetters), r.notes()
	for _, p := range r.listeners {
		r.count(p)
		w.members = append(w.members, member{p.name, p.cmd.Process.Pid, p.runs, p.killed, p.exitedAt, p.exit(), r.said(p)})
		if p.killed.IsZero() {
			r.judged(p, verdict{})
		}
	}
	v := w.judge()
	for _, text := range v.untruths {
		r.untrue(text)
	}
	r.result.lost += v.lost
	r.result.repeated += v.repeated
	r.summary = fmt.Sprintf("%v; it took %v", w.sum, time.Since(r.began).Round(time.Second))
}

// buildHandler builds what workers run.
func buildHandler(dir string) error {
	build := exec.Command("go", "build", "-o", filepath.Join(dir, handlerName), "nats-test/internal/soak/handler")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the handler: %w\n%s", err, out)
	}
	return nil
}

// handler prepares the folder of the handlers, and returns the command that runs one.
func (r *round) handler() string {
	for _, name := range []string{"alive", "notes", "counts"} {
		if err := os.WriteFile(filepath.Join(r.dir, name), nil, 0o600); err != nil {
			r.Fatal(err)
		}
	}
	command := fmt.Sprintf("exec '%s' '%s'", filepath.Join(filepath.Dir(r.dir), handlerName), r.dir)
	if r.situation.handler == execFlag {
		return command + " 5ms" // a process takes its time anyway
	}
	return command + " 10ms loop"
}

// workers has all events handled while members and server suffer.
func (r *round) workers(args []string) {
	var all []*program
	for range members {
		all = append(all, r.start(args...))
	}
	hit := func(how func(*program), meanwhile func()) {
		i := r.random.IntN(len(all))
		how(all[i])
		meanwhile()
		all[i] = r.start(args...)
	}
	var faults []func()
	add := func(n int, fault func()) {
		faults = append(faults, slices.Repeat([]func(){fault}, (n+r.situation.part-1)/r.situation.part)...)
	}
	add(memberKills, func() { hit(r.kill, func() {}) })
	add(memberStops, func() { hit(r.terminate, func() {}) })
	add(serverKills, func() {
		for _, p := range all { // one that begins may say that there is no server, and end
			r.awaitListening(p)
		}
		r.Logf("the server is killed")
		killed := time.Now()
		r.server.Kill()
		r.pause(r.shortOrLong(0, time.Second, 8*time.Second))
		hit([]func(*program){r.kill, r.terminate}[r.random.IntN(2)], func() {
			r.server.Restart()
			r.Logf("the server runs again")
			r.restarts = append(r.restarts, span{killed, time.Now()})
		})
	})
	r.random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	moments := make([]int, len(faults))
	for i := range moments {
		moments[i] = r.random.IntN(r.asked * 9 / 10)
	}
	slices.Sort(moments)
	for i, fault := range faults {
		r.awaitSettled(all, moments[i])
		r.result.faults++
		fault()
	}
	r.awaitSettled(all, r.asked)
	for _, p := range all {
		r.terminate(p)
	}
}

// awaitSettled waits until so many events were acked, or are dead letters, as the
// workers say.
func (r *round) awaitSettled(all []*program, events int) {
	for still := newStillness(); ; r.pause(20 * time.Millisecond) {
		for _, p := range r.listeners {
			r.read(p)
			for ; p.looked < len(p.runs); p.looked++ {
				if o := p.runs[p.looked]; o.Outcome != "retry" {
					r.settled[o.Sequence] = true
				}
			}
		}
		if len(r.settled) >= events {
			return
		}
		for i, p := range all {
			if !p.running() {
				r.untrue(fmt.Sprintf("%s: it ended by itself, with exit code %d: %s", p.name, p.exit(), r.said(p)))
				all[i] = r.start(p.args...)
			}
		}
		if still.over(len(r.settled)) {
			r.untrue(fmt.Sprintf("%d of %d events are settled, and no other was for %v", len(r.settled), r.asked, stillness))
			return
		}
	}
}

// drainWorkers starts workers until one has come to the end.
func (r *round) drainWorkers(args []string) {
	const most = 90 * time.Second
	for deadline := time.Now().Add(most); ; r.pause(time.Second) {
		p := r.start(args...)
		r.awaitEnds(p)
		if p.exit() == exitDone {
			break
		}
		if time.Now().After(deadline) {
			r.untrue(fmt.Sprintf("no worker came to the end for %v, and nothing was done to any", most))
			break
		}
	}
	if unacked, waiting := r.left(channel); unacked+waiting > 0 {
		r.untrue(fmt.Sprintf("a worker came to the end, and %d events are not acked, %d were not delivered", unacked, waiting))
	}
}

// awaitNoHandler waits until no process of a handler is left: each has a lock.
func (r *round) awaitNoHandler() {
	const soon = 10 * time.Second // TERM, and KILL 5 s later
	alive, err := os.Open(filepath.Join(r.dir, "alive"))
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = alive.Close() }()
	for deadline := time.Now().Add(soon); ; r.pause(20 * time.Millisecond) {
		err := syscall.Flock(int(alive.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return
		case err != syscall.EWOULDBLOCK:
			r.Fatal(err)
		case time.Now().After(deadline):
			r.untrue("all workers have ended, and a handler lives on")
			return
		}
	}
}

// notes are those of the handlers.
func (r *round) notes() (all []note) {
	text, err := os.ReadFile(filepath.Join(r.dir, "notes"))
	if err != nil {
		r.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var n note
		if err := json.Unmarshal(line, &n); err != nil {
			r.Fatalf("%v: %s", err, line)
		}
		all = append(all, n)
	}
	return all
}

// plans are the titles of the events, by their numbers.
func (r *round) plans() map[int]string {
	file, err := os.Open(r.eventsFile())
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	all := make(map[int]string)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var e struct {
			ID    int `json:"id,string"`
			Title string
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			r.Fatal(err)
		}
		all[e.ID] = e.Title
	}
	return all
}
