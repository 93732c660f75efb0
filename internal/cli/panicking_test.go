package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"
)

// WatchThatPanics is for the tests: a watch on this process's terminal.
func WatchThatPanics() int {
	s := &System{Stdin: os.Stdin, Stdout: os.Stdout, Getenv: os.Getenv, StdinTTY: true, StdoutTTY: true, Width: 80}
	if watch(context.Background(), s, paintReport(newTeller(s, &cobra.Command{})), func(context.Context) (*report, error) { panic("odds") }) != nil {
		return exitUsage
	}
	return exitDone
}
