package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// exclusive returns a usage error if more than one of the flags was given.
func exclusive(cmd *cobra.Command, names ...string) error {
	given := ""
	for _, name := range names {
		if !cmd.Flags().Changed(name) {
			continue
		}
		if given != "" {
			return usage(cmd, "--%s and --%s exclude each other", given, name)
		}
		given = name
	}
	return nil
}

// complete makes the shell offer values for a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(fmt.Sprintf("completing --%s: %v", flag, err)) // no such flag: a slip in this package
	}
}

// localFlags returns the flags of cmd for its own options, in help order.
func localFlags(cmd *cobra.Command) *pflag.FlagSet {
	cmd.Flags().SortFlags = false
	return cmd.Flags()
}

// exactly refuses another number of arguments than one.
func exactly(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage(cmd, "%d arguments: one %s is needed", len(args), what)
		}
		return nil
	}
}

// atMost refuses more than n arguments.
func atMost(n int, noun string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usage(cmd, "%d %ss, and %d is possible", len(args), noun, n)
		}
		return nil
	}
}
