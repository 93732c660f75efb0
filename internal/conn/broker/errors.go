package broker

import (
	"errors"
	"strings"
)

// The reasons for which a broker can't be used, for errors.Is. Each is wrapped
// in an error that also says what was attempted and what the library answered.
var (
	// ErrNoServer: nothing answers at the address.
	ErrNoServer = errors.New("no server answers there")
	// ErrNotNATS: what answers is no NATS server. It wraps ErrNoServer.
	ErrNotNATS error = &kind{"no NATS server answers there", ErrNoServer}
	// ErrHTTP: what answers speaks HTTP. It wraps ErrNotNATS.
	ErrHTTP error = &kind{"no NATS server answers there", ErrNotNATS}
	// ErrAbsent: the broker is not there. It is wrapped by the reason of each.
	ErrAbsent = errors.New("no such broker is there")
	// ErrNoCluster: a NATS server answers, but no NATS Streaming cluster of that ID.
	ErrNoCluster error = &kind{"no NATS Streaming cluster of that ID answers there", ErrAbsent}
	// ErrNoJetStream: a NATS server answers, but the account has no JetStream.
	ErrNoJetStream error = &kind{"JetStream is not enabled there", ErrAbsent}
	// ErrNotForAccount: the server has JetStream, the account does not. It wraps
	// ErrNoJetStream.
	ErrNotForAccount error = &kind{"JetStream is not enabled for this account", ErrNoJetStream}
	// ErrNoDomain: nobody answers for the JetStream domain. It wraps ErrNoJetStream.
	ErrNoDomain error = &kind{"no JetStream of that domain answers there", ErrNoJetStream}
	// ErrNoStream: no JetStream stream stores the subject.
	ErrNoStream = errors.New("no stream covers the subject")
	// ErrNoSuchStream: there is no stream of the name given. It wraps ErrNoStream.
	ErrNoSuchStream error = &kind{"no stream of that name is there", ErrNoStream}
	// ErrOtherStream: the stream that was named does not store the subject.
	ErrOtherStream = errors.New("the stream does not store the subject")
	// ErrMirror: the stream that was named has its events from another one alone.
	// It wraps ErrOtherStream.
	ErrMirror error = &kind{"a mirror takes no events", ErrOtherStream}
	// ErrOnlyJetStream: what was asked for is not there on NATS Streaming.
	ErrOnlyJetStream = errors.New("NATS Streaming has no streams")
	// ErrLimit: a limit of the account or stream allows no more streams, consumers or bytes.
	ErrLimit = errors.New("a limit of the account or stream is reached")
	// ErrNeedsMaxBytes: the account wants every stream to have a limit of bytes.
	ErrNeedsMaxBytes = errors.New("the account wants a stream to have a limit of bytes")
	// ErrHung: the server is there and did not answer in time.
	ErrHung = errors.New("the server does not answer")
	// ErrCrowded: the server or the account takes no more clients.
	ErrCrowded = errors.New("no more clients are taken")
	// ErrSubscriptions: the server or the account takes no more subscriptions.
	ErrSubscriptions = errors.New("no more subscriptions are taken")
	// ErrSlowLogIn: the server did not get the log-in in time.
	ErrSlowLogIn = errors.New("the log-in came too late for the server")
	// ErrExpired: the credentials were valid once. It wraps ErrAuth.
	ErrExpired error = &kind{"the credentials are no longer valid", ErrAuth}
	// ErrPort: the port of a NATS server, but not for clients, or not for such ones.
	ErrPort = errors.New("that port is not for clients like this one")
	// ErrHungUp: the server greeted, and closed the connection before it answered
	// to the log-in.
	ErrHungUp = errors.New("the server closed the connection during the log-in, without a word")
	// ErrNoLeader: JetStream is there, and says that it can't answer now, or a
	// stream does not. It wraps ErrHung.
	ErrNoLeader error = &kind{"no leader answers", ErrHung}
	// ErrSilentCluster: asked for a cluster of NATS Streaming, the server says
	// neither that it is there nor that there is none. It wraps ErrHung.
	ErrSilentCluster error = &kind{"it is not known whether there is one", ErrHung}
	// ErrOffline: the servers that store the stream are away, or can't serve it.
	// It wraps ErrHung.
	ErrOffline error = &kind{"it is offline", ErrHung}
	// ErrAuth: the credentials were refused, or don't permit this.
	ErrAuth = errors.New("the server refused the credentials")
	// ErrDenied: the credentials don't permit this. It wraps ErrAuth.
	ErrDenied error = &kind{"the server does not permit it", ErrAuth}
	// ErrTLS: the two sides can't agree on a secure connection.
	ErrTLS = errors.New("no secure connection")
	// ErrClientIDTaken: another live client has that client ID.
	ErrClientIDTaken = errors.New("another live client has that client ID")
	// ErrNoClient: the broker knows no client of that ID.
	ErrNoClient = errors.New("no client of that ID is there")
	// ErrNoPosition: the broker has no durable position of that name.
	ErrNoPosition = errors.New("there is no such durable")
	// ErrChanged: a position is not any more what it was when it was looked at.
	ErrChanged = errors.New("it has changed meanwhile")
	// ErrLost: the session is over: the connection broke, or the broker no longer knows it.
	ErrLost = errors.New("the connection was lost")
	// ErrNotAcked: sent, and not acked in time. The event may be stored.
	ErrNotAcked = errors.New("sent, but not acked in time")
	// ErrGarbled: what the server says is not NATS, or forged or broken.
	ErrGarbled = errors.New("what the server says is not NATS, or broken")
	// ErrRefused: the broker answered that it does not store the event.
	ErrRefused = errors.New("the broker refused it")
	// ErrExpected: the stream is not as a header of the event expects it, so this
	// one was not stored. It wraps ErrRefused.
	ErrExpected error = &kind{"the stream is not as the event's header expects", ErrRefused}
	// ErrSealed: the stream takes no events any more. It wraps ErrRefused.
	ErrSealed error = &kind{"the stream is sealed", ErrRefused}
	// ErrFull: the stream takes no more events; this one was not stored.
	ErrFull = errors.New("the stream takes no more")
	// ErrNoRoom: the account or the server takes no more events. It wraps ErrFull.
	ErrNoRoom error = &kind{"the account or the server has no room for more", ErrFull}
	// ErrTooLarge: larger than the broker takes; it was not sent.
	ErrTooLarge = errors.New("larger than the broker takes")
	// ErrStreamLimit: larger than the stream takes; it was not stored.
	ErrStreamLimit = errors.New("larger than the stream takes")
	// ErrUncertain: answered, and what is stored can't be known. Others go on.
	ErrUncertain = errors.New("it can't be known what is stored")
	// ErrStalled: events that were left unacked fill the max in flight, so that no other comes.
	ErrStalled = errors.New("events left unacked fill the max in flight, so no other comes")
	// ErrUnfinished: the end was reached, and not everything up to it was handled:
	// others hold events, the consumer is paused, or the broker lost some.
	ErrUnfinished = errors.New("not everything up to the end was handled")
	// ErrUntold: the end was reached, as far as it is known here; who could tell
	// whether others hold events does not.
	ErrUntold = errors.New("it is not known whether everything up to the end was handled")
	// ErrOrder: all events are stored, but some behind later ones.
	ErrOrder = errors.New("stored out of order")
	// ErrNotStored: acked, but the stream kept nothing of it.
	ErrNotStored = errors.New("acked, but not stored")
	// ErrOtherEvent: the message ID belongs to another event, so this one was not stored.
	ErrOtherEvent = errors.New("another event was stored under this ID")
	// ErrNeedsGroup: the stream gives its events to a group only.
	ErrNeedsGroup = errors.New("a listener alone can't read them")
	// ErrTaken: the events go to another consumer already.
	ErrTaken = errors.New("they go to another consumer")
	// ErrConsumer: a consumer of that name exists, and can't be used.
	ErrConsumer = errors.New("the consumer does not fit")
	// ErrBlocked: the handler did not come back in time when the listener was to stop.
	ErrBlocked = errors.New("the handler does not come back")
	// ErrName: no legal name for a channel, durable, queue group or client.
	ErrName = errors.New("no legal name")
	// ErrReserved: the subject belongs to the broker itself. It wraps ErrName.
	ErrReserved error = &kind{"no legal name for events", ErrName}
	// ErrConfig: the options can't be used.
	ErrConfig = errors.New("unusable connection settings")
	// ErrURL: a server's URL is none. It wraps ErrConfig.
	ErrURL error = &kind{"unusable connection settings", ErrConfig}
	// ErrFile: a file that an option names can't be read, or holds something else.
	// It wraps ErrConfig.
	ErrFile error = &kind{"unusable connection settings", ErrConfig}
	// ErrContext: the NATS context can't be used. It wraps ErrConfig.
	ErrContext error = &kind{"unusable connection settings", ErrConfig}
)

// Because returns an error with the library's own words, cause, that wraps
// both, and tells [ErrDenied] from [ErrAuth].
func Because(reason, cause error) error {
	if reason == ErrAuth && strings.Contains(strings.ToLower(cause.Error()), "permissions violation") { //nolint:errorlint // not what wraps it
		reason = ErrDenied
	}
	return &Failure{reason, cause}
}

// A Failure is one of the reasons above with the library's own words.
type Failure struct {
	reason error
	Cause  error
}

func (f *Failure) Error() string   { return f.reason.Error() + ": " + f.Cause.Error() }
func (f *Failure) Unwrap() []error { return []error{f.reason, f.Cause} }

// Ended returns why a session is over though its connection did not break. It
// wraps [ErrLost].
func Ended(cause error) error { return &ended{cause} }

type ended struct{ cause error }

func (e *ended) Error() string   { return e.cause.Error() }
func (e *ended) Unwrap() []error { return []error{ErrLost, e.cause} }

// A kind is a reason that is a case of a wider one.
type kind struct {
	text string
	of   error
}

func (k *kind) Error() string { return k.text }
func (k *kind) Unwrap() error { return k.of }
