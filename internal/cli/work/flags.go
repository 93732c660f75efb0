// Package work is `listen --exec`: the flags of a worker, and what its handlers get
// of an event.
//
// The package's rule: an event's data never stands in a command's arguments.
package work

import (
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"nats-test/internal/cli/console"
	"nats-test/internal/conn/broker"
	"nats-test/internal/worker"
)

// Flags are those of a worker.
type Flags struct {
	exec       string
	loop       string
	argv       []string // what stands behind --
	workers    int
	key        string
	retries    int
	backoff    string
	deadLetter string
	timeout    time.Duration
	grace      time.Duration
	noBreaker  bool
	emit       bool
	metrics    string

	deadGiven    bool
	timeoutGiven bool
	wait         worker.Backoff
}

// breakerLimit is how many events in a row use up their retries before a worker pauses.
const breakerLimit = 10

// Add puts the flags on cmd.
func (f *Flags) Add(cmd *cobra.Command) {
	fs := console.LocalFlags(cmd)
	fs.StringVar(&f.exec, "exec", "", "run `COMMAND` (by the shell) for each event, its data on stdin: exit code 0 acks it, 65 makes it a\n"+
		"dead letter, another runs it again. Without a shell: listen SUBJECT --group G -- COMMAND ARGS")
	fs.StringVar(&f.loop, "exec-loop", "", "keep `COMMAND` running: a record per line on its stdin, an answer per line from its file descriptor 3.\n"+
		"With --max-in-flight N the handlers have N events at a time, to be answered in order: faster")
	fs.IntVar(&f.workers, "workers", 1, "handle `N` events at a time")
	fs.StringVar(&f.key, "key", "", "events with the same value at this JSON `POINTER`, such as /orderId, are handled one after the other")
	fs.IntVar(&f.retries, "retries", 5, "run an event up to `N` times more, if its handler fails, before it becomes a dead letter")
	fs.StringVar(&f.backoff, "backoff", "1s..5m", "wait `MIN..MAX` before a retry, twice as long each time")
	fs.StringVar(&f.deadLetter, "dead-letter", "", "`SUBJECT` of the dead letters (default: that of the event with .dead or :dead behind it);\n'' for none: then the listener stops")
	fs.DurationVar(&f.timeout, "exec-timeout", 0, "kill a handler after `D` and retry (default: none; on NATS Streaming 9/10 of the ack wait)")
	fs.DurationVar(&f.grace, "grace", 25*time.Second, "when stopped, wait `D` for the handlers that run")
	fs.BoolVar(&f.emit, "emit", false, "a line of the handler's stdout is a record {\"subject\":…,\"data\":…}, or one of listen -o json; in a loop it is in\n"+
		"{\"ack\":true,\"emit\":[…]}. It is checked and stored before the event is acked. JetStream stores a repeat once, by\n"+
		"its message ID; NATS Streaming has none, and may store it twice")
	fs.StringVar(&f.metrics, "metrics", "", "serve metrics for Prometheus at http://`HOST:PORT`/metrics, and /healthz: 200 while it listens")
	fs.BoolVar(&f.noBreaker, "no-breaker", false, fmt.Sprintf("do not pause after %d events in a row used up their retries", breakerLimit))
}

// On reports whether events are handled by commands.
func (f *Flags) On() bool { return f.exec != "" || f.loop != "" || len(f.argv) > 0 }

// names are the flags that need a command, for errors.
var names = []string{"workers", "key", "retries", "backoff", "dead-letter", "exec-timeout", "grace", "no-breaker", "emit", "metrics"}

// Check takes the command from behind -- and refuses wrong flags. It returns the
// subjects among args.
func (f *Flags) Check(cmd *cobra.Command, args []string) (subjects []string, err error) {
	if n := cmd.ArgsLenAtDash(); n > 0 { // without a subject before it, -- only ends the flags
		args, f.argv = args[:n], args[n:]
		if len(f.argv) == 0 {
			return nil, console.Usage(cmd, "no command stands behind --")
		}
	}
	given := cmd.Flags().Changed
	if err := console.Exclusive(cmd, "exec", "exec-loop"); err != nil {
		return nil, err
	}
	switch {
	case len(f.argv) > 0 && (given("exec") || given("exec-loop")):
		return nil, console.Usage(cmd, "two commands: give one with --exec or --exec-loop, or one behind --")
	case given("exec") && strings.TrimSpace(f.exec) == "", given("exec-loop") && strings.TrimSpace(f.loop) == "":
		return nil, console.Usage(cmd, "the command is empty: --exec 'COMMAND'")
	}
	if !f.On() {
		for _, name := range names {
			if given(name) {
				return nil, console.Usage(cmd, "--%s needs a command: --exec 'COMMAND'", name)
			}
		}
		return args, nil
	}
	f.deadGiven, f.timeoutGiven = given("dead-letter"), given("exec-timeout")
	for _, name := range []string{"no-ack", "delay"} {
		if given(name) {
			return nil, console.Usage(cmd, "--%s is for a listener that shows events, not for one that runs a command", name)
		}
	}
	switch {
	case f.workers < 1 || f.workers > 1024:
		return nil, console.Usage(cmd, "--workers %d: must be from 1 to 1024", f.workers)
	case f.retries < 0:
		return nil, console.Usage(cmd, "--retries %d: must not be negative", f.retries)
	case f.timeoutGiven && f.timeout <= 0:
		return nil, console.Usage(cmd, "--exec-timeout %v: must be more than 0", f.timeout)
	case f.grace < 0:
		return nil, console.Usage(cmd, "--grace %v: must not be negative", f.grace)
	case given("metrics") && !isAddress(f.metrics):
		return nil, console.Usage(cmd, "--metrics %q: must be HOST:PORT or :PORT, such as 127.0.0.1:9100", f.metrics)
	case f.key != "" && !jsontext.Pointer(f.key).IsValid():
		return nil, console.Usage(cmd, "--key %q: must be a JSON pointer, such as /orderId", f.key)
	case f.loop != "" && runtime.GOOS == "windows":
		return nil, console.Usage(cmd, "--exec-loop is not there on Windows, which passes no file descriptor 3")
	}
	if f.wait, err = parseBackoff(f.backoff); err != nil {
		return nil, console.Usage(cmd, "--backoff %q: %w", f.backoff, err)
	}
	return args, nil
}

// CheckSubjects refuses subjects whose dead letters could not be stored.
func (f *Flags) CheckSubjects(cmd *cobra.Command, subjects []string) error {
	if !f.On() || f.noLetters() {
		return nil
	}
	for _, subject := range subjects {
		dead := f.deadSubject(subject)
		if err := broker.CheckPublish(dead); err != nil {
			return console.Usage(cmd, "--dead-letter: %w", err)
		}
		for _, other := range subjects {
			if dead == other {
				return console.Usage(cmd, "--dead-letter %s: dead letters would be handled as events: choose a subject that is not listened to", dead)
			}
		}
	}
	return nil
}

// noLetters reports whether no dead letters are to be stored.
func (f *Flags) noLetters() bool { return f.deadGiven && f.deadLetter == "" }

func (f *Flags) deadSubject(subject string) string {
	if f.deadLetter != "" {
		return f.deadLetter
	}
	return worker.DeadSubject(subject)
}

// InFlight is how many events a subject's subscription may hold: no more than are
// handled, so that other members get the rest; but where a key is given, some that
// wait for their turn.
func (f *Flags) InFlight() int {
	if f.key != "" {
		return 4 * f.workers
	}
	return f.workers
}

// depth is how many events a long-lived handler has at a time: those that
// --max-in-flight allows are shared among the handlers.
func (f *Flags) depth(maxInFlight int) int {
	if f.loop == "" {
		return 1
	}
	return max(1, (maxInFlight+f.workers-1)/f.workers)
}

// Workers is how many events are handled at a time.
func (f *Flags) Workers() int { return f.workers }

// isAddress reports whether text is HOST:PORT or :PORT.
func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func parseBackoff(text string) (b worker.Backoff, err error) {
	shortest, longest, ok := strings.Cut(text, "..")
	if !ok {
		return b, fmt.Errorf("must be MIN..MAX, such as 1s..5m")
	}
	for _, bound := range []struct {
		text string
		to   *time.Duration
	}{{shortest, &b.Min}, {longest, &b.Max}} {
		if *bound.to, err = time.ParseDuration(bound.text); err != nil || *bound.to <= 0 {
			return b, fmt.Errorf("%q is no duration above 0, such as 1s", bound.text)
		}
	}
	if b.Min > b.Max {
		return b, fmt.Errorf("%v is more than %v", b.Min, b.Max)
	}
	return b, nil
}
