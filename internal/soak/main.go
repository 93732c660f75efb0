//go:build unix

// Soak runs publish and listen for a long time against real servers with faults,
// and accounts for every event: exit code 0 requires complete results, acked events
// must be stored, and numbers reported with other exit codes must be true.
//
// The package's rule: it knows the programs only by their arguments, output and
// exit codes, and talks to brokers through libraries that the programs' own code is
// not part of.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"nats-test/internal/brokertest"
)

func main() {
	brokertest.ServeIfChild()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := soak(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	brokertest.RemovePrograms()
	os.Exit(code)
}

// The exit codes of the campaign.
const (
	allTrue  = 0
	notTrue  = 1
	notRun   = 2
	wasEnded = 130 // by a signal, without a false claim so far
)

// A campaign is a run with the given flags.
type campaign struct {
	duration time.Duration
	rounds   int
	seed     uint64
	only     string
	part     int
	bin      string
	goOn     bool

	situations []situation
	dir        string
	table      *table
	out        io.Writer
}

func soak(ctx context.Context, args []string, out, errors io.Writer) int {
	c := &campaign{out: out}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(errors)
	flags.DurationVar(&c.duration, "duration", 5*time.Minute, "begin no round after `D`, once each situation had -rounds")
	flags.IntVar(&c.rounds, "rounds", 0, "run each situation at least `N` times")
	flags.Uint64Var(&c.seed, "seed", rand.Uint64(), "choose as the campaign with the seed `N` did")
	flags.StringVar(&c.only, "only", "", "run the situations, separated by commas, whose `NAME` or NAME/BROKER it is or begins so")
	flags.IntVar(&c.part, "part", 1, "run an `N`th of a round with workers: of its events, and of each kind of fault")
	flags.StringVar(&c.bin, "bin", "", "use the programs in `FOLDER` instead of building them")
	flags.BoolVar(&c.goOn, "go-on", false, "do not end at the first untruth")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || c.part < 1 {
		return notRun
	}
	if err := c.prepare(); err != nil {
		_, _ = fmt.Fprintf(errors, "soak: %v\n", err)
		return notRun
	}
	code := c.run(ctx)
	if err := c.table.write(out); err != nil {
		return notRun
	}
	_ = os.Remove(filepath.Join(c.dir, handlerName))
	_ = os.Remove(c.dir) // fails if something was kept
	return code
}

func (c *campaign) prepare() (err error) {
	for _, s := range situations() {
		if c.only == "" || slices.ContainsFunc(strings.Split(c.only, ","), func(only string) bool { return strings.HasPrefix(s.String(), only) }) {
			if s.handler != "" {
				s.part, s.events = c.part, s.events/c.part
			}
			c.situations = append(c.situations, s)
		}
	}
	if len(c.situations) == 0 {
		var names []string
		for _, s := range situations() {
			names = append(names, s.String())
		}
		return fmt.Errorf("no situation %q; there are %s", c.only, strings.Join(names, ", "))
	}
	c.table = newTable(c.situations)
	if c.bin == "" {
		if c.bin, err = brokertest.Programs(); err != nil {
			return err
		}
	}
	if c.dir, err = os.MkdirTemp("", "soak-"); err != nil {
		return err
	}
	if slices.ContainsFunc(c.situations, func(s situation) bool { return s.handler != "" }) {
		return buildHandler(c.dir)
	}
	return nil
}

// run repeats all situations, each time in another order.
func (c *campaign) run(ctx context.Context) int {
	c.say("seed %d, folder %s", c.seed, c.dir)
	end := time.Now().Add(c.duration)
	random := rand.New(rand.NewPCG(c.seed, 0))
	code := allTrue
	for number := 1; ; number++ {
		for _, i := range random.Perm(len(c.situations)) {
			if ctx.Err() != nil {
				c.say("ended by a signal")
				return max(code, wasEnded)
			}
			if number > c.rounds && time.Now().After(end) {
				return code
			}
			switch c.round(ctx, c.situations[i], number) {
			case notTrue:
				code = notTrue
				if !c.goOn {
					return code
				}
			case notRun:
				return notRun
			}
		}
	}
}

// round runs one round, and reports false claims.
func (c *campaign) round(ctx context.Context, s situation, number int) int {
	r, err := newRound(ctx, s, c.bin, c.dir, c.seed, number)
	if err != nil {
		c.say("%v", err)
		return notRun
	}
	err = r.run()
	switch {
	case ctx.Err() != nil: // the findings may be due to the signal
		_ = os.RemoveAll(r.dir)
		return allTrue
	case err != nil && len(r.result.untruths) == 0:
		c.say("%s, round %d: can't go on: %v\n  all output and logs: %s", s, number, err, r.dir)
		return notRun
	}
	c.table.add(s, r.result)
	if r.summary != "" {
		c.say("%s, round %d: %s", s, number, r.summary)
	}
	if len(r.result.untruths) == 0 {
		_ = os.RemoveAll(r.dir)
		return allTrue
	}
	c.say("%s, round %d: NOT TRUE\n  %s\n  all output and logs: %s\n  the same choices again: -seed %d -only %s",
		s, number, strings.Join(r.result.untruths, "\n  "), r.dir, c.seed, s)
	return notTrue
}

func (c *campaign) say(format string, args ...any) { _, _ = fmt.Fprintf(c.out, format+"\n", args...) }
