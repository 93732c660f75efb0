// Package monitor assesses the state of a broker: it holds a snapshot of channels, streams,
// clients and consumers, compares it with earlier ones, and returns findings. The packages
// below it take the snapshots: streaming and jetstream, with port for monitoring ports.
//
// The packages' rule: they read only. Nothing in an answer is trusted, so every read is
// limited in bytes and time.
package monitor

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// A Snapshot is the state of a broker's channels or streams, and of their subscriptions,
// at one time.
type Snapshot struct {
	Time    time.Time `json:"time"`
	Backend string    `json:"backend"`           // "stan" or "jetstream"
	Cluster string    `json:"cluster,omitempty"` // NATS Streaming: cluster ID
	Role    string    `json:"role,omitempty"`    // clustered NATS Streaming: Leader, Follower, …
	Clients int       `json:"clients,omitempty"` // NATS Streaming: number of registered clients
	Dead    int       `json:"dead,omitempty"`    // of these, those that no longer answer

	Channels    []*Channel `json:"channels"`        // or streams, sorted by name
	Total       int        `json:"total,omitempty"` // NATS Streaming: number of all channels, including those not asked for
	MaxChannels int        `json:"max_channels,omitempty"`
	Absent      []string   `json:"absent,omitempty"` // names asked for that do not exist

	// Notes say which parts could not be read.
	Notes []string `json:"notes,omitempty"`
}

// A Channel is one channel of NATS Streaming, or one stream of JetStream.
type Channel struct {
	Name     string   `json:"name"`
	Subjects []string `json:"subjects,omitempty"` // of a stream
	Events   uint64   `json:"events"`
	Bytes    uint64   `json:"bytes"`
	First    uint64   `json:"first"` // sequence of the oldest event, 0 for none
	Last     uint64   `json:"last"`

	MaxEvents uint64 `json:"max_events,omitempty"` // 0 for no limit
	MaxBytes  uint64 `json:"max_bytes,omitempty"`
	Refuses   bool   `json:"refuses,omitempty"` // new events are refused when full; else the oldest is dropped

	Leaderless bool     `json:"leaderless,omitempty"`
	Away       []string `json:"away,omitempty"` // replicas that are offline or have been silent for long

	Rate          float64         `json:"rate"` // events stored per second since the previous snapshot
	Subscriptions []*Subscription `json:"subscriptions"`
}

// A Subscription is a position on a channel with all who share it: a queue group, a
// durable, a single subscription; on JetStream, a consumer.
type Subscription struct {
	Group    string   `json:"group,omitempty"`
	Durable  string   `json:"durable,omitempty"`
	Consumer string   `json:"consumer,omitempty"` // JetStream: consumer name
	Filters  []string `json:"filters,omitempty"`  // JetStream: filter subjects

	Created time.Time `json:"-"`       // JetStream
	Members []Member  `json:"members"` // those that are known

	Delivered uint64 `json:"delivered"` // sequence of the newest delivered event
	Lag       uint64 `json:"lag"`       // number of events not delivered to any member yet
	Missed    uint64 `json:"missed"`    // number of events dropped before they were delivered
	Unacked   int    `json:"unacked"`
	Limit     int    `json:"limit,omitempty"` // maximum of Unacked, for all members together; 0 for none
	Waiting   int    `json:"waiting"`         // JetStream: number of open pull requests

	Stalled bool `json:"stalled"` // a member, or all together, have their maximum of unacked events
	Offline bool `json:"offline"` // no member is there
	Paused  bool `json:"paused,omitempty"`

	AckWait time.Duration `json:"-"`
	// JetStream: Lost is the number of unacked events that no answering member
	// holds. LostFor is how long there have been some while AckFloor, the sequence up
	// to which all events are acked, did not move.
	Lost     int           `json:"lost,omitempty"`
	LostFor  time.Duration `json:"-"`
	AckFloor uint64        `json:"ack_floor,omitempty"`
	// JetStream: GivenUp is the sequence of the last event that reached the limit of
	// deliveries without an ack; 0 if there is none.
	GivenUp uint64 `json:"given_up,omitempty"`
	Push    bool   `json:"push,omitempty"` // JetStream: push consumer
	// Quiet is how long nothing has been delivered or acked, as far as is known.
	Quiet  time.Duration `json:"-"`
	Rate   float64       `json:"rate"`   // events delivered per second since the previous snapshot
	Growth int64         `json:"growth"` // change of Lag since then

	moved     bool // an event was delivered or acked since the first snapshot
	lossMoved bool // the same, since events were lost
}

// A Member is one client that shares a subscription.
type Member struct {
	Client      string `json:"client"`
	State       State  `json:"state"`
	Delivered   uint64 `json:"delivered,omitempty"`
	Unacked     int    `json:"unacked"`
	MaxInFlight int    `json:"max_in_flight"`
	Stalled     bool   `json:"stalled"`

	AckWait time.Duration `json:"-"`
	// Quiet is how long it has neither received nor acked an event, SilentFor how
	// long it has not answered.
	Quiet     time.Duration `json:"-"`
	SilentFor time.Duration `json:"-"`
	// Blocked is how long its output has not been read.
	Blocked time.Duration `json:"-"`
	// Work is what it tells of its handlers, if it runs some.
	Work *Work `json:"work,omitempty"`

	moved bool // it received or acked an event since the first snapshot
}

// Work is what a worker tells: a listener that runs a handler for each event.
type Work struct {
	Retries     int     `json:"retries"`                       // number of failed events whose next run is still to come
	Passed      int     `json:"-"`                             // of these, those that wait at the broker
	Next        []Retry `json:"next,omitempty"`                // a few of them, that of the soonest run first
	DeadLetters int     `json:"dead_letters"`                  // stored since it began
	Letters     string  `json:"dead_letter_subject,omitempty"` // where
}

// A Retry is a failed event that is to be run again.
type Retry struct {
	Sequence uint64        `json:"sequence"`
	Failed   int           `json:"failed"` // number of runs
	Wait     time.Duration `json:"-"`      // until the next one
}

// Silent reports whether the client was asked and did not answer.
func (m *Member) Silent() bool { return m.State == Dead || m.State == Hung }

// A State says whether a client is alive.
type State string

// The states of a client.
const (
	Alive   State = "alive"   // it answered
	Dead    State = "dead"    // nothing subscribes to its heartbeat inbox any more
	Hung    State = "hung"    // it is subscribed or was cut off, but does not answer
	Gone    State = "gone"    // it left meanwhile
	Unasked State = "unknown" // it could not be asked
)

// Who names the subscription for a sentence.
func (s *Subscription) Who() string {
	switch {
	case s.Group != "":
		return "group " + s.Group
	case s.Durable == "" && len(s.Members) == 1:
		return "client " + s.Members[0].Client
	case s.Consumer != "":
		return "consumer " + s.Consumer
	case s.Durable != "" && len(s.Members) > 0:
		return fmt.Sprintf("durable %s of %s", s.Durable, s.Members[0].Client)
	case s.Durable != "":
		return "durable " + s.Durable
	}
	return "a subscription"
}

// Present returns how many clients share the subscription now, as far as is known.
func (s *Subscription) Present() int {
	present := 0
	for _, m := range s.Members {
		if m.State != Gone {
			present++
		}
	}
	return max(present, s.Waiting)
}

// full reports whether the members together hold their maximum of unacked events, and more
// events wait.
func (s *Subscription) full() bool { return s.Limit > 0 && s.Unacked >= s.Limit && s.Lag > 0 }

// Survives reports whether the position outlives its members.
func (s *Subscription) Survives() bool { return s.Durable != "" }

// Wanted reports whether name matches one of asked, in which * stands for any text. It is
// true if asked is empty.
func Wanted(asked []string, name string) bool {
	flat := strings.NewReplacer("/", "\x00") // * of path.Match does not match a slash
	for _, a := range asked {
		if !strings.Contains(a, "*") {
			if a == name {
				return true
			}
		} else if ok, err := path.Match(flat.Replace(a), flat.Replace(name)); ok && err == nil {
			return true
		}
	}
	return len(asked) == 0
}
