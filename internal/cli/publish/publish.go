// Package publish holds the command publish: flags become options, options a run.
package publish

import (
	"errors"
	"io"
	"math"
	"regexp"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"nats-test/internal/cli/catalog"
	"nats-test/internal/cli/connect"
	"nats-test/internal/cli/console"
	"nats-test/internal/cli/record"
	"nats-test/internal/cli/source"
	"nats-test/internal/conn/broker"
	"nats-test/internal/events"
)

// options are the flags of publish.
type options struct {
	flags connect.Flags
	*connect.Broker
	catalog.Catalogue

	subject     string
	data        string
	sample      bool
	count       int
	rate        float64
	template    bool
	interactive bool
	raw         bool
	dryRun      bool
	id          string
	headers     []string
	output      string

	contract *events.Contract // nil with --raw
	ids      *source.IDs
	header   map[string][]string
}

// New returns the command.
func New(s *console.System) *cobra.Command {
	o := &options{output: "text"}
	cmd := &cobra.Command{
		Use:   "publish SUBJECT",
		Short: "publish puts events on a NATS subject and waits until the broker has stored them",
		Long: `publish sends one event, or a million, to a NATS subject (a channel, on NATS
Streaming; in a stream, on JetStream) and waits until the broker has stored it.
An event that breaks its contract is refused before it is sent. Events are sent as
the JSON that you give, without white space between its parts; or in Protobuf or
Avro, if the contract in your own catalogue is in that format.`,
		Example: `  publish ticket:created --data '{"id":"1","title":"Concert","price":20,"userId":"7"}'
  publish ticket:created --sample -n 100 --rate 10
  publish ticket:created --data @event.json --dry-run
  publish ticket:created --sample --create-stream --id ticket-1 -H 'Trace-Id: 7'
  publish order:created --data - < events.ndjson
  publish ticket:created --template --data '{"id":"{{.N}}","title":"{{now}}","price":1,"userId":"{{uuid}}"}' -n 5
  listen ticket:created -o json --until-end | publish ticket:created --server other:4222 --data -`,
		ValidArgsFunction: o.Complete(s, 1),
		Args: func(cmd *cobra.Command, args []string) error {
			switch len(args) {
			case 0:
				return console.Usage(cmd, "no subject; for example: publish ticket:created --sample")
			case 1:
				return nil
			}
			return console.OrCommand(cmd, args[0], tooMany(cmd, args))
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.subject = args[0]
			if err := o.check(s, cmd); err != nil {
				return console.OrCommand(cmd, o.subject, err)
			}
			return run(cmd.Context(), s, console.New(s, cmd), o)
		},
	}
	f := console.LocalFlags(cmd)
	f.StringVarP(&o.data, "data", "d", "", "the data, `JSON`; @FILE reads a file, - reads stdin as a stream of JSON values, an event each\n"+
		"(with --raw or --template: one event per line)")
	f.BoolVar(&o.sample, "sample", false, "send the catalogue's example")
	f.IntVarP(&o.count, "count", "n", 1, "send it `N` times")
	f.Float64Var(&o.rate, "rate", 0, "at most `R` events per second")
	f.BoolVar(&o.template, "template", false, "expand {{.N}} (1, 2, …), {{uuid}} and {{now}} in the data")
	f.BoolVarP(&o.interactive, "interactive", "i", false, "stay connected: rs or Enter publishes again, Ctrl-D ends")
	f.BoolVar(&o.raw, "raw", false, "no contract: any subject, any bytes")
	f.BoolVar(&o.dryRun, "dry-run", false, "check and print, send nothing")
	f.StringVar(&o.id, "id", "", "message `ID`: JetStream stores events with the same ID only once (default random);\n"+
		"with --template it is expanded, too, for one ID per event")
	f.StringArrayVarP(&o.headers, "header", "H", nil, "`KEY:VALUE`, a header of the event (JetStream); may be given several times")
	o.flags.AddStream(cmd)
	console.AddChoice(cmd, f, &o.output, "output", "o", "a line per acked event: ", "text", "json")
	o.AddFlag(cmd)
	o.flags.Add(cmd)
	console.AddFlags(cmd)
	console.AddVersion(cmd)
	console.AddExitHelp(cmd)
	cmd.AddCommand(catalog.NewEvents(s, &o.Catalogue))
	return cmd
}

// check refuses invalid flags and arguments before anything is read or sent.
func (o *options) check(s *console.System, cmd *cobra.Command) error {
	if err := broker.CheckPublish(o.subject); err != nil {
		return err
	}
	var err error
	if o.Broker, err = o.flags.Resolve(s, cmd); err != nil {
		return err
	}
	for _, pair := range [][]string{
		{"data", "sample"}, {"raw", "sample"}, {"template", "sample"}, {"interactive", "dry-run"},
		{"interactive", "count"}, {"interactive", "rate"},
	} {
		if err := console.Exclusive(cmd, pair...); err != nil {
			return err
		}
	}
	given := cmd.Flags().Changed
	switch {
	case !given("data") && o.raw:
		return console.Usage(cmd, "no data: give it with --data")
	case !given("data") && !o.sample:
		return console.Usage(cmd, "no data: give it with --data, or send the example with --sample")
	case o.count < 1:
		return console.Usage(cmd, "--count %d: must be at least 1", o.count)
	case given("rate") && (o.rate <= 0 || math.IsNaN(o.rate) || math.IsInf(o.rate, 0)):
		return console.Usage(cmd, "--rate %v: must be a number of events per second, more than 0", o.rate)
	case o.data == "-" && given("count"):
		return console.Usage(cmd, "--count needs one event to repeat, and --data - reads many")
	case s.StdinShut && o.data == "-":
		return console.Explained(errors.New("reading events from stdin: it is closed"), console.ErrContract, "leave out <&-, and give the events with `< FILE` or a pipe")
	case o.data == "-" && o.interactive:
		return console.Usage(cmd, "--interactive and --data - both read stdin")
	case given("id") && o.id == "":
		return console.Usage(cmd, "--id \"\": the ID is empty")
	case o.Options.Backend == broker.STAN && (o.id != "" || len(o.headers) > 0):
		return errOnlyJetStream
	}
	if o.ids, err = source.NewIDs(o.id, o.template, o.count > 1 || o.data == "-" || o.interactive); err != nil {
		return err
	}
	if o.header, err = parseHeaders(cmd, o.headers); err != nil {
		return err
	}
	if !o.raw {
		all, err := o.Load(s)
		if err != nil {
			return err
		}
		if o.contract, err = all.Lookup(o.subject); err != nil {
			return err
		}
		if err := o.contract.Compile(); err != nil {
			return err
		}
	}
	if o.Options.ClientID == "" {
		o.Options.ClientID = broker.NewClientID("publish")
	}
	return nil
}

var errOnlyJetStream = console.Explained(errors.New("NATS Streaming has no message IDs and no headers"), console.ErrUsage,
	"leave out --id and --header, or publish to JetStream (--backend jetstream)")

var headerKey = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // a token of RFC 9110

// parseHeaders reads the values of --header.
func parseHeaders(cmd *cobra.Command, lines []string) (map[string][]string, error) {
	header := make(map[string][]string)
	for _, line := range lines {
		key, value, found := strings.Cut(line, ":")
		switch {
		case !found || !headerKey.MatchString(key):
			return nil, console.Usage(cmd, "--header %q: must be KEY:VALUE, with a key of letters, digits and signs such as - and _", line)
		case strings.ContainsFunc(value, unicode.IsControl):
			return nil, console.Usage(cmd, "--header %s: its value can't hold control characters", key)
		case strings.EqualFold(key, "Nats-Msg-Id"):
			return nil, console.Usage(cmd, "--header %s: give the message ID with --id", key)
		}
		header[key] = append(header[key], strings.TrimSpace(value))
	}
	return header, nil
}

// checker returns a function that validates and encodes an event's data.
func (o *options) checker() func(data []byte) ([]byte, error) {
	if o.raw {
		return func(data []byte) ([]byte, error) { return data, nil }
	}
	return func(data []byte) ([]byte, error) {
		data, err := record.Unwrap(data, o.subject)
		if err != nil {
			return nil, err
		}
		wire, err := o.contract.Encode(data)
		if err != nil {
			return nil, orFile(o.data, err)
		}
		if o.dryRun { // --dry-run prints for people
			return o.contract.Decode(wire)
		}
		return wire, nil
	}
}

// open returns the source of the events to publish. stdin is read only where they
// come from there.
func (o *options) open(stdin io.Reader, s *console.System, tell *console.Console) source.Source {
	data := func() ([]byte, error) { return []byte(o.data), nil }
	switch {
	case o.sample:
		data = o.contract.Example
	case strings.HasPrefix(o.data, "@"):
		data = func() ([]byte, error) { return source.ReadFile(s.Path(o.data[1:])) }
	}
	var src source.Source = &source.Repeated{Load: data, Left: o.count}
	switch {
	case o.interactive:
		src = source.NewPrompt(data, stdin, tell.Say)
	case o.data == "-" && (o.raw || o.template):
		src = source.NewLines(stdin)
	case o.data == "-":
		src = source.NewValues(stdin)
	}
	if o.template {
		src = &source.Templated{Source: src}
	}
	return src
}
