package publish

import (
	"errors"
	"fmt"
	"os"

	"al.essio.dev/pkg/shellescape"
	"github.com/spf13/cobra"

	"nats-test/internal/cli/console"
	"nats-test/internal/events"
)

// tooMany refuses arguments after the subject.
func tooMany(cmd *cobra.Command, args []string) error {
	switch {
	case cmd.Flags().Changed("data"):
		return console.Usage(cmd, "%d subjects given, at most 1 allowed: is the data quoted?", len(args))
	case cmd.Flags().Changed("sample"):
		return console.Usage(cmd, "%d subjects given, at most 1 allowed", len(args))
	case len(args) == 2 && isFile(args[1]):
		return console.Explained(fmt.Errorf("2 subjects given, at most 1 allowed"), console.ErrUsage, "send a file with --data "+shellescape.Quote("@"+args[1]))
	}
	return console.Explained(fmt.Errorf("%d subjects given, at most 1 allowed", len(args)), console.ErrUsage, "give the data with --data, in quotes: --data '{…}'; or send a file with --data @FILE")
}

// orFile adds the hint --data @FILE to err if data names a file.
func orFile(data string, err error) error {
	if _, invalid := errors.AsType[*events.InvalidError](err); invalid && isFile(data) {
		return console.Hinted(err, "to send the file, put an @ before its name: --data %s", shellescape.Quote("@"+data))
	}
	return err
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
