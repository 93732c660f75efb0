package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"al.essio.dev/pkg/shellescape"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nats-test/internal/cli/console"
	"nats-test/internal/events"
)

// orCommand adds to err the command that a subject was perhaps meant for, where
// the catalogue has no such event or nothing else was given.
func orCommand(cmd *cobra.Command, word string, err error) error {
	_, unknown := errors.AsType[*events.UnknownError](err)
	if err == nil || !unknown && !errors.Is(err, console.ErrUsage) {
		return err
	}
	const most = 2 // as cobra's own suggestions
	cmd.SuggestionsMinimumDistance = most
	near := cmd.SuggestionsFor(word)
	if len(near) == 0 || len(word) < most {
		return err
	}
	return console.Hinted(err, "did you mean the command `%s %s`? else: %s", cmd.Name(), near[0], console.HintFor(err))
}

// oneDash refuses a long flag behind a single dash, which would be read as short
// ones: -sample as -s ample, the server "ample".
func oneDash(root *cobra.Command, args []string) error {
	cmd, _, err := root.Find(args)
	if err != nil {
		return nil // told later
	}
	flag := func(name string) *pflag.Flag {
		return cmp.Or(cmd.Flags().Lookup(name), cmd.InheritedFlags().Lookup(name))
	}
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		name, _, whole := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		var f *pflag.Flag
		switch dashes := len(args[i]) - len(strings.TrimLeft(args[i], "-")); {
		case dashes == 2:
			f = flag(name)
		case dashes == 1 && len(name) == 1:
			f = cmp.Or(cmd.Flags().ShorthandLookup(name), cmd.InheritedFlags().ShorthandLookup(name))
		case dashes == 1 && name != "" && flag(name) != nil:
			return console.Explained(fmt.Errorf("-%s: a flag of more than one letter has two dashes", name), console.ErrUsage, fmt.Sprintf("write --%s", name))
		}
		if f != nil && f.NoOptDefVal == "" && !whole {
			i++ // its value
		}
	}
	return nil
}

// onlyShells has the command completion refuse a shell that it does not know.
func onlyShells(root *cobra.Command, args []string) {
	root.InitDefaultCompletionCmd(args...)
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.RunE = func(c *cobra.Command, args []string) error {
				if len(args) == 0 {
					return c.Help()
				}
				return console.Usage(c, "completion for %q: must be bash, fish, powershell or zsh", args[0])
			}
			c.Args = cobra.ArbitraryArgs
		}
	}
}

// tooMany refuses more than the subject.
func tooMany(cmd *cobra.Command, args []string) error {
	switch {
	case cmd.Flags().Changed("data"):
		return console.Usage(cmd, "%d subjects, and one is possible: is the data quoted?", len(args))
	case cmd.Flags().Changed("sample"):
		return console.Usage(cmd, "%d subjects, and one is possible", len(args))
	case len(args) == 2 && isFile(args[1]):
		return console.Explained(fmt.Errorf("2 subjects, and one is possible"), console.ErrUsage, "a file is named with --data "+shellescape.Quote("@"+args[1]))
	}
	return console.Explained(fmt.Errorf("%d subjects, and one is possible", len(args)), console.ErrUsage, "data is given with --data, in quotes: --data '{…}'; or --data @FILE")
}

// orFile adds the hint --data @FILE to err if data is the name of a file.
func orFile(data string, err error) error {
	if _, invalid := errors.AsType[*events.InvalidError](err); invalid && isFile(data) {
		return console.Hinted(err, "a file is named with an @: --data %s", shellescape.Quote("@"+data))
	}
	return err
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
