package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"nats-test/internal/events"
)

// newEvents returns the command publish events.
func newEvents(s *System, catalogue *events.Catalogue) *cobra.Command {
	return &cobra.Command{
		Use:   "events [SUBJECT]",
		Short: "list the catalogue of events, or show one event's contract and example",
		Example: `  publish events
  publish events ticket:created`,
		ValidArgsFunction: completeSubjects(catalogue, 1),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(cmd, "%d subjects, and one is possible", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listEvents(s, catalogue)
			}
			return showEvent(s, catalogue, args[0])
		},
	}
}

func listEvents(s *System, catalogue *events.Catalogue) error {
	w := tabwriter.NewWriter(s.Stdout, 0, 0, 3, ' ', 0)
	for _, c := range catalogue.Contracts() {
		if _, err := fmt.Fprintf(w, "%s\t%s\n", c.Subject, c.Description); err != nil {
			return err
		}
	}
	return w.Flush()
}

func showEvent(s *System, catalogue *events.Catalogue, subject string) error {
	contract, err := catalogue.Lookup(subject)
	if err != nil {
		return err
	}
	schema, err := contract.Schema()
	if err != nil {
		return err
	}
	example, err := contract.Example()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s: %s\n\nContract (JSON Schema):\n", contract.Subject, contract.Description)
	if err := json.Indent(&out, schema, "", "  "); err != nil {
		return err
	}
	fmt.Fprintf(&out, "\n\nExample (publish %s --sample):\n%s\n", contract.Subject, example)
	_, err = s.Stdout.Write(out.Bytes())
	return err
}

// completeSubjects offers the catalogue's subjects to the shell: at most
// so many, 0 for any number.
func completeSubjects(catalogue *events.Catalogue, most int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var offers []string
		for _, c := range catalogue.Contracts() {
			if strings.HasPrefix(c.Subject, begun) {
				offers = append(offers, cobra.CompletionWithDesc(c.Subject, c.Description))
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}

// release is set by the linker for a released version.
var release string

func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
