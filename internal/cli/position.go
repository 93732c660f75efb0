package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"nats-test/internal/conn/broker"
)

// A position is the flags that name a queue group, and how far it has come.
type position struct {
	group   string
	durable string
}

func (p *position) addPosition(cmd *cobra.Command) {
	f := localFlags(cmd)
	f.StringVarP(&p.group, "group", "g", "", "join this queue group: its members share the events; also --queue, --qgroup `NAME`")
	f.StringVar(&p.group, "queue", "", "")
	f.StringVar(&p.group, "qgroup", "", "")
	f.StringVar(&p.durable, "durable", "", "`NAME` of the position that survives (default the group's name; without a group: none)")
	for _, alias := range []string{"queue", "qgroup"} {
		f.Lookup(alias).Hidden = true
	}
}

func (p *position) check(cmd *cobra.Command) error {
	if err := exclusive(cmd, "group", "queue", "qgroup"); err != nil {
		return err
	}
	given := cmd.Flags().Changed
	if p.group != "" && !given("durable") {
		// A durable name allows no colon, a group's name does.
		p.durable = strings.ReplaceAll(p.group, ":", "-")
	}
	for _, err := range []error{broker.CheckGroup(p.group), broker.CheckDurable(p.durable)} {
		if err != nil {
			return err
		}
	}
	if p.group == "" && p.durable != "" && !given("client-id") && broker.CheckClientID(p.durable) != nil {
		return usage(cmd, "--durable %q without --group needs a --client-id: NATS Streaming finds it by both, "+
			"and no client ID can be made of this name", p.durable)
	}
	return nil
}

// clientID is random, but for a durable without a group: NATS Streaming finds
// that by the client ID and the durable's name together.
func (p *position) clientID() string {
	if p.group == "" && p.durable != "" {
		return "listen-" + p.durable
	}
	return broker.NewClientID("listen")
}
