// Package broker is the contract of a backend: the session that each implements,
// what goes through it, the reasons for which it fails, and the names that are
// legal. It knows no backend.
package broker

import (
	"context"
	"time"
)

// A Session is one client's stay with a broker, from connect to close: the
// interface that every backend implements. Everything that holds for all
// brokers is built on top of it, in [conn.Publisher] and [conn.Listener].
//
// Its methods may be called by several goroutines. After Close, or once the
// connection under it is lost, they return an error that wraps [ErrLost].
type Session interface {
	// Publish hands one event to the broker and does not wait for it to be
	// stored. It blocks while the session's window of unanswered events is full,
	// and while a broken connection is mended, which ctx may interrupt: so no
	// event overtakes one that is in doubt. The event must not be changed before
	// it was answered.
	//
	// Once an event was refused, or given up, this session sends none any more. A
	// doubt that wraps [ErrUncertain] is no such failure.
	//
	// Unless Publish returns an error, in which case nothing was sent, done
	// is called exactly once, from a goroutine of the session: with nil after
	// the broker stored the event, with [ErrNotAcked] when no answer came in
	// time or the session ended first (the event may be stored all the same),
	// or with the broker's refusal. done must not block.
	Publish(ctx context.Context, e Event, done func(Receipt, error)) error

	// Subscribe asks for the events of several subjects. If the broker stores
	// none of some of them, nor would, it asks for nothing: the error names them
	// all and wraps [ErrNoStream]. With another error it returns the places of
	// those, the first of subs, of which events may come already. The broker
	// sends no more than MaxInFlight events of each beyond those that were acked.
	Subscribe(ctx context.Context, subs []Subscription) ([]Place, error)

	// Newest returns the end of where the events of subject are stored now.
	Newest(ctx context.Context, subject string) (Mark, error)

	// Find returns the first event stored on subject whose sequence is at least
	// from, or the newest one if from is 0: its sequence and time, or the zero
	// Mark where there is none. The answer is never that of a replica that lags.
	Find(ctx context.Context, subject string, from uint64) (Mark, error)

	// Rest returns what is left of a subscription of this session, in which the
	// first event not seen yet is from, or a later one. The error wraps
	// [ErrUntold] if the broker answers, but does not tell.
	Rest(ctx context.Context, s Subscription, from uint64) (Rest, error)

	// Drain asks for no more events, and waits up to limit for received events
	// to be delivered. Where the broker decides itself what it sends, it does
	// nothing.
	Drain(limit time.Duration)

	// Close gives up all subscriptions, keeping their durable positions, and
	// ends the session. Acks sent before are honoured. The error says that
	// the broker did not confirm; it may take until the server's heartbeats
	// fail before others get what was in flight here.
	Close() error
}

// Traits describe how brokers differ for callers of a session. Nothing
// else may depend on which broker it is.
type Traits struct {
	// MessageIDs: events carry an ID, by which a repeat is known, and headers.
	MessageIDs bool
	// Streams: events of several subjects may share a stream, which has a name.
	Streams bool
	// LoneAcks: a listener that shares its position with nobody acks, too.
	LoneAcks bool
	// ExtendsWait: the session extends the ack wait of what is being handled.
	ExtendsWait bool
	// Gapless: a session in which an event is missing ends.
	Gapless bool
	// PlacesNew: a Place has the position at which new events begin.
	PlacesNew bool
	// AckFloor: the broker tells up to where every event was acked.
	AckFloor bool
	// DearRest: Rest is a subscription, for a listener that shares its position
	// with nobody.
	DearRest bool
	// Clients: the broker knows its clients, and what each holds; its monitoring
	// port names them.
	Clients bool
}

// A Mark is an event that is stored, and where.
type Mark struct {
	Sequence uint64    // 0 for none
	Time     time.Time // when it was stored; of Newest, not every broker tells
	Origin
}

// An Origin is where events are stored. One that was made anew is another.
type Origin struct {
	Stream string    // "" where the subject says it
	Since  time.Time // the zero time where that is not told
}

// Told reports whether what the mark says is what is there: a stream may have
// been named, and not looked at.
func (m Mark) Told() bool { return m.Stream == "" || !m.Since.IsZero() }

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

// A Place tells what a subscription became at the broker. NATS Streaming
// tells nothing but the subject.
type Place struct {
	Subject string
	Origin
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

	// Deliver takes the events, one after the other, by one goroutine, possibly
	// before Subscribe returns; more tells that the next one is already there, or
	// that Deliver is called with nil, as there is none after all. It returns
	// false to leave the event to others. The message is reused, its Data is not.
	Deliver func(m *Message, more bool) bool
}

// Earlier is what the sessions of a listener left at the broker when their
// connection broke: where the server waits for the acks of events that came.
type Earlier struct {
	Acked []string  // handled; the ack may not have arrived
	Held  []string  // not handled
	Alone [2]string // stream and name of the consumer of a listener alone
}

// A Rest is what a broker still has of a subscription: for a group or durable,
// of the position that its members share.
type Rest struct {
	Waiting   uint64    // events not delivered to anybody yet, as far as the broker counts them
	Next      uint64    // sequence of the first of them; 0 where the broker does not tell
	Behind    uint64    // sequence of an event that was not delivered, where the broker counts none; else 0
	Unacked   uint64    // events delivered and not acked, whoever holds them
	Here      uint64    // of Unacked, those sent to this session, as far as is known
	Through   uint64    // every event up to this sequence was acked; 0 where the broker does not tell
	Sent      uint64    // sequence of the newest event that was delivered
	Delivered uint64    // deliveries so far, where the broker counts them
	Limit     uint64    // of Unacked, for all members together; 0 for none
	Paused    time.Time // until then nothing is delivered; the zero time if it is
}

// A Message is one delivery of an event.
type Message struct {
	Subject    string
	Sequence   uint64
	Time       time.Time // when the broker stored the event
	Data       []byte
	Deliveries int  // 1 for the first delivery; later ones count up
	Newest     bool // the broker says that none was stored behind it

	Acker Acker
}

// An Acker tells the broker what became of one delivery.
type Acker interface {
	Ack() error // it was handled
	Leave()     // it stays unacked, to be delivered again after the ack wait
}

// A Seen is a consumer of JetStream as it was looked at.
type Seen struct {
	Stream, Consumer string
	Created          time.Time
	Delivered        uint64 // sequence in the stream
}
