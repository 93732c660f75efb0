package connect

import (
	"strings"

	"github.com/spf13/cobra"

	"nats-test/internal/cli/console"
	"nats-test/internal/conn/broker"
)

// GroupFlags are the flags that name a queue group, and how far it has come.
type GroupFlags struct {
	Group   string
	Durable string
}

// AddGroup puts the flags on cmd.
func (g *GroupFlags) AddGroup(cmd *cobra.Command) {
	f := console.LocalFlags(cmd)
	f.StringVarP(&g.Group, "group", "g", "", "join this queue group: its members share the events; also --queue, --qgroup `NAME`")
	f.StringVar(&g.Group, "queue", "", "")
	f.StringVar(&g.Group, "qgroup", "", "")
	f.StringVar(&g.Durable, "durable", "", "`NAME` of the position that survives (default the group's name; without a group: none)")
	for _, alias := range []string{"queue", "qgroup"} {
		f.Lookup(alias).Hidden = true
	}
}

// CheckGroup refuses names that a broker would, and gives a group without --durable
// its durable name.
func (g *GroupFlags) CheckGroup(cmd *cobra.Command) error {
	if err := console.Exclusive(cmd, "group", "queue", "qgroup"); err != nil {
		return err
	}
	given := cmd.Flags().Changed
	if g.Group != "" && !given("durable") {
		// A durable name allows no colon, a group's name does.
		g.Durable = strings.ReplaceAll(g.Group, ":", "-")
	}
	for _, err := range []error{broker.CheckGroup(g.Group), broker.CheckDurable(g.Durable)} {
		if err != nil {
			return err
		}
	}
	if g.Group == "" && g.Durable != "" && !given("client-id") && broker.CheckClientID(g.Durable) != nil {
		return console.Usage(cmd, "--durable %q without --group needs a --client-id: NATS Streaming finds it by both, "+
			"and no client ID can be made of this name", g.Durable)
	}
	return nil
}

// ClientID is random, but for a durable without a group: NATS Streaming finds
// that by the client ID and the durable's name together.
func (g *GroupFlags) ClientID() string {
	if g.Group == "" && g.Durable != "" {
		return "listen-" + g.Durable
	}
	return broker.NewClientID("listen")
}
