package console

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// AddExitHelp adds ExitHelp to the usage of cmd and of its subcommands.
// (SetUsageTemplate would link text/template.)
func AddExitHelp(cmd *cobra.Command) {
	usage := cmd.UsageFunc()
	cmd.SetUsageFunc(func(c *cobra.Command) error {
		hideConnection(c)
		if err := usage(c); err != nil {
			return err
		}
		_, err := fmt.Fprint(c.OutOrStderr(), "\n"+ExitHelp)
		return err
	})
}

// hideConnection hides connection flags from the help of commands that use no
// broker.
func hideConnection(c *cobra.Command) {
	offline := false
	for at := c; at != nil; at = at.Parent() {
		offline = offline || at.Annotations[ReachesNone] != "" || at.Name() == "completion"
	}
	if !offline {
		return
	}
	c.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		f.Hidden = f.Name != "catalog" && f.Name != "color" && f.Name != "quiet"
	})
}

// ReachesNone annotates a command that uses no broker.
const ReachesNone = "reaches no broker"
