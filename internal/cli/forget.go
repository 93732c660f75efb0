package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"
	"github.com/spf13/cobra"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
	"nats-test/internal/monitor"
	"nats-test/internal/monitor/streaming"
)

// forgetOptions are the flags of listen forget.
type forgetOptions struct {
	*connection
	position
	subject string
	stream  string // of the position, on JetStream
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
	if err := broker.CheckSubject(o.subject); err != nil {
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

func forgetRun(ctx context.Context, s *System, tell *teller, o *forgetOptions) (err error) {
	asked := false // the broker, to forget it
	defer func() {
		if err = cutShort(ctx, err, "nothing was forgotten"); asked && errors.Is(err, errInterrupted) {
			err = hinted(fmt.Errorf("%w: whether %s of %s was forgotten is not known", errInterrupted, strings.TrimSuffix(o.who(), ","), o.subject),
				"`listen status %s` shows it", shellescape.Quote(o.subject))
		}
	}()
	observer, from, err := o.observe(ctx)
	if err != nil {
		return err
	}
	defer observer.Close()
	if o.options.ClientID == "" && o.group == "" {
		o.options.ClientID = o.clientID() // the durable's, on NATS Streaming
	}
	sub := broker.Subscription{Subject: o.subject, Group: o.group, Durable: o.durable}
	var visit *conn.Visit
	if reader, ok := from.(*streaming.Reader); ok {
		if visit, err = o.visit(ctx, observer, reader, broker.NewClientID("visit")); err != nil {
			return err
		}
		defer visit.Leave()
	} else if o.stream, err = observer.StreamOf(ctx, o.subject); errors.Is(err, broker.ErrNoStream) {
		return o.notThere()
	} else if err != nil {
		return o.explainMonitor(fmt.Errorf("looking for the stream of %q: %w", o.subject, err), from)
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
	tell.warn("what is deleted is %s at %s", o.what(position), o.options.Where())
	if !o.yes && !ask(ctx, s, tell) {
		return errors.New("nothing was forgotten")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	asked = true
	if err := o.remove(ctx, observer, from, sub, visit, position); err != nil {
		return err
	}
	if _, left, err := o.look(ctx, from, sub); err != nil || left != nil {
		return hinted(fmt.Errorf("%s of %s was not forgotten for sure: somebody joined meanwhile, or it can't be looked at", o.who(), o.subject),
			"`listen status %s` shows it", shellescape.Quote(o.subject))
	}
	_, err = fmt.Fprintf(s.Stdout, "Position of %s on %s forgotten\n", printable(strings.TrimSuffix(o.who(), ",")), printable(o.subject))
	return err
}

// visit registers with the server whose monitoring port tells of the position.
func (o *forgetOptions) visit(ctx context.Context, observer *conn.Observer, from *streaming.Reader, id string) (*conn.Visit, error) {
	visit, err := observer.VisitAs(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := o.sameServer(ctx, from, visit); err != nil {
		visit.Leave()
		return nil, err
	}
	return visit, nil
}

// what names the thing that holds the position at the broker.
func (o *forgetOptions) what(p *monitor.Subscription) string {
	switch {
	case p.Consumer != "":
		return fmt.Sprintf("the consumer %q of the stream %q", p.Consumer, o.stream)
	case o.group != "":
		return fmt.Sprintf("the queue group %q with the durable %q in the cluster %q", o.group, o.durable, firstOf(o.options.Cluster, link.DefaultCluster))
	}
	return fmt.Sprintf("the durable %q of the client %q in the cluster %q", o.durable, o.options.ClientID, firstOf(o.options.Cluster, link.DefaultCluster))
}

// remove deletes the position that was shown, if it still is as it was.
func (o *forgetOptions) remove(ctx context.Context, observer *conn.Observer, from looker, sub broker.Subscription, visit *conn.Visit, shown *monitor.Subscription) error {
	if reader, ok := from.(*streaming.Reader); ok && o.group == "" {
		own, err := o.visit(ctx, observer, reader, o.options.ClientID)
		if err != nil {
			return o.explain(ctx, err)
		}
		defer own.Leave()
		visit = own
	}
	_, now, err := o.unused(ctx, from, sub) // somebody may have joined meanwhile
	if err != nil {
		return err
	}
	if !now.Created.Equal(shown.Created) || now.Delivered != shown.Delivered {
		err = fmt.Errorf("%s of %s has come to #%d: %w", o.who(), o.subject, now.Delivered, broker.ErrChanged)
	} else if visit != nil {
		err = visit.Forget(ctx, sub)
	} else {
		err = observer.Forget(ctx, broker.Seen{Stream: o.stream, Consumer: shown.Consumer, Created: shown.Created, Delivered: shown.Delivered})
	}
	if errors.Is(err, broker.ErrChanged) {
		return hinted(fmt.Errorf("nothing was forgotten: %w", err), "look again")
	}
	if err != nil {
		return o.explain(ctx, err)
	}
	return nil
}

// unused returns the position, and an error if it is not there or in use.
func (o *forgetOptions) unused(ctx context.Context, from looker, sub broker.Subscription) (*monitor.Channel, *monitor.Subscription, error) {
	channel, found, err := o.look(ctx, from, sub)
	switch {
	case err != nil:
	case found == nil:
		err = o.notThere()
	case found.Present() > 0:
		err = hinted(fmt.Errorf("%s of %s is in use by %d %s", o.who(), o.subject, found.Present(), plural(found.Present(), "member")),
			"stop them first; `listen status %s` shows them%s", shellescape.Quote(o.subject), o.evicts(from))
	case !found.Offline:
		err = hinted(fmt.Errorf("%s of %s may be in use: %d %s, delivered within the ack wait of %v, %s not acked yet", o.who(), o.subject,
			found.Unacked, plural(found.Unacked, "event"), found.AckWait, isAre(found.Unacked)),
			"wait until the ack wait is over; `listen status %s` calls it offline then", shellescape.Quote(o.subject))
	}
	return channel, found, err
}

func (o *forgetOptions) notThere() error {
	return hinted(fmt.Errorf("%s of %s: %w", o.who(), o.subject, broker.ErrNoPosition), "`listen status %s` shows those that are there", shellescape.Quote(o.subject))
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// evicts adds to a hint what helps on NATS Streaming alone.
func (o *forgetOptions) evicts(from looker) string {
	if _, ok := from.(*streaming.Reader); ok {
		return ", and `listen evict` closes a dead one"
	}
	return ""
}

// look returns the position as it is now, or nil if it is not there.
func (o *forgetOptions) look(ctx context.Context, from looker, sub broker.Subscription) (*monitor.Channel, *monitor.Subscription, error) {
	snapshot, err := o.read(ctx, from, []string{o.subject})
	if err != nil {
		return nil, nil, err
	}
	channel, found := o.find(snapshot, sub)
	return channel, found, nil
}

// find returns the position in a snapshot, or nil.
func (o *forgetOptions) find(s *monitor.Snapshot, sub broker.Subscription) (*monitor.Channel, *monitor.Subscription) {
	for _, c := range s.Channels {
		for _, p := range c.Subscriptions {
			switch {
			// Other streams may have a consumer of the same name, and other subjects in this one.
			case s.Backend == "jetstream" && c.Name == o.stream && p.Consumer == conn.ConsumerName(sub) &&
				(len(p.Filters) == 0 || slices.Equal(p.Filters, []string{sub.Subject})),
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
