package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/events"
)

// catalogue is the flag that names a team's own events.
type catalogue struct {
	path string
}

func (c *catalogue) addCatalogue(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&c.path, "catalog", "", "`PATH` of your own events: a folder with "+events.ManifestName+
		" and its contracts (EVENTS_CATALOG;\ndefault the ticketing services' events)")
}

// where returns the path that was given, or "" for the built-in catalogue.
func (c *catalogue) where(s *System) string {
	return s.path(firstOf(c.path, s.Getenv("EVENTS_CATALOG")))
}

func (c *catalogue) load(s *System) (*events.Catalogue, error) {
	if path := c.where(s); path != "" {
		return events.Load(path)
	}
	return events.Ticketing(), nil
}

// complete offers the catalogue's subjects to the shell: at most so many, 0 for
// any number.
func (c *catalogue) complete(s *System, most int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		all, err := c.load(s)
		if err != nil {
			return cobra.AppendActiveHelp(nil, printable(err.Error())), cobra.ShellCompDirectiveNoFileComp
		}
		var offers []string
		for _, k := range all.Contracts() {
			if strings.HasPrefix(k.Subject, begun) {
				offers = append(offers, cobra.CompletionWithDesc(printable(k.Subject), printable(k.Description)))
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}

// legalSubjects returns what refuses a subject that one of the brokers does not
// take, or that can't be there together with one before.
func legalSubjects() func(subject string) error {
	streams := make(map[string]string)
	return func(subject string) error {
		if err := firstOf(broker.CheckSubject(subject), broker.CheckChannel(subject)); err != nil {
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
