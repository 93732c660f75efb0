package console

import (
	"errors"

	"nats-test/internal/cli/stdio"
	"nats-test/internal/conn/broker"
	"nats-test/internal/worker"
)

// Reasons for failure, in addition to those of packages broker and events.
var (
	ErrUsage    = errors.New("usage")
	ErrContract = errors.New("contract")
	ErrMonitor  = errors.New("the monitoring port")
	ErrIdle     = errors.New("stopped by --idle before --count, or the end, was reached")

	ErrInterrupted = errors.New("interrupted")
)

// ForAccount is the hint for an account without JetStream.
const ForAccount = "enable JetStream for the account of these credentials, use others (--user, --creds), or connect to another server with --server"

// nameFile begins the hints for files that can't be read.
const nameFile = "name a readable file, by its full path, with "

// ends maps errors to exit codes and hints. The first match counts.
var ends = []struct {
	err  error
	code int
	hint string
}{
	{ErrUsage, ExitUsage, ""},
	{broker.ErrReserved, ExitUsage, "choose a subject of your own. To inspect or change the broker, use `listen status`, `listen forget`, `listen evict`, " +
		"or the nats CLI (nats stream, nats consumer, nats request)"},
	{broker.ErrConsumerName, ExitUsage, "choose another name with --durable NAME; letters, digits, - and _ are always legal"},
	{broker.ErrName, ExitUsage, "use letters, digits, - and _; a subject may also have : and single dots"},
	{broker.ErrURLSecret, ExitUsage, "--user and NATS_PASSWORD, or NATS_TOKEN, take user, password or token as they are"},
	{broker.ErrURL, ExitUsage, "write --server, NATS_URL or the url of the NATS context as nats://HOST:PORT or tls://HOST:PORT; separate several with commas"},
	{broker.ErrCredsFile, ExitUsage, nameFile + "--creds (NATS_CREDS)"},
	{broker.ErrNKeyFile, ExitUsage, nameFile + "--nkey (NATS_NKEY)"},
	{broker.ErrKeyFile, ExitUsage, nameFile + "--tlskey (NATS_KEY)"},
	{broker.ErrCertFile, ExitUsage, nameFile + "--tlscert (NATS_CERT)"},
	{broker.ErrCAFile, ExitUsage, nameFile + "--tlsca (NATS_CA)"},
	{broker.ErrFile, ExitUsage, "set this flag or variable to the full path of a readable file"},
	{broker.ErrKeyPair, ExitUsage, "give both: --tlscert FILE --tlskey FILE (NATS_CERT, NATS_KEY)"},
	{broker.ErrContextNSC, ExitUsage, "`nsc generate creds` writes a file for --creds (NATS_CREDS)"},
	{broker.ErrContextField, ExitUsage, "name another context, or give --server and the credentials by flags or variables (--user, --creds, …)"},
	{broker.ErrContext, ExitUsage, "`nats context ls` lists the contexts; leave out --context (NATS_CONTEXT) to use none"},
	{broker.ErrConfig, ExitUsage, "--help lists the flags and environment variables for the connection"},
	{ErrContract, ExitContract, ""},
	{broker.ErrTooLarge, ExitContract, "raise max_payload, the server's or the account's if that is lower, or publish a reference to the data"},
	{broker.ErrStreamLimit, ExitContract, "raise the stream's max_msg_size (`nats stream edit STREAM --max-msg-size N`), or publish a reference to the data"},
	{broker.ErrStalled, ExitContract, "raise --max-in-flight, or use --raw to see the events that break their contract"},
	{broker.ErrUntold, ExitLeft, "on NATS Streaming, the monitoring port shows the events that others hold: forward it, or set --monitor (NATS_MONITOR_URL); " +
		"on JetStream, the user needs the permission to request the consumer's info"},
	{broker.ErrUnfinished, ExitLeft, "`listen status` shows who holds the remaining events; start again to handle them"},
	{broker.ErrOrder, ExitOrder, "listeners can't rely on the order of these events; a stream keeps the order as long as its leader stays the same"},
	{broker.ErrOtherEvent, ExitNotAcked, "choose another --id: an ID belongs to one event of the whole stream, whatever its subject"},
	{broker.ErrNotStored, ExitNotAcked, "raise the stream's max_bytes; or, if it keeps events for consumers only, " +
		"start `listen --group NAME SUBJECT` before you publish"},
	{broker.ErrUncertain, ExitNotAcked, "check what is stored (listen --deliver since:1m --until-end SUBJECT) before you publish it again"},
	{broker.ErrNeedsGroup, ExitBroker, "join a group with --group NAME; `listen status` lists the groups"},
	{broker.ErrTaken, ExitBroker, "join its group, which `listen status` shows; --durable NAME joins a consumer called NAME_SUBJECT"},
	{broker.ErrConsumer, ExitBroker, "choose another --durable, or change the consumer (nats consumer edit)"},
	{stdio.ErrUnread, ExitFailed, "the program that reads the output must keep reading"},
	{broker.ErrBlocked, ExitFailed, "the program that reads the output must keep reading; unwritten events are delivered again"},
	{broker.ErrNoRoom, ExitNotAcked, "remove events or streams that are not needed, or raise the limits of the account or the server (max_file_store, max_memory_store)"},
	{broker.ErrFull, ExitNotAcked, "raise the stream's limits, let it discard old events, or remove some"},
	{broker.ErrOnlyJetStream, ExitUsage, "leave out --stream, or use JetStream (--backend jetstream)"},
	{broker.ErrMirror, ExitBroker, "publish to its origin: leave out --stream, or name the origin"},
	{broker.ErrOtherStream, ExitBroker, "leave out --stream to find the right one by the subject, or add the subject to this one"},
	{broker.ErrNoSuchStream, ExitBroker, "`listen status` lists the streams; leave out --stream to find one by the subject, or create one with --create-stream"},
	{broker.ErrNoStream, ExitBroker, "create one for the subject with --create-stream, or add the subject to a stream of yours"},
	{broker.ErrNeedsMaxBytes, ExitBroker, "limit its size: --create-stream --max-bytes SIZE, such as 1GiB"},
	{broker.ErrLimit, ExitBroker, "remove streams or consumers that are not needed (nats stream ls, nats consumer ls STREAM), " +
		"ask for less (--max-bytes), or raise the limit"},
	{broker.ErrNotAcked, ExitNotAcked, "the broker may have stored it: check (listen --deliver since:1m --until-end SUBJECT) " +
		"before you publish it again. JetStream drops a repeat with the same --id; NATS Streaming stores it twice"},
	{broker.ErrHTTP, ExitBroker, "check --server (NATS_URL): this may be a monitoring port, a port for WebSockets (ws://, wss://), or another program; " +
		"the client port is usually 4222"},
	{broker.ErrGarbled, ExitBroker, "no NATS server sends this: check which program listens there, and any proxy in between (`listen doctor`), " +
		"or name another server with --server (NATS_URL)"},
	{broker.ErrNoServer, ExitBroker, "name a NATS server with --server (NATS_URL)"},
	{broker.ErrNoDomain, ExitBroker, "check the domain (--domain, or that of the NATS context); without one, the server's own JetStream is used"},
	{broker.ErrNotForAccount, ExitBroker, ForAccount},
	{broker.ErrNoCluster, ExitBroker, "set the right cluster with --cluster (NATS_CLUSTER_ID), or use JetStream with --backend jetstream"},
	{broker.ErrNoJetStream, ExitBroker, "enable JetStream on the server (nats-server -js, or a jetstream block in its configuration), or connect to another server with --server"},
	{broker.ErrOffline, ExitBroker, "the servers that store it are down, or can't serve it: check them and their logs, or wait longer with --timeout"},
	{broker.ErrNoLeader, ExitBroker, "a majority of the servers of its cluster must run and reach each other: check them, or wait longer with --timeout"},
	{broker.ErrSilentCluster, ExitBroker, "choose the broker with --backend (jetstream or stan). A client that subscribes to all subjects (nats sub '>') " +
		"hides that there is no such cluster; a server that is starting, stopped or overloaded does not answer, either"},
	{broker.ErrHung, ExitBroker, "the server may be starting, stopped or overloaded: check it, or wait longer with --timeout"},
	{broker.ErrCrowded, ExitBroker, "try again later, stop clients that are not needed, or raise max_connections, the server's or, if the error names it, the account's"},
	{broker.ErrSubscriptions, ExitBroker, "raise max_subscriptions, the server's or the account's: each client needs some for replies, and a listener more"},
	{broker.ErrSlowLogIn, ExitBroker, "try again; if the network is slow, raise the server's limit for logging in (authorization { timeout: SECONDS })"},
	{broker.ErrPort, ExitBroker, "check --server (NATS_URL): the client port is usually 4222 (nats://); WebSockets have another port (ws://)"},
	{broker.ErrHungUp, ExitBroker, "try again, in case the server was shutting down; otherwise its log may say why"},
	{broker.ErrUntrusted, ExitBroker, "name that server, too (--server, NATS_URL), or allow it with --trust-advertised (NATS_TRUST_ADVERTISED=1)"},
	{broker.ErrExpired, ExitBroker, "get new credentials from whoever issued these, and give them with --creds, --user and --password, or a NATS context"},
	{broker.ErrDenied, ExitBroker, "get this permission for the user, or use the credentials of another (--user, --creds, …)"},
	{broker.ErrAuth, ExitBroker, "give valid credentials: --user and --password, --token, --creds or --nkey " +
		"(NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_CREDS, NATS_NKEY), or a NATS context with --context"},
	{broker.ErrTLS, ExitBroker, "check the tls:// URL, the server's CA (--tlsca), your certificate and its dates (--tlscert, --tlskey)"},
	{broker.ErrClientIDTaken, ExitBroker, "leave out --client-id for a random one, or stop the other client"},
	{broker.ErrLost, ExitBroker, "start again when the server is back; `listen` without --no-reconnect waits for it"},
	{broker.ErrExpected, ExitNotAcked, "nothing was stored: compare the header Nats-Expected-… with the stream (`listen status`)"},
	{broker.ErrSealed, ExitBroker, "publish to another stream: a sealed stream accepts no events"},
	{broker.ErrRefused, ExitBroker, "the broker's log may say more"},
	{ErrMonitor, ExitBroker, ""},
	{worker.ErrKilled, ExitKilled, "give handlers longer with --grace, or have them end on SIGTERM"},
	{worker.ErrCommand, ExitFailed, "run the command by itself: echo '{}' | COMMAND"},
	{worker.ErrNoDeadLetter, ExitFailed, "name a subject for dead letters with --dead-letter, or fix the handler"},
	{ErrIdle, ExitIdle, ""},
	{ErrInterrupted, ExitInterrupted, ""},
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
