package console

import (
	"errors"

	"nats-test/internal/events"
)

// The exit codes, as --help prints them.
const (
	ExitDone     = 0
	ExitFailed   = 1
	ExitUsage    = 2
	ExitBroker   = 3
	ExitContract = 4
	ExitNotAcked = 5
	ExitIdle     = 6
	ExitLeft     = 7
	ExitOrder    = 8
	ExitKilled   = 9

	ExitInterrupted = 130
)

// ExitHelp says what each exit code means.
const ExitHelp = `Exit codes:
  0  done; a listener without an end: stopped by a signal and closed cleanly
  1  failed; or listen status found something stuck
  2  usage: a wrong flag, an illegal subject, a file or a catalogue that can't be read,
     a stdout closed by the shell (>&-)
  3  broker unreachable, refused or lost; no stream for the subject
  4  unknown event, or one that breaks its contract or is too large; it was not sent;
     publish events check found faults, or publish events diff breaking changes
  5  sent, but not acked in time; or not stored: the stream is full, keeps nothing, or
     differs from a header Nats-Expected-…, or the --id belongs to another event
  6  stopped by --idle before --count, or the end, was reached
  7  --until-end reached the end, but not every event was handled: others hold some,
     the consumer is paused, the broker lost some, or it can't be known
  8  all events are stored, but some out of order
  9  stopped by a signal, and handlers (--exec) were killed after --grace; their events went back
  130  interrupted before the command was done
`

// ExitCode returns the exit code for err.
func ExitCode(err error) int {
	if e, ok := errors.AsType[*explainedError](err); ok && e.kind != nil {
		err = e.kind // takes precedence over the errors in its chain
	}
	if _, ok := errors.AsType[*events.UnknownError](err); ok {
		return ExitContract
	}
	if _, ok := errors.AsType[*events.InvalidError](err); ok {
		return ExitContract
	}
	for _, e := range ends {
		if errors.Is(err, e.err) {
			return e.code
		}
	}
	if isCatalogueError(err) {
		return ExitUsage
	}
	return ExitFailed
}
