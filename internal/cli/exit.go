package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nats-test/internal/conn"
	"nats-test/internal/events"
)

// The exit codes, as --help prints them.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitBroker   = 3
	exitContract = 4
	exitNotAcked = 5
	exitIdle     = 6
)

const exitHelp = `Exit codes:
  0  done, or stopped by a signal and closed cleanly
  1  failed
  2  usage: a flag, a subject that is no legal name, a file that can't be read
  3  broker unreachable, refused or lost
  4  unknown event, or one that breaks its contract or is too large; it was not sent
  5  sent, but not acked in time
  6  stopped by --idle before --count was reached
`

var (
	errUsage    = errors.New("usage")
	errContract = errors.New("contract")
	errIdle     = errors.New("stopped by --idle before --count was reached")
)

// codes maps errors to exit codes; the first that matches counts.
var codes = []struct {
	err  error
	code int
}{
	{errUsage, exitUsage},
	{conn.ErrName, exitUsage},
	{conn.ErrConfig, exitUsage},
	{errContract, exitContract},
	{conn.ErrTooLarge, exitContract},
	{conn.ErrNotAcked, exitNotAcked},
	{conn.ErrNoServer, exitBroker},
	{conn.ErrNoCluster, exitBroker},
	{conn.ErrHung, exitBroker},
	{conn.ErrAuth, exitBroker},
	{conn.ErrTLS, exitBroker},
	{conn.ErrClientIDTaken, exitBroker},
	{conn.ErrLost, exitBroker},
	{conn.ErrRefused, exitBroker},
	{errIdle, exitIdle},
}

func exitCode(err error) int {
	if _, ok := errors.AsType[*events.UnknownError](err); ok {
		return exitContract
	}
	if _, ok := errors.AsType[*events.InvalidError](err); ok {
		return exitContract
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return exitFailed
}

// An explained error is one with a hint: what to type next.
type explained struct {
	error
	kind error // one of the errors in codes, or nil
	hint string
}

func (e *explained) Unwrap() []error {
	if e.kind == nil {
		return []error{e.error}
	}
	return []error{e.error, e.kind}
}

// usage returns an error for a command line that can't be run.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return &explained{fmt.Errorf(format, args...), errUsage, fmt.Sprintf("see %s --help", cmd.CommandPath())}
}

// broken returns an error for an event that is not what it should be.
func broken(format string, args ...any) error {
	return &explained{fmt.Errorf(format, args...), errContract, ""}
}

// hinted adds a hint to err.
func hinted(err error, format string, args ...any) error {
	return &explained{err, nil, fmt.Sprintf(format, args...)}
}
