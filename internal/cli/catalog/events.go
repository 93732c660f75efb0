package catalog

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"nats-test/internal/cli/console"
	"nats-test/internal/events"
)

// NewEvents returns the command publish events.
func NewEvents(s *console.System, c *Catalogue) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events [SUBJECT]",
		Short: "list the catalogue of events, or show one event's contract and example",
		Long: `events lists the catalogue: subject, format of the contract, description. With a
subject, it shows the contract and an example. The catalogue is the built-in one of
the ticketing services, or your own, named by --catalog.`,
		Example: `  publish events
  publish events ticket:created
  publish events export ./contracts --as proto
  publish events check --catalog ./contracts
  publish events diff ./contracts-of-main ./contracts`,
		ValidArgsFunction: c.Complete(s, 1),
		Annotations:       map[string]string{console.ReachesNone: "true"},
		Args:              console.Args(0, 1, "subject"),
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := c.Load(s)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return listEvents(s, all)
			}
			return showEvent(s, all, args[0])
		},
	}
	cmd.AddCommand(newEventsCheck(s, c), newEventsDiff(s), newEventsExport(s))
	for _, each := range append(cmd.Commands(), cmd) {
		each.RunE = untilSignal(each.RunE)
	}
	return cmd
}

// untilSignal ends a command on a signal even if it does not watch its context. The
// command itself then ends with the process.
func untilSignal(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		over, err := console.Soon(cmd.Context(), func() error { return run(cmd, args) })
		if !over {
			return fmt.Errorf("%w before %s was done", console.ErrInterrupted, cmd.CommandPath())
		}
		return err
	}
}

func listEvents(s *console.System, all *events.Catalogue) error {
	w := tabwriter.NewWriter(s.Stdout, 0, 0, 3, ' ', 0)
	for _, c := range all.Contracts() {
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\n", console.Printable(c.Subject), c.Format.Title, console.Printable(c.Description)); err != nil {
			return err
		}
	}
	return w.Flush()
}

func showEvent(s *console.System, all *events.Catalogue, subject string) error {
	contract, err := all.Lookup(subject)
	if err != nil {
		return err
	}
	source, err := contract.Source()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	out.WriteString(contract.Subject)
	if contract.Description != "" {
		out.WriteString(": " + contract.Description)
	}
	fmt.Fprintf(&out, "\n\nContract (%s):\n%s\n", contract.Format.Title, source)
	if example, err := contract.Example(); err != nil {
		fmt.Fprintf(&out, "No example: %v\n", err)
	} else {
		fmt.Fprintf(&out, "Example (publish %s --sample):\n%s\n", contract.Subject, example)
	}
	if !s.StdoutTTY {
		_, err = s.Stdout.Write(out.Bytes())
		return err
	}
	for line := range strings.Lines(out.String()) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for i, p := range parts {
			parts[i] = console.Printable(p)
		}
		if _, err := fmt.Fprintln(s.Stdout, strings.Join(parts, "\t")); err != nil {
			return err
		}
	}
	return nil
}
