package console

import (
	"errors"

	"nats-test/internal/cli/stdio"
	"nats-test/internal/conn/broker"
	"nats-test/internal/events"
)

// The exit codes, as --help prints them.
const (
	ExitDone     = 0
	ExitFailed   = 1
	ExitUsage    = 2
	ExitBroker   = 3
	ExitContract = 4
	ExitNotAcked = 5
	ExitIdle     = 6
	ExitLeft     = 7
	ExitOrder    = 8

	ExitInterrupted = 130
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

// Reasons for which a command fails, beside those of packages broker and events.
var (
	ErrUsage    = errors.New("usage")
	ErrContract = errors.New("contract")
	ErrMonitor  = errors.New("the monitoring port")
	ErrIdle     = errors.New("stopped by --idle before --count, or the end, was reached")

	ErrInterrupted = errors.New("interrupted")
)

// ForAccount is the hint where JetStream is not enabled for the account.
const ForAccount = "enable JetStream for the account of these credentials, use others (--user, --creds), or connect to another server with --server"

// ends maps errors to exit codes and hints. The first match counts.
var ends = []struct {
	err  error
	code int
	hint string
}{
	{ErrUsage, ExitUsage, ""},
	{broker.ErrReserved, ExitUsage, "events go to a subject of your own. `listen status`, `listen forget` and `listen evict` look at the broker and change it; " +
		"so does the nats CLI (nats stream, nats consumer, nats request)"},
	{broker.ErrName, ExitUsage, "letters, digits, - and _ are always legal, in a subject : and single dots, too"},
	{broker.ErrURL, ExitUsage, "write --server, NATS_URL or the url of the NATS context as nats://HOST:PORT, or tls://; several with commas"},
	{broker.ErrFile, ExitUsage, "name a file that can be read, by its whole path, in this flag or variable"},
	{broker.ErrContext, ExitUsage, "`nats context ls` lists those that are there; leave --context (NATS_CONTEXT) out to do without"},
	{broker.ErrConfig, ExitUsage, "--help lists the flags and environment variables that say how the server is reached"},
	{ErrContract, ExitContract, ""},
	{broker.ErrTooLarge, ExitContract, "have max_payload raised, the server's or the account's if that is less, or send a reference to the data"},
	{broker.ErrStreamLimit, ExitContract, "raise the stream's max_msg_size (`nats stream edit STREAM --max-msg-size N`), or send a reference to the data"},
	{broker.ErrStalled, ExitContract, "raise --max-in-flight, or use --raw to see the events that break their contract"},
	{broker.ErrUntold, ExitLeft, "the monitoring port of NATS Streaming tells what others hold: forward it, or say where it is with --monitor (NATS_MONITOR_URL); " +
		"on JetStream, asking for the consumer must be permitted"},
	{broker.ErrUnfinished, ExitLeft, "`listen status` shows who holds what; start again to handle what is left"},
	{broker.ErrOrder, ExitOrder, "what reads these events must not rely on their order; a stream keeps it while it has one leader"},
	{broker.ErrOtherEvent, ExitNotAcked, "an --id is for one event of the whole stream, whatever its subject: choose another"},
	{broker.ErrNotStored, ExitNotAcked, "let the stream keep it: raise its max_bytes; or, where it keeps events for consumers only, " +
		"start `listen --group NAME SUBJECT` before you publish"},
	{broker.ErrUncertain, ExitNotAcked, "look at what is stored (listen --deliver since:1m --until-end SUBJECT) before you publish it again"},
	{broker.ErrNeedsGroup, ExitBroker, "join with --group NAME; `listen status` shows the groups that are there"},
	{broker.ErrTaken, ExitBroker, "join its group: `listen status` shows which it is; --durable NAME joins a consumer called NAME_SUBJECT"},
	{broker.ErrConsumer, ExitBroker, "choose another --durable, or change the consumer (nats consumer edit)"},
	{stdio.ErrUnread, ExitFailed, "what reads the output must go on reading"},
	{broker.ErrBlocked, ExitFailed, "what reads the output must go on reading; what was not written is delivered again"},
	{broker.ErrNoRoom, ExitNotAcked, "remove events or streams that nobody needs, or have the limits of the account raised, or those of the server (max_file_store, max_memory_store)"},
	{broker.ErrFull, ExitNotAcked, "raise the stream's limits, or let it discard old events; or remove some"},
	{broker.ErrOnlyJetStream, ExitUsage, "leave --stream out, or use JetStream (--backend jetstream)"},
	{broker.ErrMirror, ExitBroker, "publish to its origin: leave --stream out, or name that one"},
	{broker.ErrOtherStream, ExitBroker, "leave --stream out to have the right one looked for, or add the subject to this one"},
	{broker.ErrNoSuchStream, ExitBroker, "`listen status` shows which there are; leave --stream out to have the right one looked for, or --create-stream makes it"},
	{broker.ErrNoStream, ExitBroker, "--create-stream makes one for the subject; or add the subject to a stream of yours"},
	{broker.ErrNeedsMaxBytes, ExitBroker, "say how large it may become: --create-stream --max-bytes SIZE, such as 1GiB"},
	{broker.ErrLimit, ExitBroker, "remove streams or consumers that nobody needs (nats stream ls, nats consumer ls STREAM), " +
		"ask for less (--max-bytes), or have the limit raised"},
	{broker.ErrNotAcked, ExitNotAcked, "the broker may have stored it all the same: look (listen --deliver since:1m --until-end SUBJECT) " +
		"before you publish it again. JetStream knows a repeat by its --id; NATS Streaming does not"},
	{broker.ErrHTTP, ExitBroker, "check --server (NATS_URL): HTTP is spoken at a server's monitoring port, at its port for WebSockets (ws://, wss://), and by other programs; " +
		"clients go to port 4222, as a rule"},
	{broker.ErrGarbled, ExitBroker, "look at what listens there, and at what lies in between (`listen doctor`): " +
		"a NATS server does not say this; another one is named with --server (NATS_URL)"},
	{broker.ErrNoServer, ExitBroker, "say where a NATS server is with --server (NATS_URL)"},
	{broker.ErrNoDomain, ExitBroker, "check the domain (--domain, or that of the NATS context); without one, the server's own JetStream is asked"},
	{broker.ErrNotForAccount, ExitBroker, ForAccount},
	{broker.ErrNoCluster, ExitBroker, "name the right cluster with --cluster (NATS_CLUSTER_ID), or --backend jetstream if that is meant"},
	{broker.ErrNoJetStream, ExitBroker, "enable JetStream there (nats-server -js, or a jetstream block in its configuration), or connect to another server with --server"},
	{broker.ErrOffline, ExitBroker, "the servers that store it are away, or can't serve it: look at them and their logs, or wait longer with --timeout"},
	{broker.ErrNoLeader, ExitBroker, "most servers of its cluster must run, and reach each other: look at them, or wait longer with --timeout"},
	{broker.ErrSilentCluster, ExitBroker, "say which broker it is with --backend (jetstream or stan). A client that subscribes to everything (nats sub '>') " +
		"keeps the server from saying that there is no cluster; one that is starting, stopped or overloaded says nothing, either"},
	{broker.ErrHung, ExitBroker, "the server may be starting, stopped or overloaded: look at it, or wait longer with --timeout"},
	{broker.ErrCrowded, ExitBroker, "try again later, stop clients that nobody needs, or have max_connections raised, the server's or, if the words name it, the account's"},
	{broker.ErrSubscriptions, ExitBroker, "have max_subscriptions raised, the server's or the account's: each client needs some for the answers, and some to listen"},
	{broker.ErrSlowLogIn, ExitBroker, "try again; if the way there is slow, let the server wait longer for log-ins (authorization { timeout: SECONDS })"},
	{broker.ErrPort, ExitBroker, "check --server (NATS_URL): NATS servers take clients at port 4222, as a rule (nats://), and those with WebSockets at another (ws://)"},
	{broker.ErrHungUp, ExitBroker, "the server's log may tell why; a server that is shutting down does this, too: try again"},
	{broker.ErrExpired, ExitBroker, "get new credentials from whom these are (--creds, --user and --password, or a NATS context)"},
	{broker.ErrDenied, ExitBroker, "have it permitted to this user, or give credentials of one who may do this (--user, --creds, …)"},
	{broker.ErrAuth, ExitBroker, "give credentials that may do this: --user and --password, --token, --creds or --nkey " +
		"(NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_CREDS, NATS_NKEY), or a NATS context with --context"},
	{broker.ErrTLS, ExitBroker, "check the tls:// URL, the server's authority (--tlsca), your certificate and its dates (--tlscert, --tlskey)"},
	{broker.ErrClientIDTaken, ExitBroker, "leave --client-id out for a random one, or stop the other client"},
	{broker.ErrLost, ExitBroker, "when the server is back, start again; `listen` without --no-reconnect waits for it"},
	{broker.ErrExpected, ExitNotAcked, "nothing was stored: look at the stream (`listen status`), and at what the header Nats-Expected-… says"},
	{broker.ErrSealed, ExitBroker, "publish to another stream: a sealed one stays as it is"},
	{broker.ErrRefused, ExitBroker, "the broker's log may tell more"},
	{ErrMonitor, ExitBroker, ""},
	{ErrIdle, ExitIdle, ""},
	{ErrInterrupted, ExitInterrupted, ""},
}

// ExitCode returns the exit code for err.
func ExitCode(err error) int {
	if e, ok := errors.AsType[*explainedError](err); ok && e.kind != nil {
		err = e.kind // whatever it wraps
	}
	if _, ok := errors.AsType[*events.UnknownError](err); ok {
		return ExitContract
	}
	if _, ok := errors.AsType[*events.InvalidError](err); ok {
		return ExitContract
	}
	for _, e := range ends {
		if errors.Is(err, e.err) {
			return e.code
		}
	}
	if isCatalogueError(err) {
		return ExitUsage
	}
	return ExitFailed
}

// IsKnown reports whether err has a row of its own in ends.
func IsKnown(err error) bool {
	for _, e := range ends {
		if errors.Is(err, e.err) {
			return true
		}
	}
	return false
}
