// Package catalog holds the command publish events, which lists, shows, checks,
// compares and exports catalogues of events, and the flag that names one.
//
// The package's rule: it reaches no broker.
package catalog

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nats-test/internal/cli/console"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/events"
)

// A Catalogue is the flag that names a team's own events.
type Catalogue struct {
	path string
}

// AddFlag puts the flag on a root command.
func (c *Catalogue) AddFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&c.path, "catalog", "", "`PATH` of your own events: a folder with "+events.ManifestName+
		" and its contracts (EVENTS_CATALOG;\ndefault the ticketing services' events)")
}

// where returns the path that was given, or "" for the built-in catalogue.
func (c *Catalogue) where(s *console.System) string {
	return s.Path(cmp.Or(c.path, s.Getenv("EVENTS_CATALOG")))
}

// Load returns the catalogue that the flag or the environment names, or the built-in one.
func (c *Catalogue) Load(s *console.System) (*events.Catalogue, error) {
	if path := c.where(s); path != "" {
		return events.Load(path)
	}
	return events.Ticketing(), nil
}

// Complete offers the catalogue's subjects to the shell, for at most most arguments;
// 0 is no limit.
func (c *Catalogue) Complete(s *console.System, most int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		all, err := c.Load(s)
		if err != nil {
			return cobra.AppendActiveHelp(nil, console.Printable(err.Error())), cobra.ShellCompDirectiveNoFileComp
		}
		var offers []string
		for _, k := range all.Contracts() {
			if strings.HasPrefix(k.Subject, begun) {
				offers = append(offers, cobra.CompletionWithDesc(console.Printable(k.Subject), console.Printable(k.Description)))
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}

// legalSubjects returns a function that refuses a subject that one of the brokers
// does not allow, or that conflicts with an earlier one.
func legalSubjects() func(subject string) error {
	streams := make(map[string]string)
	return func(subject string) error {
		if err := cmp.Or(broker.CheckSubject(subject), broker.CheckChannel(subject)); err != nil {
			return err
		}
		stream := conn.NewStream(subject, 1).Name
		if other, taken := streams[stream]; taken {
			return fmt.Errorf("would have the same stream on JetStream as %s, %s", other, stream)
		}
		streams[stream] = subject
		return nil
	}
}
