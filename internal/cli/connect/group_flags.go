package connect

import (
	"strings"

	"github.com/spf13/cobra"

	"nats-test/internal/cli/console"
	"nats-test/internal/conn/broker"
)

// GroupFlags are the flags that name a queue group and its durable.
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
	f.StringVar(&g.Durable, "durable", "", "`NAME` under which the position is kept (default the group's name; without a group: none)")
	for _, alias := range []string{"queue", "qgroup"} {
		f.Lookup(alias).Hidden = true
	}
}

// CheckGroup refuses names that a broker would refuse, and sets the durable's name to
// the group's unless --durable is given.
func (g *GroupFlags) CheckGroup(cmd *cobra.Command) error {
	if err := console.Exclusive(cmd, "group", "queue", "qgroup"); err != nil {
		return err
	}
	given := cmd.Flags().Changed
	if g.Group != "" && !given("durable") {
		// Durable names can't contain a colon, group names can.
		g.Durable = strings.ReplaceAll(g.Group, ":", "-")
	}
	for _, err := range []error{broker.CheckGroup(g.Group), broker.CheckDurable(g.Durable)} {
		if err != nil {
			return err
		}
	}
	if g.Group == "" && g.Durable != "" && !given("client-id") && broker.CheckClientID(g.Durable) != nil {
		return console.Usage(cmd, "--durable %q without --group needs a --client-id: NATS Streaming identifies it by both, "+
			"and no client ID can be derived from this name", g.Durable)
	}
	return nil
}

// ClientID returns a random client ID, except for a durable without a group: NATS
// Streaming identifies that by client ID and durable name together.
func (g *GroupFlags) ClientID() string {
	if g.Group == "" && g.Durable != "" {
		return "listen-" + g.Durable
	}
	return broker.NewClientID("listen")
}
