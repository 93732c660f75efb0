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
			return Usage(cmd, "--%s and --%s can't be used together", given, name)
		}
		given = name
	}
	return nil
}

// Complete adds shell completion of values to a flag.
func Complete(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(fmt.Sprintf("completing --%s: %v", flag, err)) // no such flag: a bug in this program
	}
}

// LocalFlags returns the flags of cmd itself, unsorted, for --help.
func LocalFlags(cmd *cobra.Command) *pflag.FlagSet {
	cmd.Flags().SortFlags = false
	return cmd.Flags()
}

// Args accepts from least to most arguments.
func Args(least, most int, noun string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch n := len(args); {
		case n >= least && n <= most:
			return nil
		case least == most:
			return Usage(cmd, "%d %s given, %d needed", n, Plural(n, noun), most)
		default:
			return Usage(cmd, "%d %s given, at most %d allowed", n, Plural(n, noun), most)
		}
	}
}

// FlagError describes errors of flags in plain words.
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

// wrongValue describes the values that a flag accepts.
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
