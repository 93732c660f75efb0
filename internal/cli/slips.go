package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nats-test/internal/cli/console"
)

// oneDash refuses a long flag with a single dash, which would be parsed as short
// flags: -sample as -s ample, with "ample" as the server.
func oneDash(root *cobra.Command, args []string) error {
	cmd, _, err := root.Find(args)
	if err != nil {
		return nil // reported later
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
			return console.Explained(fmt.Errorf("-%s: flags of more than one letter begin with two dashes", name), console.ErrUsage, fmt.Sprintf("write --%s", name))
		}
		if f != nil && f.NoOptDefVal == "" && !whole {
			i++ // skip its value
		}
	}
	return nil
}

// onlyShells makes the completion command refuse unknown shells.
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
