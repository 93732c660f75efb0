package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nats-test/internal/conn/broker"
	"nats-test/internal/events"
)

// The exit codes, as --help prints them.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitBroker   = 3
	exitContract = 4
	exitNotAcked = 5
	exitIdle     = 6
	exitLeft     = 7
	exitOrder    = 8

	exitInterrupted = 130
)

const exitHelp = `Exit codes:
  0  done; a listener without an end: stopped by a signal and closed cleanly
  1  failed; something is stuck, says listen status
  2  usage: a flag, a subject that is no legal name, a file or a catalogue that can't be read,
     a stdout that a shell closed (>&-)
  3  broker unreachable, refused or lost; no stream for the subject
  4  unknown event, or one that breaks its contract or is too large; it was not sent;
     faults found by publish events check, changes found by diff that break others
  5  sent, but not acked in time; or not stored: by a full stream, by one that keeps
     nothing or is not as a header Nats-Expected-… says, or because its --id belongs
     to another event
  6  stopped by --idle before --count, or the end, was reached
  7  --until-end came to the end, and not everything up to it was handled: others hold
     events, the consumer is paused, the broker lost some, or it can't be known
  8  all events are stored, but some behind later ones
  130  interrupted before all that was asked for was done
`

// addExitHelp adds exitHelp to the usage of cmd and of its subcommands.
// (SetUsageTemplate would link text/template.)
func addExitHelp(cmd *cobra.Command) {
	usage := cmd.UsageFunc()
	cmd.SetUsageFunc(func(c *cobra.Command) error {
		hideConnection(c)
		if err := usage(c); err != nil {
			return err
		}
		_, err := fmt.Fprint(c.OutOrStderr(), "\n"+exitHelp)
		return err
	})
}

// hideConnection leaves the flags out of a help that say how a broker is reached,
// where c and what is above it reach none.
func hideConnection(c *cobra.Command) {
	offline := false
	for at := c; at != nil; at = at.Parent() {
		offline = offline || at.Annotations[reachesNone] != "" || at.Name() == "completion"
	}
	if !offline {
		return
	}
	c.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		f.Hidden = f.Name != "catalog" && f.Name != "color" && f.Name != "quiet"
	})
}

// reachesNone annotates a command that reaches no broker.
const reachesNone = "reaches no broker"

var (
	errUsage    = errors.New("usage")
	errContract = errors.New("contract")
	errMonitor  = errors.New("the monitoring port")
	errIdle     = errors.New("stopped by --idle before --count, or the end, was reached")

	errInterrupted = errors.New("interrupted")
)

// ends maps errors to exit codes, and to what to type next. The first that
// matches counts.
var ends = []struct {
	err  error
	code int
	hint string
}{
	{errUsage, exitUsage, ""},
	{broker.ErrReserved, exitUsage, "events go to a subject of your own. `listen status`, `listen forget` and `listen evict` look at the broker and change it; " +
		"so does the nats CLI (nats stream, nats consumer, nats request)"},
	{broker.ErrName, exitUsage, "letters, digits, - and _ are always legal, in a subject : and single dots, too"},
	{broker.ErrURL, exitUsage, "write --server, NATS_URL or the url of the NATS context as nats://HOST:PORT, or tls://; several with commas"},
	{broker.ErrFile, exitUsage, "name a file that can be read, by its whole path, in this flag or variable"},
	{broker.ErrContext, exitUsage, "`nats context ls` lists those that are there; leave --context (NATS_CONTEXT) out to do without"},
	{broker.ErrConfig, exitUsage, "--help lists the flags and environment variables that say how the server is reached"},
	{errContract, exitContract, ""},
	{broker.ErrTooLarge, exitContract, "have max_payload raised, the server's or the account's if that is less, or send a reference to the data"},
	{broker.ErrStreamLimit, exitContract, "raise the stream's max_msg_size (`nats stream edit STREAM --max-msg-size N`), or send a reference to the data"},
	{broker.ErrStalled, exitContract, "raise --max-in-flight, or use --raw to see the events that break their contract"},
	{broker.ErrUntold, exitLeft, "the monitoring port of NATS Streaming tells what others hold: forward it, or say where it is with --monitor (NATS_MONITOR_URL); " +
		"on JetStream, asking for the consumer must be permitted"},
	{broker.ErrUnfinished, exitLeft, "`listen status` shows who holds what; start again to handle what is left"},
	{broker.ErrOrder, exitOrder, "what reads these events must not rely on their order; a stream keeps it while it has one leader"},
	{broker.ErrOtherEvent, exitNotAcked, "an --id is for one event of the whole stream, whatever its subject: choose another"},
	{broker.ErrNotStored, exitNotAcked, "let the stream keep it: raise its max_bytes; or, where it keeps events for consumers only, " +
		"start `listen --group NAME SUBJECT` before you publish"},
	{broker.ErrUncertain, exitNotAcked, "look at what is stored (listen --deliver since:1m --until-end SUBJECT) before you publish it again"},
	{broker.ErrNeedsGroup, exitBroker, "join with --group NAME; `listen status` shows the groups that are there"},
	{broker.ErrTaken, exitBroker, "join its group: `listen status` shows which it is; --durable NAME joins a consumer called NAME_SUBJECT"},
	{broker.ErrConsumer, exitBroker, "choose another --durable, or change the consumer (nats consumer edit)"},
	{errUnread, exitFailed, "what reads the output must go on reading"},
	{broker.ErrBlocked, exitFailed, "what reads the output must go on reading; what was not written is delivered again"},
	{broker.ErrNoRoom, exitNotAcked, "remove events or streams that nobody needs, or have the limits of the account raised, or those of the server (max_file_store, max_memory_store)"},
	{broker.ErrFull, exitNotAcked, "raise the stream's limits, or let it discard old events; or remove some"},
	{broker.ErrOnlyJetStream, exitUsage, "leave --stream out, or use JetStream (--backend jetstream)"},
	{broker.ErrMirror, exitBroker, "publish to its origin: leave --stream out, or name that one"},
	{broker.ErrOtherStream, exitBroker, "leave --stream out to have the right one looked for, or add the subject to this one"},
	{broker.ErrNoSuchStream, exitBroker, "`listen status` shows which there are; leave --stream out to have the right one looked for, or --create-stream makes it"},
	{broker.ErrNoStream, exitBroker, "--create-stream makes one for the subject; or add the subject to a stream of yours"},
	{broker.ErrNeedsMaxBytes, exitBroker, "say how large it may become: --create-stream --max-bytes SIZE, such as 1GiB"},
	{broker.ErrLimit, exitBroker, "remove streams or consumers that nobody needs (nats stream ls, nats consumer ls STREAM), " +
		"ask for less (--max-bytes), or have the limit raised"},
	{broker.ErrNotAcked, exitNotAcked, "the broker may have stored it all the same: look (listen --deliver since:1m --until-end SUBJECT) " +
		"before you publish it again. JetStream knows a repeat by its --id; NATS Streaming does not"},
	{broker.ErrHTTP, exitBroker, "check --server (NATS_URL): HTTP is spoken at a server's monitoring port, at its port for WebSockets (ws://, wss://), and by other programs; " +
		"clients go to port 4222, as a rule"},
	{broker.ErrGarbled, exitBroker, "look at what listens there, and at what lies in between (`listen doctor`): " +
		"a NATS server does not say this; another one is named with --server (NATS_URL)"},
	{broker.ErrNoServer, exitBroker, "say where a NATS server is with --server (NATS_URL)"},
	{broker.ErrNoDomain, exitBroker, "check the domain (--domain, or that of the NATS context); without one, the server's own JetStream is asked"},
	{broker.ErrNotForAccount, exitBroker, forAccount},
	{broker.ErrNoCluster, exitBroker, "name the right cluster with --cluster (NATS_CLUSTER_ID), or --backend jetstream if that is meant"},
	{broker.ErrNoJetStream, exitBroker, "enable JetStream there (nats-server -js, or a jetstream block in its configuration), or connect to another server with --server"},
	{broker.ErrOffline, exitBroker, "the servers that store it are away, or can't serve it: look at them and their logs, or wait longer with --timeout"},
	{broker.ErrNoLeader, exitBroker, "most servers of its cluster must run, and reach each other: look at them, or wait longer with --timeout"},
	{broker.ErrSilentCluster, exitBroker, "say which broker it is with --backend (jetstream or stan). A client that subscribes to everything (nats sub '>') " +
		"keeps the server from saying that there is no cluster; one that is starting, stopped or overloaded says nothing, either"},
	{broker.ErrHung, exitBroker, "the server may be starting, stopped or overloaded: look at it, or wait longer with --timeout"},
	{broker.ErrCrowded, exitBroker, "try again later, stop clients that nobody needs, or have max_connections raised, the server's or, if the words name it, the account's"},
	{broker.ErrSubscriptions, exitBroker, "have max_subscriptions raised, the server's or the account's: each client needs some for the answers, and some to listen"},
	{broker.ErrSlowLogIn, exitBroker, "try again; if the way there is slow, let the server wait longer for log-ins (authorization { timeout: SECONDS })"},
	{broker.ErrPort, exitBroker, "check --server (NATS_URL): NATS servers take clients at port 4222, as a rule (nats://), and those with WebSockets at another (ws://)"},
	{broker.ErrHungUp, exitBroker, "the server's log may tell why; a server that is shutting down does this, too: try again"},
	{broker.ErrExpired, exitBroker, "get new credentials from whom these are (--creds, --user and --password, or a NATS context)"},
	{broker.ErrDenied, exitBroker, "have it permitted to this user, or give credentials of one who may do this (--user, --creds, …)"},
	{broker.ErrAuth, exitBroker, "give credentials that may do this: --user and --password, --token, --creds or --nkey " +
		"(NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_CREDS, NATS_NKEY), or a NATS context with --context"},
	{broker.ErrTLS, exitBroker, "check the tls:// URL, the server's authority (--tlsca), your certificate and its dates (--tlscert, --tlskey)"},
	{broker.ErrClientIDTaken, exitBroker, "leave --client-id out for a random one, or stop the other client"},
	{broker.ErrLost, exitBroker, "when the server is back, start again; `listen` without --no-reconnect waits for it"},
	{broker.ErrExpected, exitNotAcked, "nothing was stored: look at the stream (`listen status`), and at what the header Nats-Expected-… says"},
	{broker.ErrSealed, exitBroker, "publish to another stream: a sealed one stays as it is"},
	{broker.ErrRefused, exitBroker, "the broker's log may tell more"},
	{errMonitor, exitBroker, ""},
	{errIdle, exitIdle, ""},
	{errInterrupted, exitInterrupted, ""},
}

func exitCode(err error) int {
	if e, ok := errors.AsType[*explained](err); ok && e.kind != nil {
		err = e.kind // whatever it wraps
	}
	if _, ok := errors.AsType[*events.UnknownError](err); ok {
		return exitContract
	}
	if _, ok := errors.AsType[*events.InvalidError](err); ok {
		return exitContract
	}
	for _, e := range ends {
		if errors.Is(err, e.err) {
			return e.code
		}
	}
	if isCatalogueError(err) {
		return exitUsage
	}
	return exitFailed
}

// isCatalogueError reports whether a catalogue or one of its files can't be used.
func isCatalogueError(err error) bool {
	_, load := errors.AsType[*events.LoadError](err)
	_, source := errors.AsType[*events.SourceError](err)
	return load || source
}

// An explained error is one with a hint: what to type next.
type explained struct {
	error
	kind error // one of the errors in ends, or nil
	hint string
}

func (e *explained) Unwrap() []error {
	if e.kind == nil {
		return []error{e.error}
	}
	return []error{e.error, e.kind}
}

// usage returns an error for a command line that can't be run.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return &explained{fmt.Errorf(format, args...), errUsage, fmt.Sprintf("see %s --help", cmd.CommandPath())}
}

// broken returns an error for an event that is not what it should be.
func broken(format string, args ...any) error {
	return &explained{fmt.Errorf(format, args...), errContract, ""}
}

// hinted adds a hint to err.
func hinted(err error, format string, args ...any) error {
	return &explained{err, nil, fmt.Sprintf(format, args...)}
}
