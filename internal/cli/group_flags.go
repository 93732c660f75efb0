package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"nats-test/internal/conn"
)

// groupFlags are the flags that name a queue group, and how far it has come.
type groupFlags struct {
	group   string
	durable string
}

func (g *groupFlags) add(cmd *cobra.Command) {
	f := localFlags(cmd)
	f.StringVarP(&g.group, "group", "g", "", "join this queue group: its members share the events; also --queue, --qgroup `NAME`")
	f.StringVar(&g.group, "queue", "", "")
	f.StringVar(&g.group, "qgroup", "", "")
	f.StringVar(&g.durable, "durable", "", "`NAME` of the position that survives (default the group's name; without a group: none)")
	for _, alias := range []string{"queue", "qgroup"} {
		f.Lookup(alias).Hidden = true
	}
}

func (g *groupFlags) check(cmd *cobra.Command) error {
	if err := exclusive(cmd, "group", "queue", "qgroup"); err != nil {
		return err
	}
	given := cmd.Flags().Changed
	if g.group != "" && !given("durable") {
		// A durable name allows no colon, a group's name does.
		g.durable = strings.ReplaceAll(g.group, ":", "-")
	}
	for _, err := range []error{conn.CheckGroup(g.group), conn.CheckDurable(g.durable)} {
		if err != nil {
			return err
		}
	}
	if g.group == "" && g.durable != "" && !given("client-id") && conn.CheckClientID(g.durable) != nil {
		return usage(cmd, "--durable %q without --group needs a --client-id: NATS Streaming finds it by both, "+
			"and no client ID can be made of this name", g.durable)
	}
	return nil
}

// clientID is random, but for a durable without a group: NATS Streaming finds
// that by the client ID and the durable's name together.
func (g *groupFlags) clientID() string {
	if g.group == "" && g.durable != "" {
		return "listen-" + g.durable
	}
	return conn.NewClientID("listen")
}
