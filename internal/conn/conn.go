// Package conn is one connection to a broker: how it is reached, what it is
// called there, how events are put on it and taken from it, and what happens
// when it is lost or closed.
//
// The package's rule: it moves (subject, bytes) and never looks into the
// bytes. What was acked is stored, what was handled is acked, and a durable
// position is closed, never unsubscribed.
package conn

import (
	"context"
	"time"
)

// A Session is one client's stay with a broker, from connect to close: the
// interface that every backend implements. Everything that holds for all
// brokers is built on top of it, in [Publisher] and [Listener].
//
// Its methods may be called by several goroutines. After Close, or once Lost
// is closed, they return an error that wraps [ErrLost].
type Session interface {
	// Publish hands one event to the broker and does not wait for it to be
	// stored. It blocks while the session's window of unanswered events is
	// full. The event must not be changed before it was answered.
	//
	// Unless Publish returns an error, in which case nothing was sent, done
	// is called exactly once, from a goroutine of the session: with nil after
	// the broker stored the event, with [ErrNotAcked] when no answer came in
	// time or the session ended first (the event may be stored all the same),
	// or with the broker's refusal. done must not block.
	Publish(e Event, done func(Receipt, error)) error

	// Backend tells which kind of broker this is.
	Backend() Backend

	// Broken reports whether the connection broke since the last Mend: what
	// was in flight then may never be answered. Mend waits until the broker
	// answers again, at most the session's time-out. A session that can repeat
	// an event without storing it twice mends itself, and is never broken.
	Broken() bool
	Mend(ctx context.Context) error

	// Covered returns an error that wraps [ErrNoStream] if the broker stores
	// no events of one of these subjects, nor would.
	Covered(ctx context.Context, subjects []string) error

	// Subscribe asks for the events of one subject. deliver is called by one
	// goroutine a subscription, one event after the other, possibly before
	// Subscribe returns; more tells that the next one is already there, or that
	// deliver is called with nil, as there is none after all. It
	// returns false to leave the event to others. The message is reused, its
	// Data is not. The broker sends no more than MaxInFlight events beyond
	// those that were acked.
	Subscribe(ctx context.Context, s Subscription, deliver func(m *Message, more bool) bool) (Place, error)

	// Members returns the client IDs of those that share a group with this
	// session, by name, itself among them: of those that answer its roll call,
	// which listeners of this package do.
	Members(ctx context.Context) ([]string, error)

	// Drain asks for no more events, and waits, at most so long, until those
	// that have come were delivered. Where the broker decides itself what it
	// sends, it does nothing.
	Drain(limit time.Duration)

	// Find returns the first event stored on subject whose sequence is at least
	// from, or the newest one if from is 0: its sequence and time, or a sequence
	// of 0 where there is none. The answer is never that of a replica that lags.
	Find(ctx context.Context, subject string, from uint64) (sequence uint64, at time.Time, err error)

	// End returns the sequence of the newest event that is stored where the
	// events of subject are, 0 where that can't be told.
	End(ctx context.Context, subject string) (sequence uint64, err error)

	// Rest tells what is left of a subscription of this session, in which the
	// first event not seen yet is from, or a later one. The error wraps
	// [ErrUntold] if the broker answers, but does not tell.
	Rest(ctx context.Context, s Subscription, from uint64) (Rest, error)

	// Alive makes one round trip to the broker that stores events (not merely
	// to the server that carries them).
	Alive(ctx context.Context) error

	// MaxPayload is the largest data in bytes that the broker takes for an
	// event of subject without an ID and headers of its own.
	MaxPayload(subject string) int

	// Others returns the URLs of further servers of the cluster, which those
	// given told of, separated by commas. They may hold secrets.
	Others() string

	// Origin returns where the broker stores the events of subject, and since
	// when: the zero Origin if it can't tell.
	Origin(ctx context.Context, subject string) (Origin, error)

	// Lost is closed when the session has ended other than by Close: a
	// reconnect can't bring it back. Err then tells why.
	Lost() <-chan struct{}
	Err() error

	// Close gives up all subscriptions, keeping their durable positions, and
	// ends the session. Acks sent before are honoured. The error says that
	// the broker did not confirm; it may take until the server's heartbeats
	// fail before others get what was in flight here.
	Close() error
}

// A Backend is a kind of broker.
type Backend string

// The backends. Auto asks the server which it is.
const (
	Auto      Backend = "auto"
	STAN      Backend = "stan"
	JetStream Backend = "jetstream"
)

// An Event is what is published. NATS Streaming carries no ID and no headers.
type Event struct {
	Subject string
	Data    []byte
	// ID is the message ID by which JetStream knows a repeat; default random.
	ID     string
	Header map[string][]string
}

// A Receipt is what a broker tells of an event that it stored.
type Receipt struct {
	ID string // the message ID that the event was sent under

	// Of JetStream alone: where it is, and whether it had been there before.
	Stream    string
	Sequence  uint64
	Duplicate bool
}

// An Origin is where events are stored. One that was made anew is another.
type Origin struct {
	Stream string
	Since  time.Time
}

// A Place tells what a subscription became at the broker. NATS Streaming
// tells nothing but the subject.
type Place struct {
	Subject  string
	Stream   string
	Consumer string // "" for one of this listener alone
	Resumed  bool   // the consumer had been there before
	Position uint64 // the sequence after which it begins or goes on, where that is known

	AckWait     time.Duration // of the consumer, which may differ from what was asked for
	MaxInFlight int           // likewise, of this session's subscription

	Notes []string // what the stream's settings take away, in sentences
}

// A Subscription says which events of a subject are wanted.
type Subscription struct {
	Subject string
	Group   string // queue group; "" for none
	Durable string // name of the position that survives; "" for none
	Start   Start  // where a new subscription begins; ignored by a durable that exists

	AckWait     time.Duration // redelivery after this long without an ack; whole seconds, at least 1s
	MaxInFlight int           // unacked events held at one time, at least 1

	// Size is how large an event is, about, in bytes; 0 where that is not known.
	// Where the broker counts events alone, fewer large ones are asked for.
	Size int

	// Earlier is what the sessions before this one left at the broker; each
	// session takes it over, and notes there what it leaves. nil for nothing.
	Earlier *Earlier

	// GaveUp is called when the broker gives up an event that was delivered as
	// often as its consumer allows, and not acked by anybody. nil for nobody.
	GaveUp func(sequence uint64, deliveries int)

	// Blocked returns for how long the handler has waited for its reader: such
	// a wait is no work. nil for never.
	Blocked func() time.Duration
}

// A Message is one delivery of an event.
type Message struct {
	Subject    string
	Sequence   uint64
	Time       time.Time // when the broker stored the event
	Data       []byte
	Deliveries int  // 1 for the first delivery; later ones count up
	Newest     bool // the broker says that none was stored behind it

	acker acker
}

// An acker tells the broker what became of one delivery.
type acker interface {
	Ack() error // it was handled
	Leave()     // it stays unacked, to be delivered again after the ack wait
}
