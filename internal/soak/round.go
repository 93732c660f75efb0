//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"nats-test/internal/brokertest"
)

// A round is one run of a situation, with its own servers, programs and faults. It
// is a [brokertest.T]. Its methods are for one goroutine.
type round struct {
	ctx       context.Context
	situation situation
	random    *rand.Rand
	bin       string // folder of the programs
	dir       string // of the round; kept after a false claim
	log       io.Writer
	began     time.Time

	field
	programs  int // started
	listeners []*program
	folders   int
	asked     int             // events
	restarts  []span          // of the server
	settled   map[uint64]bool // by workers, as they say

	result   result
	summary  string // what there was to judge, if the table does not say it
	failure  error  // why the round had to stop
	cleanups []func()
}

// A result is the result of one round, or the sum of many.
type result struct {
	rounds, faults, events int
	exits                  map[string]map[int]int // by program and code
	lost, repeated         int
	untruths               []string
}

// newRound prepares a round. The same seed and number give the same random choices.
func newRound(ctx context.Context, s situation, bin, dir string, seed uint64, number int) (*round, error) {
	dir = filepath.Join(dir, fmt.Sprintf("%s-%s-%d", s.name, s.broker, number))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "round.log"))
	if err != nil {
		return nil, err
	}
	hash := fnv.New64()
	_, _ = fmt.Fprint(hash, s.name, s.broker, number) // never fails
	r := &round{
		ctx: ctx, situation: s, random: rand.New(rand.NewPCG(seed, hash.Sum64())), bin: bin, dir: dir, log: log, began: time.Now(), settled: make(map[uint64]bool),
		result: result{rounds: 1, exits: make(map[string]map[int]int)},
	}
	r.Cleanup(func() { _ = log.Close() })
	return r, nil
}

// run runs the round. Its error is a reason why the round itself failed.
func (r *round) run() error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for len(r.cleanups) > 0 {
				last := len(r.cleanups) - 1
				cleanup := r.cleanups[last]
				r.cleanups = r.cleanups[:last]
				cleanup()
			}
		}()
		r.prepare()
		r.situation.load(r)
	}()
	<-done
	return r.failure
}

// prepare chooses the sizes of the round, writes its events and starts its servers.
func (r *round) prepare() {
	title := r.titles()
	var text bytes.Buffer
	for event := 1; event <= r.asked; event++ {
		_, _ = fmt.Fprintf(&text, `{"id":"%d","title":%q,"price":1,"userId":"u"}`+"\n", event, title()) // never fails
	}
	if err := os.WriteFile(r.eventsFile(), text.Bytes(), 0o600); err != nil {
		r.Fatal(err)
	}
	r.result.events = r.asked
	r.Logf("%d events of %d bytes", r.asked, text.Len()/r.asked)
	r.field.start(r)
}

// titles chooses how many events there are, and returns what makes the title of each.
func (r *round) titles() func() string {
	if r.situation.handler != "" {
		r.asked = r.situation.events
		return r.plan
	}
	size := []int{1, 1, 200, 2000}[r.random.IntN(4)]
	r.asked = min(r.situation.events, 4_000_000/(size+100))
	r.asked = r.asked/2 + r.random.IntN(r.asked/2)
	title := strings.Repeat("x", size)
	return func() string { return title }
}

func (r *round) eventsFile() string { return filepath.Join(r.dir, "events.ndjson") }

// untrue records a false claim.
func (r *round) untrue(text string) {
	r.Logf("UNTRUE: %s", text)
	r.result.untruths = append(r.result.untruths, text)
}

// judged records the verdict on a program that ended.
func (r *round) judged(p *program, v verdict) {
	const exitUsage = 2
	if p.exit() == exitUsage {
		r.Fatalf("%s was started wrongly: %s", p.name, r.said(p))
	}
	name := filepath.Base(p.cmd.Args[0])
	if r.result.exits[name] == nil {
		r.result.exits[name] = make(map[int]int)
	}
	r.result.exits[name][p.exit()]++
	r.result.lost += v.lost
	r.Logf("%s: exit %d, lost %d", p.name, p.exit(), v.lost)
	for _, text := range v.untruths {
		r.untrue(p.name + ": " + text)
	}
}

// pause waits, and watches the listeners meanwhile.
func (r *round) pause(d time.Duration) {
	const often = 20 * time.Millisecond
	for end := time.Now().Add(d); ; {
		r.count(r.listeners...)
		left := time.Until(end)
		if left <= 0 {
			return
		}
		timer := time.NewTimer(min(left, often))
		select {
		case <-timer.C:
		case <-r.ctx.Done():
			timer.Stop()
			r.Fatal(context.Cause(r.ctx))
		}
	}
}

// between returns a random duration.
func (r *round) between(least, most time.Duration) time.Duration {
	return least + time.Duration(r.random.Int64N(int64(most-least)))
}

var _ brokertest.T = (*round)(nil)

// Helper does nothing.
func (r *round) Helper() {}

// Logf writes a line into the round's log.
func (r *round) Logf(format string, args ...any) {
	_, _ = fmt.Fprintf(r.log, "%8.3f  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// Fatal ends the round without a result about the programs.
func (r *round) Fatal(args ...any) {
	r.failure = fmt.Errorf("%s", strings.TrimSuffix(fmt.Sprintln(args...), "\n"))
	r.Logf("%v", r.failure)
	runtime.Goexit()
}

// Fatalf is Fatal with a format.
func (r *round) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }

// Cleanup registers f for the end of the round.
func (r *round) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

// TempDir creates a folder in the round's folder.
func (r *round) TempDir() string {
	r.folders++
	dir := filepath.Join(r.dir, fmt.Sprintf("server-%d", r.folders))
	if err := os.Mkdir(dir, 0o700); err != nil {
		r.Fatal(err)
	}
	return dir
}
