package status

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"
	"github.com/spf13/cobra"

	"nats-test/internal/cli/connect"
	"nats-test/internal/cli/console"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
	"nats-test/internal/monitor"
	"nats-test/internal/monitor/streaming"
)

// forgetOptions are the flags of listen forget.
type forgetOptions struct {
	view
	connect.GroupFlags
	flags   *connect.Flags
	subject string
	stream  string // of the position, on JetStream
	yes     bool
}

// NewForget returns the command listen forget.
func NewForget(s *console.System, flags *connect.Flags) *cobra.Command {
	o := &forgetOptions{flags: flags}
	cmd := &cobra.Command{
		Use:   "forget SUBJECT (--group NAME [--durable NAME] | --durable NAME)",
		Short: "delete the position of a durable, so that its next listener begins anew",
		Long: `forget deletes the position of a durable on a subject. It first shows which events
would be delivered again, and asks; without a terminal it needs --yes. All members
that share the position must have stopped. (Closing a listener never deletes its
position.)`,
		Example: `  listen forget --group orders-service-queue-group ticket:created
  listen forget --durable audit ticket:created --yes`,
		Args: console.Args(1, 1, "subject"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.subject = args[0]
			if err := o.check(s, cmd); err != nil {
				return err
			}
			return forget(cmd.Context(), s, console.New(s, cmd), o)
		},
	}
	o.AddGroup(cmd)
	console.LocalFlags(cmd).BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

func (o *forgetOptions) check(s *console.System, cmd *cobra.Command) error {
	var err error
	if o.Broker, err = o.flags.Resolve(s, cmd); err != nil {
		return err
	}
	if err := o.CheckGroup(cmd); err != nil {
		return err
	}
	if err := broker.CheckSubject(o.subject); err != nil {
		return err
	}
	switch {
	case o.Durable == "":
		return console.Usage(cmd, "no position to forget: name it with --group or --durable")
	case !o.yes && !s.StdinTTY:
		return console.Usage(cmd, "forgetting a position can't be undone: without a terminal to confirm it, give --yes")
	}
	return nil
}

// who describes the group or durable.
func (o *forgetOptions) who() string {
	if o.Group == "" {
		return "durable " + o.Durable
	}
	if o.Group == o.Durable {
		return "group " + o.Group
	}
	return fmt.Sprintf("group %s, durable %s,", o.Group, o.Durable)
}

func forget(ctx context.Context, s *console.System, tell *console.Console, o *forgetOptions) (err error) {
	asked := false // whether the broker was asked to forget it
	defer func() {
		if err = console.CutShort(ctx, err, "nothing was forgotten"); asked && errors.Is(err, console.ErrInterrupted) {
			err = console.Hinted(fmt.Errorf("%w: whether %s of %s was forgotten is not known", console.ErrInterrupted, strings.TrimSuffix(o.who(), ","), o.subject),
				"`listen status %s` shows it", shellescape.Quote(o.subject))
		}
	}()
	observer, from, err := o.observe(ctx)
	if err != nil {
		return err
	}
	defer observer.Close()
	if o.Options.ClientID == "" && o.Group == "" {
		o.Options.ClientID = o.ClientID() // derived from the durable, on NATS Streaming
	}
	sub := broker.Subscription{Subject: o.subject, Group: o.Group, Durable: o.Durable}
	var temp *conn.TempClient
	if server, ok := from.(*streaming.Reader); ok {
		if temp, err = o.register(ctx, observer, server, broker.NewClientID("temp")); err != nil {
			return err
		}
		defer temp.Leave()
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
	tell.Warn("%s of %s is at #%d, with %d unacked. Once it is forgotten, a new listener starts where --deliver says: "+
		"with all, the default, it gets %d %s up to #%d, including those already handled",
		o.who(), o.subject, position.Delivered, position.Unacked, replay, console.Plural(int(replay), "event"), position.Delivered)
	tell.Warn("this deletes %s at %s", o.what(position), o.Options.Where())
	if !o.yes && !ask(ctx, s, tell) {
		return errors.New("nothing was forgotten")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	asked = true
	if err := o.remove(ctx, observer, from, sub, temp, position); err != nil {
		return err
	}
	if _, left, err := o.current(ctx, from, sub); err != nil || left != nil {
		return console.Hinted(fmt.Errorf("whether %s of %s was forgotten is not known: a member joined meanwhile, or its state can't be read", o.who(), o.subject),
			"`listen status %s` shows it", shellescape.Quote(o.subject))
	}
	_, err = fmt.Fprintf(s.Stdout, "Position of %s on %s forgotten\n", console.Printable(strings.TrimSuffix(o.who(), ",")), console.Printable(o.subject))
	return err
}

// register registers a client with the server that the monitoring port belongs to.
func (o *forgetOptions) register(ctx context.Context, observer *conn.Observer, from *streaming.Reader, id string) (*conn.TempClient, error) {
	temp, err := observer.TempClientAs(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := o.sameServer(ctx, from, temp); err != nil {
		temp.Leave()
		return nil, err
	}
	return temp, nil
}

// what describes the position as stored by the broker.
func (o *forgetOptions) what(p *monitor.Subscription) string {
	switch {
	case p.Consumer != "":
		return fmt.Sprintf("the consumer %q of the stream %q", p.Consumer, o.stream)
	case o.Group != "":
		return fmt.Sprintf("the queue group %q with the durable %q in the cluster %q", o.Group, o.Durable, cmp.Or(o.Options.Cluster, link.DefaultCluster))
	}
	return fmt.Sprintf("the durable %q of the client %q in the cluster %q", o.Durable, o.Options.ClientID, cmp.Or(o.Options.Cluster, link.DefaultCluster))
}

// remove deletes the position that was shown, if it still is as it was.
func (o *forgetOptions) remove(ctx context.Context, observer *conn.Observer, from reader, sub broker.Subscription, temp *conn.TempClient, shown *monitor.Subscription) error {
	if server, ok := from.(*streaming.Reader); ok && o.Group == "" {
		own, err := o.register(ctx, observer, server, o.Options.ClientID)
		if err != nil {
			return o.Explain(ctx, err)
		}
		defer own.Leave()
		temp = own
	}
	_, now, err := o.unused(ctx, from, sub) // a member may have joined meanwhile
	if err != nil {
		return err
	}
	if !now.Created.Equal(shown.Created) || now.Delivered != shown.Delivered {
		err = fmt.Errorf("%s of %s is now at #%d: %w", o.who(), o.subject, now.Delivered, broker.ErrChanged)
	} else if temp != nil {
		err = temp.Forget(ctx, sub)
	} else {
		err = observer.Forget(ctx, broker.Seen{Stream: o.stream, Consumer: shown.Consumer, Created: shown.Created, Delivered: shown.Delivered})
	}
	if errors.Is(err, broker.ErrChanged) {
		return console.Hinted(fmt.Errorf("nothing was forgotten: %w", err), "check the position, and try again")
	}
	if err != nil {
		return o.Explain(ctx, err)
	}
	return nil
}

// unused returns the position, or an error if it does not exist or is in use.
func (o *forgetOptions) unused(ctx context.Context, from reader, sub broker.Subscription) (*monitor.Channel, *monitor.Subscription, error) {
	channel, found, err := o.current(ctx, from, sub)
	switch {
	case err != nil:
	case found == nil:
		err = o.notThere()
	case found.Present() > 0:
		err = console.Hinted(fmt.Errorf("%s of %s is in use by %d %s", o.who(), o.subject, found.Present(), console.Plural(found.Present(), "member")),
			"stop them first; `listen status %s` shows them%s", shellescape.Quote(o.subject), o.evicts(from))
	case !found.Offline:
		err = console.Hinted(fmt.Errorf("%s of %s may be in use: %d %s, delivered within the ack wait of %v, %s not acked yet", o.who(), o.subject,
			found.Unacked, console.Plural(found.Unacked, "event"), found.AckWait, isAre(found.Unacked)),
			"wait until the ack wait is over; `listen status %s` then shows it as offline", shellescape.Quote(o.subject))
	}
	return channel, found, err
}

func (o *forgetOptions) notThere() error {
	return console.Hinted(fmt.Errorf("%s of %s: %w", o.who(), o.subject, broker.ErrNoPosition), "`listen status %s` lists the positions", shellescape.Quote(o.subject))
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// evicts names `listen evict` in a hint, which exists on NATS Streaming only.
func (o *forgetOptions) evicts(from reader) string {
	if _, ok := from.(*streaming.Reader); ok {
		return ", and `listen evict` closes a dead one"
	}
	return ""
}

// current returns the current position, or nil if it does not exist.
func (o *forgetOptions) current(ctx context.Context, from reader, sub broker.Subscription) (*monitor.Channel, *monitor.Subscription, error) {
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
					(sub.Group != "" || len(p.Members) > 0 && p.Members[0].Client == o.Options.ClientID):
				return c, p
			}
		}
	}
	return nil, nil
}

// ask prompts on the terminal, and reports whether the answer is yes.
func ask(ctx context.Context, s *console.System, tell *console.Console) bool {
	tell.Warn("forget it? yes or no:")
	answer := make(chan string, 1)
	go func() { // ends with stdin or the process
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
