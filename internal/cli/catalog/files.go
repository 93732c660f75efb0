package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"nats-test/internal/cli/console"
	"nats-test/internal/events"
)

// newEventsCheck returns the command publish events check.
func newEventsCheck(s *console.System, c *Catalogue) *cobra.Command {
	return &cobra.Command{
		Use:   "check [PATH]",
		Short: "check a whole catalogue, for your CI: exit code 4 with every fault",
		Long: `check reads the catalogue at PATH, or that of --catalog (EVENTS_CATALOG), and lists
every fault: an invalid manifest, a contract that does not compile, an example that
breaks its contract, subjects that differ only in case, names that NATS Streaming or
JetStream refuse.`,
		Example: `  publish events check ./contracts
  EVENTS_CATALOG=./contracts publish events check`,
		Args: console.Args(0, 1, "path"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := cmp.Or(append(args, c.where(s))...)
			if path == "" {
				return console.Usage(cmd, "no catalogue to check: name it, or give --catalog (EVENTS_CATALOG)")
			}
			n, faults, err := events.Check(path, legalSubjects())
			if err != nil {
				return err
			}
			if len(faults) > 0 {
				return console.Explained(&events.LoadError{Path: path, Faults: faults}, console.ErrContract, "fix these, and check again")
			}
			_, err = fmt.Fprintf(s.Stdout, "%d %s, no faults\n", n, console.Plural(n, "event"))
			return err
		},
	}
}

// newEventsDiff returns the command publish events diff.
func newEventsDiff(s *console.System) *cobra.Command {
	return &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "list the changes between two catalogues; exit code 4 if one breaks listeners or publishers",
		Long: `diff compares two catalogues, and says for each change whether it breaks listeners
or publishers that still have the old contract.`,
		Example: `  git worktree add /tmp/main main && publish events diff /tmp/main/contracts ./contracts`,
		Args:    console.Args(2, 2, "catalogue"),
		RunE: func(_ *cobra.Command, args []string) error {
			before, err := events.Load(args[0])
			if err != nil {
				return err
			}
			after, err := events.Load(args[1])
			if err != nil {
				return err
			}
			changes, err := events.Diff(before, after)
			if err != nil {
				return err
			}
			breaking := 0
			for _, c := range changes {
				if c.Breaks != "" {
					breaking++
				}
				if _, err := fmt.Fprintln(s.Stdout, console.Printable(c.String())); err != nil {
					return err
				}
			}
			if breaking > 0 {
				return console.Explained(fmt.Errorf("%d of %d %s", breaking, len(changes), console.Plural(len(changes), "change")+" would break listeners or publishers that have the old contract"),
					console.ErrContract, "add fields that are optional, and keep those that are there; or give the new contract a subject of its own")
			}
			return nil
		},
	}
}

// newEventsExport returns the command publish events export.
func newEventsExport(s *console.System) *cobra.Command {
	kinds := events.ExportKinds()
	as := ""
	cmd := &cobra.Command{
		Use:   "export DIR --as " + strings.Join(kinds, "|"),
		Short: "write the built-in catalogue into a folder, to start your own from",
		Long: `export writes the built-in catalogue into DIR, which it creates if needed: as a
catalogue of its own (jsonschema, proto, avro), or as TypeScript types for services.
Existing files are never overwritten.`,
		Example: `  publish events export ./contracts --as proto
  publish order:created --sample --catalog ./contracts`,
		Args: console.Args(1, 1, "folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if as == "" {
				return console.Usage(cmd, "no format to export: name it with --as %s", events.Either(kinds))
			}
			files, err := events.ExportTicketing(as)
			if err != nil {
				return err
			}
			if err := events.WriteFiles(args[0], files); errors.Is(err, fs.ErrExist) {
				return console.Hinted(err, "name a folder that does not exist yet")
			} else if err != nil {
				return err
			}
			for _, f := range files {
				if _, err := fmt.Fprintln(s.Stdout, f.Name); err != nil {
					return err
				}
			}
			return nil
		},
	}
	console.AddChoice(cmd, cmd.Flags(), &as, "as", "", "`FORMAT`: ", kinds...)
	return cmd
}
