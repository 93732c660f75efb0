package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nats-test/internal/conn"
	"nats-test/internal/fault"
	"nats-test/internal/monitor"
)

// forgetOptions are the flags of listen forget.
type forgetOptions struct {
	*connection
	position
	subject string
	yes     bool
}

// newForget returns the command listen forget.
func newForget(s *System, c *connection) *cobra.Command {
	o := &forgetOptions{connection: c}
	cmd := &cobra.Command{
		Use:   "forget SUBJECT (--group NAME [--durable NAME] | --durable NAME)",
		Short: "delete the position of a durable, so that its next listener begins anew",
		Long: `forget deletes how far a durable has come on a subject. It shows first which events
would come again, and asks; without a terminal it needs --yes. Whoever shares the
position must have stopped. (Closing a listener never deletes its position.)`,
		Example: `  listen forget --group orders-service-queue-group ticket:created
  listen forget --durable audit ticket:created --yes`,
		Args: exactly("subject"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.subject = args[0]
			if err := o.check(s, cmd); err != nil {
				return err
			}
			return forgetRun(cmd.Context(), s, newTeller(s, cmd), o)
		},
	}
	o.addPosition(cmd)
	localFlags(cmd).BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

func (o *forgetOptions) check(s *System, cmd *cobra.Command) error {
	if err := o.resolve(s, cmd); err != nil {
		return err
	}
	if err := o.position.check(cmd); err != nil {
		return err
	}
	if err := conn.CheckSubject(o.subject); err != nil {
		return err
	}
	switch {
	case o.durable == "":
		return usage(cmd, "--group or --durable names the position that is to be forgotten")
	case !o.yes && !s.StdinTTY:
		return usage(cmd, "forgetting a position can't be undone: --yes is needed where no terminal can be asked")
	}
	return nil
}

// who names the position.
func (o *forgetOptions) who() string {
	if o.group == "" {
		return "durable " + o.durable
	}
	if o.group == o.durable {
		return "group " + o.group
	}
	return fmt.Sprintf("group %s, durable %s,", o.group, o.durable)
}

func forgetRun(ctx context.Context, s *System, tell *teller, o *forgetOptions) error {
	observer, from, err := o.observe(ctx)
	if err != nil {
		return err
	}
	defer observer.Close()
	if o.options.ClientID == "" && o.group == "" {
		o.options.ClientID = o.clientID() // the durable's, on NATS Streaming
	}
	sub := conn.Subscription{Subject: o.subject, Group: o.group, Durable: o.durable}
	if streaming, ok := from.(*monitor.Streaming); ok {
		visit, err := observer.Visit(ctx)
		if err != nil {
			return err
		}
		err = o.sameServer(ctx, streaming, visit)
		visit.Leave()
		if err != nil {
			return err
		}
	}
	channel, position, err := o.unused(ctx, from, sub)
	if err != nil {
		return err
	}
	replay, err := from.Replayed(ctx, channel, position, o.subject)
	if err != nil {
		return o.explainMonitor(err, from)
	}
	tell.warn("%s of %s has come to #%d, %d of them unacked. Once it is forgotten, a new listener begins where --deliver says: "+
		"with all, the default, %d %s up to #%d come, also those that it had got",
		o.who(), o.subject, position.Delivered, position.Unacked, replay, plural(int(replay), "event"), position.Delivered)
	if !o.yes {
		if !ask(ctx, s, tell) {
			return errors.New("nothing was forgotten")
		}
		if _, _, err = o.unused(ctx, from, sub); err != nil { // somebody may have joined meanwhile
			return err
		}
	}
	if err := conn.Forget(ctx, o.options, sub); err != nil {
		return o.explain(ctx, err)
	}
	if _, left, err := o.look(ctx, from, sub); err != nil || left != nil {
		return hinted(fmt.Errorf("%s of %s was not forgotten for sure: somebody joined meanwhile, or it can't be looked at", o.who(), o.subject),
			"`listen status %s` shows it", o.subject)
	}
	_, err = fmt.Fprintf(s.Stdout, "Position of %s on %s forgotten\n", printable(strings.TrimSuffix(o.who(), ",")), printable(o.subject))
	return err
}

// unused returns the position, and an error if it is not there or in use.
func (o *forgetOptions) unused(ctx context.Context, from looker, sub conn.Subscription) (*monitor.Channel, *monitor.Subscription, error) {
	channel, found, err := o.look(ctx, from, sub)
	switch {
	case err != nil:
	case found == nil:
		err = hinted(fmt.Errorf("%s of %s: %w", o.who(), o.subject, conn.ErrNoPosition), "`listen status %s` shows those that are there", o.subject)
	case found.Present() > 0:
		err = hinted(fmt.Errorf("%s of %s is in use by %d %s", o.who(), o.subject, found.Present(), plural(found.Present(), "member")),
			"stop them first; `listen status %s` shows them%s", o.subject, o.evicts(from))
	case !found.Offline:
		err = hinted(fmt.Errorf("%s of %s may be in use: %d %s, delivered within the ack wait of %v, %s not acked yet", o.who(), o.subject,
			found.Unacked, plural(found.Unacked, "event"), found.AckWait, isAre(found.Unacked)),
			"wait until the ack wait is over; `listen status %s` calls it offline then", o.subject)
	}
	return channel, found, err
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// evicts adds to a hint what helps on NATS Streaming alone.
func (o *forgetOptions) evicts(from looker) string {
	if _, streaming := from.(*monitor.Streaming); streaming {
		return ", and `listen evict` closes a dead one"
	}
	return ""
}

// look returns the position as it is now, or nil if it is not there.
func (o *forgetOptions) look(ctx context.Context, from looker, sub conn.Subscription) (*monitor.Channel, *monitor.Subscription, error) {
	snapshot, err := o.read(ctx, from, []string{o.subject})
	if err != nil {
		return nil, nil, err
	}
	channel, found := o.find(snapshot, sub)
	return channel, found, nil
}

// find returns the position in a snapshot, or nil.
func (o *forgetOptions) find(s *monitor.Snapshot, sub conn.Subscription) (*monitor.Channel, *monitor.Subscription) {
	for _, c := range s.Channels {
		for _, p := range c.Subscriptions {
			switch {
			case s.Backend == "jetstream" && p.Consumer == conn.ConsumerName(sub),
				s.Backend == "stan" && p.Group == sub.Group && p.Durable == sub.Durable &&
					(sub.Group != "" || len(p.Members) > 0 && p.Members[0].Client == o.options.ClientID):
				return c, p
			}
		}
	}
	return nil, nil
}

// ask asks on the terminal, and reports whether the answer is yes.
func ask(ctx context.Context, s *System, tell *teller) bool {
	tell.warn("forget it? yes or no:")
	answer := make(chan string, 1)
	go func() { // ends with the input, or with the process
		defer fault.Exit()
		line, _ := bufio.NewReader(io.LimitReader(s.Stdin, 64)).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case text := <-answer:
		return text == "yes" || text == "y"
	case <-ctx.Done():
		return false
	}
}
