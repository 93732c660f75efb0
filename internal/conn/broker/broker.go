// Package broker is the contract between package conn and its backends: the Session
// interface, events and messages, errors, and the rules for names. It knows no backend.
package broker

import (
	"context"
	"time"
)

// A Session is one client's connection to a broker, from connect to close. Every
// backend implements it; [conn.Publisher] and [conn.Listener] are built on it.
//
// Its methods may be called from several goroutines. After Close, or once the
// underlying connection is lost, they return an error that wraps [ErrLost].
type Session interface {
	// Publish sends one event and does not wait for its ack. It blocks while the
	// window of unacked events is full, and while a broken connection is being
	// restored, so that no event overtakes one whose outcome is unknown; ctx may
	// interrupt that. The event must not be modified until it was acked.
	//
	// After an event was refused or given up, the session sends no more events. An
	// error that wraps [ErrUncertain] does not count as one of these.
	//
	// If Publish returns an error, nothing was sent. Otherwise done is called
	// exactly once, from a goroutine of the session: with nil after the broker
	// stored the event, with [ErrNotAcked] if no ack came in time or the session
	// ended first (the event may be stored all the same), or with the broker's
	// refusal. done must not block.
	Publish(ctx context.Context, e Event, done func(Receipt, error)) error

	// Subscribe subscribes to several subjects. If the broker does not store all of
	// them, it subscribes to none: the error names the missing ones and wraps
	// [ErrNoStream]. On any other error it returns the places of those that were
	// subscribed, the first of subs, whose events may already arrive. The broker
	// sends at most MaxInFlight unacked events for each.
	Subscribe(ctx context.Context, subs []Subscription) ([]Place, error)

	// Newest returns the last sequence of the channel or stream that stores subject.
	Newest(ctx context.Context, subject string) (Mark, error)

	// Find returns the sequence and time of the first event on subject whose
	// sequence is at least from, or of the newest event if from is 0. It returns
	// the zero Mark if there is none. A lagging replica never answers.
	Find(ctx context.Context, subject string, from uint64) (Mark, error)

	// Rest returns what remains of a subscription of this session. No event before
	// from is missing any more. The error wraps [ErrUntold] if the broker answers
	// but does not have the information.
	Rest(ctx context.Context, s Subscription, from uint64) (Rest, error)

	// Drain requests no more events, and waits up to limit for received events to
	// be delivered. It does nothing where the broker pushes events.
	Drain(limit time.Duration)

	// Close closes all subscriptions, keeping their durable positions, and ends the
	// session. Acks sent before count. An error means that the broker did not
	// confirm: events that were in flight here are then redelivered only after the
	// server's heartbeats have failed.
	Close() error
}

// Traits describe how backends differ for the callers of a session. Nothing else
// may depend on the kind of broker.
type Traits struct {
	// MessageIDs: events have headers and an ID by which repeats are detected.
	MessageIDs bool
	// Streams: events are stored in named streams, which may hold several subjects.
	Streams bool
	// LoneAcks: a listener without group or durable acks, too.
	LoneAcks bool
	// ExtendsWait: the session extends the ack wait while an event is handled.
	ExtendsWait bool
	// Naks: an event can be given back while the session goes on, to come again at
	// once or after a delay.
	Naks bool
	// Gapless: a session ends as soon as an event is missing.
	Gapless bool
	// PlacesNew: a Place has the sequence after which new events begin.
	PlacesNew bool
	// AckFloor: the broker reports the sequence up to which every event was acked.
	AckFloor bool
	// DearRest: Rest needs a subscription of its own for a listener without group
	// or durable.
	DearRest bool
	// Clients: the broker knows its clients and the unacked events of each, and its
	// monitoring port lists them.
	Clients bool
}

// A Mark is the position of a stored event.
type Mark struct {
	Sequence uint64    // 0 for none
	Time     time.Time // when it was stored; may be missing in the answer of Newest
	Origin
}

// An Origin is the stream that events are stored in. A stream that was deleted and
// created again is a different one.
type Origin struct {
	Stream string    // "" where each subject has a channel of its own
	Since  time.Time // creation time, zero if unknown
}

// Told reports whether the mark comes from the stream itself: a stream that may not
// be looked at is known by name only.
func (m Mark) Told() bool { return m.Stream == "" || !m.Since.IsZero() }

// A Backend names a kind of broker.
type Backend string

// The backends. Auto asks the server which one it has.
const (
	Auto      Backend = "auto"
	STAN      Backend = "stan"
	JetStream Backend = "jetstream"
)

// An Event is an event to publish. NATS Streaming carries neither ID nor headers.
type Event struct {
	Subject string
	Data    []byte
	// ID is the message ID by which JetStream detects a repeat; default random.
	ID     string
	Header map[string][]string
}

// A Receipt is the broker's answer for an event that it stored.
type Receipt struct {
	ID string // the message ID that the event was sent under

	// JetStream only. Duplicate: the event had been stored before.
	Stream    string
	Sequence  uint64
	Duplicate bool
}

// A Place describes a subscription as the broker set it up. For NATS Streaming,
// only the subject is set.
type Place struct {
	Subject string
	Origin
	Consumer string // "" without group and durable
	Resumed  bool   // the consumer existed already
	Position uint64 // the sequence after which delivery starts, if known

	AckWait     time.Duration // of the consumer, which may differ from the one requested
	MaxInFlight int           // likewise, of this session's subscription

	Notes []string // how the stream's settings restrict listeners, in sentences
}

// A Subscription describes a subscription to one subject.
type Subscription struct {
	Subject string
	Group   string // queue group; "" for none
	Durable string // name of the durable position; "" for none
	Start   Start  // where a new subscription starts; an existing durable ignores it

	AckWait     time.Duration // redelivery after this long without an ack; whole seconds, at least 1s
	MaxInFlight int           // maximum of unacked events, at least 1

	// Size is the approximate size of an event in bytes, 0 if unknown. Where the
	// broker limits only the number of events, fewer large ones are requested.
	Size int

	// Earlier is the state that earlier sessions of the listener left at the
	// broker. Each session takes it over and updates it. It may be nil.
	Earlier *Earlier

	// Open are deliveries to earlier sessions whose events are still being handled.
	// A session that can go on with one gives Resume its new Acker. Where the broker
	// takes an ack in the session of the delivery alone, another delivery comes.
	Open []Open

	// GaveUp is called when the broker gives up an event that was delivered as
	// often as its consumer allows without an ack. It may be nil.
	GaveUp func(sequence uint64, deliveries int)

	// Blocked returns how long the handler has been waiting for its output to be
	// read. The ack wait is not extended meanwhile. It may be nil.
	Blocked func() time.Duration

	// Work returns what a worker has to tell of the subject. It must not take a lock
	// under which an event is acked. It may be nil.
	Work func() *Work

	// Deliver is called for one event after the other, from one goroutine, possibly
	// before Subscribe returns. more announces another call: with the next event,
	// which is already there, or with nil if there is none after all. It returns
	// false to leave the event unacked. The message is reused, its Data is not.
	Deliver func(m *Message, more bool) bool
}

// Work is what a worker tells of its events of a subject.
type Work struct {
	Retries int     `json:"retries"`           // failed events whose next run is still to come
	Passed  int     `json:"passed"`            // of these, those that the broker was told to deliver then
	Next    []Retry `json:"next,omitempty"`    // those that come first, at most [MostRetries]
	Dead    int     `json:"dead"`              // dead letters that it stored
	Letters string  `json:"letters,omitempty"` // their subject
}

// MostRetries is how many failed events a worker tells one by one.
const MostRetries = 3

// A Retry is a failed event that is to be run again.
type Retry struct {
	Sequence uint64 `json:"sequence"`
	Failed   int    `json:"failed"`  // runs
	Wait     int64  `json:"wait_ms"` // until the next one, in milliseconds
}

// Earlier is the state that a listener's sessions left at the broker when their
// connection broke: the ack subjects of events that were delivered to them.
type Earlier struct {
	Acked []string  // handled; their acks may be lost
	Held  []string  // not handled
	Alone [2]string // stream and name of the consumer, without group and durable
}

// An Open is a delivery to an earlier session whose event is still being handled.
type Open struct {
	Acker  Acker
	Resume func(Acker)
}

// A Rest is what remains of a subscription; for a group or durable, of the position
// that its members share.
type Rest struct {
	Waiting   uint64    // events not delivered to any member yet, if the broker counts them
	Next      uint64    // sequence of the first of them; 0 if unknown
	Behind    uint64    // sequence of an undelivered event though Waiting is 0; else 0
	Unacked   uint64    // events delivered and not acked, by all members
	Here      uint64    // of Unacked, those sent to this session, if known
	Through   uint64    // every event up to this sequence was acked; 0 if unknown
	Sent      uint64    // sequence of the newest delivered event
	Delivered uint64    // number of deliveries, if the broker counts them
	Limit     uint64    // maximum of Unacked, for all members together; 0 for none
	Paused    time.Time // end of a pause in delivery; zero if not paused
}

// A Message is one delivery of an event.
type Message struct {
	Subject    string
	Sequence   uint64
	Time       time.Time // when the broker stored the event
	Data       []byte
	Deliveries int  // 1 for the first delivery
	Newest     bool // it was the newest stored event when it was delivered

	Acker Acker
}

// An Acker settles one delivery. Its methods may be called by any goroutine.
type Acker interface {
	Ack() error // acks the event
	Leave()     // leaves it unacked, to be redelivered after the ack wait

	// Nak gives the event back, to be redelivered after a delay, or at once if that
	// is 0. It needs [Traits.Naks].
	Nak(after time.Duration) error

	// Drop forgets the delivery without a word to the broker.
	Drop()

	// Details returns further properties of the event.
	Details() Details
}

// Details are the properties of an event that NATS Streaming does not have.
type Details struct {
	Stream   string
	Consumer string
	ID       string              // its message ID, "" for none
	Header   map[string][]string // must not be changed
}

// A Seen is the state in which a JetStream consumer was found.
type Seen struct {
	Stream, Consumer string
	Created          time.Time
	Delivered        uint64 // sequence in the stream
}
