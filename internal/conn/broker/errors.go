package broker

import (
	"errors"
	"strings"
)

// The reasons for which a broker can't be used, for errors.Is. An error that wraps
// one of them also says what was attempted and how the library or server put it.
var (
	// ErrUntrusted: the log-in would show a secret to a server that the user did not
	// name.
	ErrUntrusted = errors.New("no password or token is sent to servers that you did not name")
	// ErrNoServer: nothing answers at the address.
	ErrNoServer = errors.New("no server answers there")
	// ErrNotNATS: another program answers there. It wraps ErrNoServer.
	ErrNotNATS error = &kind{"no NATS server answers there", ErrNoServer}
	// ErrHTTP: an HTTP server answers there. It wraps ErrNotNATS.
	ErrHTTP error = &kind{"no NATS server answers there", ErrNotNATS}
	// ErrAbsent: the broker is not there. The errors of each backend wrap it.
	ErrAbsent = errors.New("no such broker is there")
	// ErrNoCluster: a NATS server answers, but no NATS Streaming cluster with that ID.
	ErrNoCluster error = &kind{"no NATS Streaming cluster of that ID answers there", ErrAbsent}
	// ErrNoJetStream: a NATS server answers, but the account has no JetStream.
	ErrNoJetStream error = &kind{"JetStream is not enabled there", ErrAbsent}
	// ErrNotForAccount: the server has JetStream, the account does not. It wraps
	// ErrNoJetStream.
	ErrNotForAccount error = &kind{"JetStream is not enabled for this account", ErrNoJetStream}
	// ErrNoDomain: the JetStream domain does not answer. It wraps ErrNoJetStream.
	ErrNoDomain error = &kind{"no JetStream of that domain answers there", ErrNoJetStream}
	// ErrNoStream: no JetStream stream stores the subject.
	ErrNoStream = errors.New("no stream covers the subject")
	// ErrNoSuchStream: the stream that was named does not exist. It wraps ErrNoStream.
	ErrNoSuchStream error = &kind{"no stream of that name is there", ErrNoStream}
	// ErrOtherStream: the stream that was named does not store the subject.
	ErrOtherStream = errors.New("the stream does not store the subject")
	// ErrMirror: the stream that was named is a mirror, which takes no published events.
	ErrMirror error = &kind{"a mirror takes no events", ErrOtherStream}
	// ErrOnlyJetStream: NATS Streaming does not have the requested feature.
	ErrOnlyJetStream = errors.New("NATS Streaming has no streams")
	// ErrLimit: a limit of the account or stream was reached, for streams, consumers or
	// bytes.
	ErrLimit = errors.New("a limit of the account or stream is reached")
	// ErrNeedsMaxBytes: the account requires max_bytes for every stream.
	ErrNeedsMaxBytes = errors.New("the account wants a stream to have a limit of bytes")
	// ErrHung: the server accepts connections but did not answer in time.
	ErrHung = errors.New("the server does not answer")
	// ErrCrowded: the server or account accepts no more clients.
	ErrCrowded = errors.New("no more clients are accepted")
	// ErrSubscriptions: the server or account accepts no more subscriptions.
	ErrSubscriptions = errors.New("no more subscriptions are accepted")
	// ErrSlowLogIn: the log-in reached the server too late (authentication timeout).
	ErrSlowLogIn = errors.New("the log-in came too late for the server")
	// ErrExpired: the credentials have expired or were revoked. It wraps ErrAuth.
	ErrExpired error = &kind{"the credentials are no longer valid", ErrAuth}
	// ErrPort: a NATS server's port for other connections: leaf nodes, routes, gateways
	// or WebSockets.
	ErrPort = errors.New("that port is not for clients like this one")
	// ErrHungUp: the server closed the connection after its greeting, before it answered
	// the log-in.
	ErrHungUp = errors.New("the server closed the connection during the log-in, without a word")
	// ErrNoLeader: JetStream or a stream has no leader at the moment. It wraps ErrHung.
	ErrNoLeader error = &kind{"no leader answers", ErrHung}
	// ErrSilentCluster: neither a NATS Streaming cluster nor the server (no responders)
	// answered. It wraps ErrHung.
	ErrSilentCluster error = &kind{"it is not known whether there is one", ErrHung}
	// ErrOffline: the servers that store the stream are offline. It wraps ErrHung.
	ErrOffline error = &kind{"it is offline", ErrHung}
	// ErrAuth: the credentials were refused, or lack a permission.
	ErrAuth = errors.New("the server refused the credentials")
	// ErrDenied: the credentials lack a permission. It wraps ErrAuth.
	ErrDenied error = &kind{"the server does not permit it", ErrAuth}
	// ErrTLS: the TLS handshake failed, or only one side wants TLS.
	ErrTLS = errors.New("no secure connection")
	// ErrClientIDTaken: another live client is registered under that client ID.
	ErrClientIDTaken = errors.New("another live client has that client ID")
	// ErrNoClient: no client is registered under that client ID.
	ErrNoClient = errors.New("no client of that ID is there")
	// ErrNoPosition: there is no durable of that name.
	ErrNoPosition = errors.New("there is no such durable")
	// ErrChanged: a position has changed since it was looked at.
	ErrChanged = errors.New("it has changed meanwhile")
	// ErrLost: the session is over because the connection broke, or because the broker no
	// longer knows it.
	ErrLost = errors.New("the connection was lost")
	// ErrNotAcked: sent, but no ack came in time. The event may be stored.
	ErrNotAcked = errors.New("sent, but not acked in time")
	// ErrGarbled: what the server sends is not the NATS protocol.
	ErrGarbled = errors.New("what the server says is not NATS, or broken")
	// ErrRefused: the broker refused the event or request.
	ErrRefused = errors.New("the broker refused it")
	// ErrExpected: a Nats-Expected-… header does not match the stream, so the event was
	// not stored. It wraps ErrRefused.
	ErrExpected error = &kind{"the stream is not as the event's header expects", ErrRefused}
	// ErrSealed: the stream is sealed. It wraps ErrRefused.
	ErrSealed error = &kind{"the stream is sealed", ErrRefused}
	// ErrFull: the stream is full, so the event was not stored.
	ErrFull = errors.New("the stream takes no more")
	// ErrNoRoom: the account or the server is full. It wraps ErrFull.
	ErrNoRoom error = &kind{"the account or the server has no room for more", ErrFull}
	// ErrTooLarge: larger than the server's max_payload. It was not sent.
	ErrTooLarge = errors.New("larger than the broker takes")
	// ErrStreamLimit: larger than the stream's max_msg_size. It was not stored.
	ErrStreamLimit = errors.New("larger than the stream takes")
	// ErrUncertain: the broker answered, but whether the event is stored can't be known.
	// The session goes on with the next event.
	ErrUncertain = errors.New("it can't be known what is stored")
	// ErrStalled: unacked events fill the max in flight, so the broker sends no others.
	ErrStalled = errors.New("events left unacked fill the max in flight, so no other comes")
	// ErrUnfinished: the end was reached, but not all events before it were handled:
	// other members hold some, the consumer is paused, or the broker dropped some.
	ErrUnfinished = errors.New("not everything up to the end was handled")
	// ErrUntold: the end was reached, but whether other members hold unacked events is
	// not known.
	ErrUntold = errors.New("it is not known whether everything up to the end was handled")
	// ErrOrder: all events are stored, but not in the order in which they were published.
	ErrOrder = errors.New("stored out of order")
	// ErrNotStored: acked, but the stream did not keep the event.
	ErrNotStored = errors.New("acked, but not stored")
	// ErrOtherEvent: another event with this message ID is stored, so this one was not.
	ErrOtherEvent = errors.New("another event was stored under this ID")
	// ErrNeedsGroup: the stream is a work queue, which needs a consumer with acks.
	ErrNeedsGroup = errors.New("a listener alone can't read them")
	// ErrTaken: another consumer of the work queue has these events.
	ErrTaken = errors.New("they go to another consumer")
	// ErrConsumer: a consumer of that name exists with settings that don't fit.
	ErrConsumer = errors.New("the consumer does not fit")
	// ErrBlocked: the handler did not return in time when the listener was stopped.
	ErrBlocked = errors.New("the handler does not come back")
	// ErrName: not a legal name for a subject, channel, durable, queue group or client.
	ErrName = errors.New("not a legal name")
	// ErrReserved: the subject is reserved for the broker. It wraps ErrName.
	ErrReserved error = &kind{"not a legal name for events", ErrName}
	// ErrConsumerName: not a legal part of a JetStream consumer's name. It wraps ErrName.
	ErrConsumerName error = &kind{"not a legal name", ErrName}
	// ErrConfig: the options are invalid.
	ErrConfig = errors.New("invalid connection settings")
	// ErrURL: a server's URL is invalid. It wraps ErrConfig.
	ErrURL error = &kind{"invalid connection settings", ErrConfig}
	// ErrURLSecret: a user, password or token in a URL is not %-encoded. It wraps ErrURL.
	ErrURLSecret error = &kind{"invalid connection settings", ErrURL}
	// ErrKeyPair: a client certificate without its key, or a key without its
	// certificate. It wraps ErrConfig.
	ErrKeyPair error = &kind{"invalid connection settings", ErrConfig}
	// ErrFile: a file named in the options can't be read, or has other content. It wraps
	// ErrConfig.
	ErrFile error = &kind{"invalid connection settings", ErrConfig}
	// The files that options name. The errors wrap ErrFile.
	ErrCredsFile error = &kind{"invalid connection settings", ErrFile}
	ErrNKeyFile  error = &kind{"invalid connection settings", ErrFile}
	ErrKeyFile   error = &kind{"invalid connection settings", ErrFile}
	ErrCertFile  error = &kind{"invalid connection settings", ErrFile}
	ErrCAFile    error = &kind{"invalid connection settings", ErrFile}
	// ErrContext: the NATS context can't be used. It wraps ErrConfig.
	ErrContext error = &kind{"invalid connection settings", ErrConfig}
	// ErrContextField: a field of the NATS context is not supported. It wraps ErrContext.
	ErrContextField error = &kind{"invalid connection settings", ErrContext}
	// ErrContextNSC: the NATS context refers to nsc. It wraps ErrContextField.
	ErrContextNSC error = &kind{"invalid connection settings", ErrContextField}
)

// Because returns an error that wraps both reason and cause, the error of a library or
// server. A permissions violation turns [ErrAuth] into [ErrDenied].
func Because(reason, cause error) error {
	if reason == ErrAuth && strings.Contains(strings.ToLower(cause.Error()), "permissions violation") { //nolint:errorlint // not what wraps it
		reason = ErrDenied
	}
	return &Failure{reason, cause}
}

// A Failure is a reason together with its cause.
type Failure struct {
	reason error
	Cause  error
}

func (f *Failure) Error() string   { return f.reason.Error() + ": " + Plain(f.Cause) }
func (f *Failure) Unwrap() []error { return []error{f.reason, f.Cause} }

// Ended returns an error for a session that ended although its connection did not
// break. It wraps [ErrLost].
func Ended(cause error) error { return &ended{cause} }

type ended struct{ cause error }

func (e *ended) Error() string   { return e.cause.Error() }
func (e *ended) Unwrap() []error { return []error{ErrLost, e.cause} }

// A kind is a reason that wraps a more general one.
type kind struct {
	text string
	of   error
}

func (k *kind) Error() string { return k.text }
func (k *kind) Unwrap() error { return k.of }
