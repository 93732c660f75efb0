// Package process runs a user's command for an event: one process per event
// ([NewCommand]), or handlers that live on and take one event after another
// ([NewLoop]). It knows neither brokers nor flags.
//
// The package's rules: no event ends the worker, and nothing that a handler
// does blocks it. A handler has a process group of its own, so that a Ctrl-C at
// the terminal is not for it. When it has ended, what is left of its group is
// killed; a process that left the group is let go, and its output is no longer
// read. Whatever a handler writes is read in bounded memory.
//
// On Linux a handler is killed when the process that runs it dies (PDEATHSIG).
// This holds for the process that was started, which through a shell may be
// the shell alone: children of its own live on. Elsewhere the handler lives on,
// and learns of it by the end of its standard input.
//
// Windows has no process groups: a handler is killed at once in place of TERM,
// and its children live on. Neither has it a file descriptor 3: there a [NewLoop]
// answers [Broken].
package process

import (
	"context"
	"io"
	"time"
)

// An Event is one event, as a handler gets it.
type Event struct {
	Number uint64   // its sequence, for the prefix of output lines and for messages
	Data   []byte   // a command's standard input
	Env    []string // "EVENT_SUBJECT=…", beside the environment of this process
	Record []byte   // a line, with its "\n", for a long-lived handler
}

// A Verdict says what is to become of an event.
type Verdict int

const (
	// Ack: exit code 0, {"ack":true}.
	Ack Verdict = iota
	// Retry: any other exit code, a signal, a time-out, {"retry":"5s"}, and
	// whatever a long-lived handler does that it must not.
	Retry
	// Dead: exit code 65 (EX_DATAERR), {"dead":"why"}, and an event that can't
	// be passed to a process.
	Dead
	// Back: not run, or cut off by the shutdown. The event goes back uncounted.
	Back
	// Broken: the command can't be started, or ended with 126 or 127. The event
	// goes back, and so would every other.
	Broken
)

// An Outcome says how the run of an event ended.
type Outcome struct {
	Verdict Verdict
	Reason  string        // "exit 1", "killed by SIGSEGV", "not done within 30s"; empty for Ack
	Code    int           // the exit code; -1 if there is none
	Signal  string        // the signal that ended the process, "SIGKILL", or ""
	After   time.Duration // for Retry: what the handler asked for; 0: the policy decides
	Stderr  []byte        // the last KiB of the handler's standard error, unless the verdict is Ack
	Took    time.Duration // in a loop since the answer before, if the event waited for it
	Emit    [][]byte      // for Ack: the records that the handler emitted, if Config.Emit is set
}

// A Config says how handlers are run.
type Config struct {
	// Argv is the command. Through a shell it is {"/bin/sh", "-c", COMMAND}.
	Argv []string
	// Timeout bounds the run of an event: then its process group gets TERM, and
	// KILL 5 s later. 0: no bound. In a loop the time of an event begins when the
	// one before it was answered.
	Timeout time.Duration
	// Workers is how many handlers a loop runs; 0 is 1. If it is more than 1, a
	// handler's output is passed on in whole lines that begin with the event's
	// number ("#12: "); a line above 64 KiB in pieces. Otherwise output is passed
	// on as it comes.
	Workers int
	// Depth is how many events a handler of a loop may have at a time; 0 is 1. It
	// has to answer in order.
	Depth int
	// Stdout and Stderr get the handlers' output, from several goroutines.
	// Without them it is dropped. While they block, so do the handlers.
	Stdout, Stderr io.Writer
	// Emit collects records: the lines of a command's standard output, in place
	// of passing them on, or "emit" in the answers of a loop. A record has at
	// most 1 MiB, an event's records 16 MiB, and there are at most 100,000 of them;
	// beyond that the event is a Retry.
	Emit bool
	// Warn, if set, gets one-line messages.
	Warn func(format string, args ...any)
}

// A Runner runs handlers. Its methods may be called by any goroutine.
type Runner interface {
	// Run runs the handler on one event and returns how that ended. When ctx is
	// done, the handler gets TERM, and KILL 5 s later; the outcome is Back, unless
	// the handler had ended, or answered, before. Run returns when the handler's
	// output is written, or a moment after ctx is done.
	Run(ctx context.Context, e Event) Outcome
	// Close ends long-lived handlers: their standard input ends, after 1 s they
	// get TERM, and KILL 5 s later. Their events, and those of later calls of Run,
	// are Back. When it returns, none of their processes is left.
	Close()
}

// What bounds the output of a handler.
const (
	longestLine   = 64 << 10 // that is passed on in one piece
	longestRecord = 1 << 20
	mostEmitted   = 16 << 20 // bytes of one event's records
	mostRecords   = 100_000  // of one event
	longestAnswer = 64 << 10 // without records
	stderrKept    = 1 << 10
)

const (
	exitDataErr = 65  // EX_DATAERR of sysexits.h
	exitNoExec  = 126 // POSIX: found, and not executable
	exitNoFile  = 127 // POSIX: not found
)

func (c Config) withDefaults() Config {
	c.Workers = max(c.Workers, 1)
	c.Depth = max(c.Depth, 1)
	if c.Warn == nil {
		c.Warn = func(string, ...any) {}
	}
	if c.Stdout != nil {
		c.Stdout = &outlet{to: c.Stdout, warn: c.Warn}
	}
	if c.Stderr != nil {
		c.Stderr = &outlet{to: c.Stderr, warn: c.Warn}
	}
	return c
}
