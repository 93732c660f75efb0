package console

import (
	"errors"
	"fmt"
	"strconv"

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
		panic(fmt.Sprintf("completing --%s: %v", flag, err)) // no such flag: a slip in this program
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

// FlagError says in plain words what is wrong with the flags of a command line.
func FlagError(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return Usage(cmd, "--%s %q: %s", e.GetFlag().Name, e.GetValue(), wrongValue(e))
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return Usage(cmd, "--%s needs a value", e.GetFlag().Name)
	}
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok && e.GetSpecifiedShortnames() != "" {
		return Usage(cmd, "unknown flag: -%s", e.GetSpecifiedName())
	}
	if e, ok := errors.AsType[*pflag.InvalidSyntaxError](err); ok {
		return Usage(cmd, "%s is no flag", e.GetSpecifiedFlag())
	}
	return Usage(cmd, "%w", err)
}

// wrongValue says what a flag's value must be.
func wrongValue(e *pflag.InvalidValueError) string {
	switch e.GetFlag().Value.Type() {
	case "int":
		if _, err := strconv.ParseInt(e.GetValue(), 0, strconv.IntSize); errors.Is(err, strconv.ErrRange) {
			return "is out of range"
		}
		return "must be a whole number"
	case "float64":
		return "must be a number"
	case "bool":
		return "must be true or false"
	case "duration":
		return "must be a duration, such as 500ms, 5s or 1h30m"
	}
	return e.Unwrap().Error()
}
