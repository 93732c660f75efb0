// Package status holds the commands that inspect a broker and repair its state:
// listen status, listen evict and listen forget.
//
// The package's rule: status changes nothing; evict and forget check the state
// again before a change.
package status

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"nats-test/internal/cli/connect"
	"nats-test/internal/cli/console"
	"nats-test/internal/conn/broker"
)

// statusOptions are the flags of listen status.
type statusOptions struct {
	view
	flags    *connect.Flags
	subjects []string
	watch    bool
	settle   time.Duration
	output   string
}

// Errors of a state not known to be healthy.
var (
	errStuck    = errors.New("something is stuck")
	errCutShort = fmt.Errorf("%w before the state was read", console.ErrInterrupted)
)

// New returns the command listen status.
func New(s *console.System, flags *connect.Flags) *cobra.Command {
	o := &statusOptions{flags: flags, output: "text"}
	cmd := &cobra.Command{
		Use:   "status [SUBJECT...]",
		Short: "show who listens, who is stuck, and which events wait",
		Long: `status shows the channels of NATS Streaming or the streams of JetStream, who
listens to them, and the position of each listener; then what is wrong, the worst
first. With subjects it shows only these; * stands for any text. On NATS Streaming,
the state comes from the monitoring port (--monitor), and every client is asked
whether it is alive.

The exit code is 0 if nothing is stuck, and 1 if something is; for a watch, 0.
Members without progress for --settle are stuck: set it to the longest time that
your slowest service works on an event. To listen to a channel that is named like
a command: listen --raw -- status`,
		Example: `  listen status
  listen status ticket:created 'order:*'
  listen status --watch
  listen status -o json | jq -r '.judgements[].text'`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.subjects = args
			if err := o.check(s, cmd); err != nil {
				return err
			}
			return run(cmd.Context(), s, console.New(s, cmd), o)
		},
	}
	f := console.LocalFlags(cmd)
	f.BoolVarP(&o.watch, "watch", "w", false, "refresh every second: in place on a terminal (q quits, arrows scroll), with -o json a line each")
	f.DurationVar(&o.settle, "settle", 2*time.Second, "a member that holds events and makes no progress for this long is stuck;\n"+
		"without --watch, status waits this long to find out")
	console.AddChoice(cmd, f, &o.output, "output", "o", "", "text", "json (a line per snapshot)")
	return cmd
}

func (o *statusOptions) check(s *console.System, cmd *cobra.Command) error {
	var err error
	if o.Broker, err = o.flags.Resolve(s, cmd); err != nil {
		return err
	}
	for _, subject := range o.subjects {
		if broker.IsPattern(subject) {
			continue
		}
		if err := broker.CheckSubject(subject); err != nil {
			return err
		}
	}
	switch {
	case o.settle < 0 || o.settle > time.Hour:
		return console.Usage(cmd, "--settle %v: must be from 0 to 1h", o.settle)
	case o.watch && o.output == "text" && !s.StdoutTTY:
		return console.Usage(cmd, "--watch needs a terminal on stdout: add -o json for a stream of lines")
	}
	return nil
}
