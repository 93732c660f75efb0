// Package status holds the commands that look at a broker and mend its state: listen
// status, listen evict and listen forget.
//
// The package's rule: status only looks; evict and forget check the state again
// before they change anything.
package status

import (
	"errors"
	"fmt"
	"strings"
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

// Errors of a status that is not known to be healthy.
var (
	errStuck    = errors.New("something is stuck")
	errCutShort = fmt.Errorf("%w before the look was over", console.ErrInterrupted)
)

// New returns the command listen status.
func New(s *console.System, flags *connect.Flags) *cobra.Command {
	o := &statusOptions{flags: flags, output: "text"}
	cmd := &cobra.Command{
		Use:   "status [SUBJECT...]",
		Short: "tell who listens, who is stuck, what waits",
		Long: `status shows the channels of NATS Streaming or the streams of JetStream, who takes
events from them, and how far each has come; and says in plain sentences what is
wrong, the worst first. With subjects it looks at these alone; * stands for any
text. NATS Streaming tells all this on its monitoring port (--monitor), and who
is dead or hangs is found out by asking every client.

It exits with 0 if nothing is stuck, and with 1 if something is; a watch with 0.
What does not move for --settle is stuck: say how long your slowest service may
work on an event. A channel called as a command is listened to with:
listen --raw -- status`,
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
	f.BoolVarP(&o.watch, "watch", "w", false, "look again every second: on a terminal in place (q quits, arrows scroll), with -o json a line each")
	f.DurationVar(&o.settle, "settle", 2*time.Second, "a member that holds events and does not move for this long is stuck;\n"+
		"without --watch, status waits this long to find out")
	console.AddChoice(cmd, f, &o.output, "output", "o", "", "text", "json (a line for each look)")
	return cmd
}

func (o *statusOptions) check(s *console.System, cmd *cobra.Command) error {
	var err error
	if o.Broker, err = o.flags.Resolve(s, cmd); err != nil {
		return err
	}
	for _, subject := range o.subjects {
		if strings.Contains(subject, "*") && !strings.ContainsAny(subject, `>?[\`) {
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
		return console.Usage(cmd, "--watch draws on a terminal, and stdout is none: add -o json for a stream of lines")
	}
	return nil
}
