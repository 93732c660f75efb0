// Package listen holds the command listen: flags become options, options a run.
package listen

import (
	"cmp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"nats-test/internal/cli/catalog"
	"nats-test/internal/cli/connect"
	"nats-test/internal/cli/console"
	"nats-test/internal/cli/doctor"
	"nats-test/internal/cli/status"
	"nats-test/internal/cli/work"
	"nats-test/internal/conn/broker"
	"nats-test/internal/events"
)

// options are the flags of listen.
type options struct {
	flags connect.Flags
	*connect.Broker
	catalog.Catalogue
	connect.GroupFlags
	work work.Flags

	subjects    []string
	deliver     string
	ackWait     time.Duration
	maxInFlight int
	noAck       bool
	delay       time.Duration
	count       int
	idle        time.Duration
	untilEnd    bool
	noReconnect bool
	output      string
	raw         bool

	deliverGiven  bool
	inFlightGiven bool
	ackWaitGiven  bool
	start         broker.Start
	contracts     map[string]*events.Contract // by subject; none with --raw
	all           *events.Catalogue           // nil with --raw
}

// defaultMaxInFlight was measured (make bench): a smaller value slows a single
// listener, a larger one hardly makes it faster.
const defaultMaxInFlight = 4096

// New returns the command.
func New(s *console.System) *cobra.Command {
	o := &options{output: "text"}
	cmd := &cobra.Command{
		Use:   "listen [SUBJECT...] [-- COMMAND ARG...]",
		Short: "listen shows the events of NATS subjects, alone or as a member of a queue group",
		Long: `listen shows the events of one or more subjects (channels, on NATS Streaming;
in streams, on JetStream) and acks each after it was written. Without a subject it listens to every event
of the catalogue; ticket:* means those whose names begin so.

With --group, several listeners share the events, and their position survives
them: it is durable. SIGINT (Ctrl-C), SIGTERM and SIGHUP let the event in hand
be finished and acked, and close the session; a second one ends at once.
An event that breaks its contract is told on stderr and stays unacked.
On a terminal, rs and Enter restart the listener.

With --exec it runs a command for each event in place of showing it. The command
gets the data on stdin, and EVENT_SUBJECT, EVENT_SEQUENCE, EVENT_TIME, EVENT_ID,
EVENT_DELIVERIES, EVENT_ATTEMPT, EVENT_GROUP and the headers (EVENT_HEADER_…) in
its environment. Its exit code says what becomes of the event: 0 acks it; 65
stores it as a dead letter; 126 and 127 stop the listener; any other, or a signal,
has it run again after a while (--retries, --backoff), and then stores a dead letter.`,
		Example: `  listen --group orders-service-queue-group
  listen ticket:created --deliver last
  listen 'ticket:*' -o json --until-end | jq .data.price
  listen order:created --group payments --ack-wait 5s --delay 7s
  listen --raw any.subject --deliver since:10m
  listen order:created --group mailer --exec ./send-mail
  listen order:created --group mailer --workers 4 -- ./send-mail --from shop@example.com
  listen order:created --group mailer --exec-loop 'node mailer.mjs'`,
		ValidArgsFunction: o.Complete(s, 0),
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.subjects, err = o.work.Check(cmd, args); err != nil {
				return err
			}
			if err := o.check(s, cmd); err != nil {
				return console.OrCommand(cmd, cmp.Or(args...), err)
			}
			return run(cmd.Context(), s, console.New(s, cmd), o)
		},
	}
	f := console.LocalFlags(cmd)
	o.AddGroup(cmd)
	f.StringVar(&o.deliver, "deliver", "all", "`START` of a new subscription: all, new, last, seq:N, since:1h30m, time:2026-01-02T03:04:05Z")
	f.DurationVar(&o.ackWait, "ack-wait", 30*time.Second, "an event is redelivered after this long without an ack; whole seconds")
	f.IntVar(&o.maxInFlight, "max-in-flight", defaultMaxInFlight, "unacked events that this listener may hold, `N`; with --delay fewer, so that\nnone waits for more than half the ack wait")
	f.BoolVar(&o.noAck, "no-ack", false, "never ack: shows what redelivery looks like")
	f.DurationVar(&o.delay, "delay", 0, "pretend that handling an event takes this long")
	f.IntVarP(&o.count, "count", "c", 0, "stop after `N` events")
	f.DurationVar(&o.idle, "idle", 0, "stop when no event has come for this long")
	f.BoolVar(&o.untilEnd, "until-end", false, "stop after the events that are there at the start")
	f.BoolVar(&o.noReconnect, "no-reconnect", false, "exit when the connection is lost, do not join again")
	console.AddChoice(cmd, f, &o.output, "output", "o", "", "text", "json (a record per line)", "raw (the bytes)")
	f.BoolVar(&o.raw, "raw", false, "no contract: any subject, any bytes")
	o.work.Add(cmd)
	o.flags.AddStream(cmd)
	console.Complete(cmd, "deliver", "all", "new", "last", "seq:", "since:", "time:")
	o.AddFlag(cmd)
	o.flags.Add(cmd)
	console.AddFlags(cmd)
	console.AddVersion(cmd)
	console.AddExitHelp(cmd)
	cmd.AddCommand(status.New(s, &o.flags), status.NewEvict(s, &o.flags), status.NewForget(s, &o.flags),
		doctor.New(s, &o.flags, &o.Catalogue))
	return cmd
}

// check refuses invalid flags and arguments before anything is sent.
func (o *options) check(s *console.System, cmd *cobra.Command) error {
	var err error
	if o.Broker, err = o.flags.Resolve(s, cmd); err != nil {
		return err
	}
	if err := o.CheckGroup(cmd); err != nil {
		return err
	}
	given := cmd.Flags().Changed
	if o.start, err = broker.ParseStart(o.deliver, time.Now()); err != nil {
		return console.Usage(cmd, "--deliver %q: %w", o.deliver, err)
	}
	o.deliverGiven, o.inFlightGiven, o.ackWaitGiven = given("deliver"), given("max-in-flight"), given("ack-wait")
	switch {
	case o.ackWait < time.Second || o.ackWait%time.Second != 0 || o.ackWait > 24*time.Hour:
		return console.Usage(cmd, "--ack-wait %v: must be whole seconds, from 1s to 24h", o.ackWait)
	case o.maxInFlight < 1 || o.maxInFlight > 1<<16:
		return console.Usage(cmd, "--max-in-flight %d: must be from 1 to %d", o.maxInFlight, 1<<16)
	case given("delay") && o.delay < 0:
		return console.Usage(cmd, "--delay %v: must not be negative", o.delay)
	case given("count") && o.count < 1:
		return console.Usage(cmd, "--count %d: must be at least 1", o.count)
	case given("idle") && o.idle <= 0:
		return console.Usage(cmd, "--idle %v: must be more than 0", o.idle)
	}
	if o.work.On() && o.output == "raw" {
		return console.Usage(cmd, "-o raw shows events, and --exec has them handled: leave it out, or -o json for a record of each run")
	}
	if err := o.chooseSubjects(s, cmd); err != nil {
		return err
	}
	if err := o.work.CheckSubjects(cmd, o.subjects); err != nil {
		return err
	}
	o.Options.NoReconnect = o.noReconnect
	return nil
}

// chooseSubjects resolves the arguments to distinct subjects and their contracts.
func (o *options) chooseSubjects(s *console.System, cmd *cobra.Command) error {
	asked := o.subjects
	if len(asked) == 0 {
		if o.raw {
			return console.Usage(cmd, "--raw needs a subject: it does not look into the catalogue")
		}
		asked = []string{"*"}
	}
	o.subjects, o.contracts = nil, make(map[string]*events.Contract)
	if o.raw {
		for _, subject := range asked {
			if err := o.addSubject(subject); err != nil {
				return err
			}
		}
		return nil
	}
	all, err := o.Load(s)
	if err != nil {
		return err
	}
	o.all = all
	for _, a := range asked {
		find := func(subject string) ([]*events.Contract, error) {
			k, err := all.Lookup(subject)
			return []*events.Contract{k}, err
		}
		if broker.IsPattern(a) {
			find = all.Match
		} else if err := broker.CheckSubject(a); err != nil {
			return err
		}
		found, err := find(a)
		if err != nil {
			return err
		}
		for _, k := range found {
			if err := o.addSubject(k.Subject); err != nil {
				return err
			}
			o.contracts[k.Subject] = k
		}
	}
	return nil
}

// addSubject adds a subject, once.
func (o *options) addSubject(subject string) error {
	if !slices.Contains(o.subjects, subject) {
		o.subjects = append(o.subjects, subject)
	}
	return broker.CheckSubject(subject)
}
