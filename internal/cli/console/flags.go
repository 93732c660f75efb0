package console

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exclusive returns a usage error if more than one of the flags was given.
func Exclusive(cmd *cobra.Command, names ...string) error {
	given := ""
	for _, name := range names {
		if !cmd.Flags().Changed(name) {
			continue
		}
		if given != "" {
			return Usage(cmd, "--%s and --%s exclude each other", given, name)
		}
		given = name
	}
	return nil
}

// Complete makes the shell offer values for a flag.
func Complete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(fmt.Sprintf("completing --%s: %v", flag, err)) // no such flag: a slip in this package
	}
}

// LocalFlags returns the flags of cmd for its own options, in help order.
func LocalFlags(cmd *cobra.Command) *pflag.FlagSet {
	cmd.Flags().SortFlags = false
	return cmd.Flags()
}

// Exactly refuses another number of arguments than one.
func Exactly(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return Usage(cmd, "%d arguments: one %s is needed", len(args), what)
		}
		return nil
	}
}

// AtMost refuses more than n arguments.
func AtMost(n int, noun string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return Usage(cmd, "%d %ss, and %d is possible", len(args), noun, n)
		}
		return nil
	}
}
