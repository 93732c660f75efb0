// Package monitor judges how a broker stands: a snapshot of its channels, streams,
// clients and consumers, what changed since the one before, and what is wrong. The
// packages below it read what the brokers say: a folder for each of them, and port
// for a server's monitoring port.
//
// The packages' rule: they only look. Whatever answers may be anything, so every
// read is bounded in bytes and time.
package monitor

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// A Snapshot is the state of a broker's channels or streams at one time, and of
// those who subscribe to them.
type Snapshot struct {
	Time    time.Time `json:"time"`
	Backend string    `json:"backend"`           // "stan" or "jetstream"
	Cluster string    `json:"cluster,omitempty"` // of NATS Streaming: its ID
	Role    string    `json:"role,omitempty"`    // of a clustered NATS Streaming server: Leader, Follower, …
	Clients int       `json:"clients,omitempty"` // of NATS Streaming: that are registered
	Dead    int       `json:"dead,omitempty"`    // of these, those that do not answer any more

	Channels    []*Channel `json:"channels"`        // or streams, by name
	Total       int        `json:"total,omitempty"` // channels of NATS Streaming, also those not asked for
	MaxChannels int        `json:"max_channels,omitempty"`
	Absent      []string   `json:"absent,omitempty"` // asked for, and not there

	// Notes say what could not be looked at.
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

	MaxEvents uint64 `json:"max_events,omitempty"` // 0: no limit
	MaxBytes  uint64 `json:"max_bytes,omitempty"`
	Refuses   bool   `json:"refuses,omitempty"` // when full; else the oldest event is dropped

	Leaderless bool     `json:"leaderless,omitempty"`
	Away       []string `json:"away,omitempty"` // replicas that were not heard of for long

	Rate          float64         `json:"rate"` // events stored per second since the snapshot before
	Subscriptions []*Subscription `json:"subscriptions"`
}

// A Subscription is a position on a channel with all who share it: a queue
// group, a durable, or one listener; on JetStream, a consumer.
type Subscription struct {
	Group    string   `json:"group,omitempty"`
	Durable  string   `json:"durable,omitempty"`
	Consumer string   `json:"consumer,omitempty"` // its name on JetStream
	Filters  []string `json:"filters,omitempty"`  // of a consumer

	Created time.Time `json:"-"`       // of a consumer
	Members []Member  `json:"members"` // as far as they are known

	Delivered uint64 `json:"delivered"` // sequence of the newest event that was sent to a member
	Lag       uint64 `json:"lag"`       // events that were not sent to any member yet
	Missed    uint64 `json:"missed"`    // events that were dropped before they could be sent
	Unacked   int    `json:"unacked"`
	Limit     int    `json:"limit,omitempty"` // of unacked events, for all members together; 0: none
	Waiting   int    `json:"waiting"`         // requests for events that stand at the server, on JetStream

	Stalled bool `json:"stalled"` // one of the members, or all together, can't get more
	Offline bool `json:"offline"` // nobody is there to take events
	Paused  bool `json:"paused,omitempty"`

	AckWait time.Duration `json:"-"`
	// Lost counts unacked events that no answering member holds, on JetStream.
	// LostFor is for how long there were some while AckFloor, the sequence up to
	// which all events are acked, did not move.
	Lost     int           `json:"lost,omitempty"`
	LostFor  time.Duration `json:"-"`
	AckFloor uint64        `json:"ack_floor,omitempty"`
	// GivenUp is the last of the events that were delivered as often as allowed,
	// and not acked, on JetStream; 0 if there are none.
	GivenUp uint64 `json:"given_up,omitempty"`
	Push    bool   `json:"push,omitempty"` // the server sends events without being asked, on JetStream
	// Quiet is for how long nothing was delivered or acked, as far as is known.
	Quiet  time.Duration `json:"-"`
	Rate   float64       `json:"rate"`   // events delivered per second since the snapshot before
	Growth int64         `json:"growth"` // of the lag, since then

	moved     bool // something was delivered or acked since the first snapshot
	lossMoved bool // likewise, since events are lost
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
	// Quiet is for how long it has neither got nor acked an event, SilentFor for
	// how long it has not answered.
	Quiet     time.Duration `json:"-"`
	SilentFor time.Duration `json:"-"`
	// Blocked is for how long nobody has read its output.
	Blocked time.Duration `json:"-"`

	moved bool // it got or acked an event since the first snapshot
}

// Silent reports whether the client was asked, and did not answer.
func (m *Member) Silent() bool { return m.State == Dead || m.State == Hung }

// A State tells whether a client is there.
type State string

// The states of a client.
const (
	Alive   State = "alive"   // it answered
	Dead    State = "dead"    // nobody is at its address any more
	Hung    State = "hung"    // it is there, or cut off, and does not answer
	Gone    State = "gone"    // it left while it was looked at
	Unasked State = "unknown" // it could not be asked
)

// Who names the subscription in a sentence.
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

// Present returns how many clients share the subscription at this moment, as
// far as is known.
func (s *Subscription) Present() int {
	present := 0
	for _, m := range s.Members {
		if m.State != Gone {
			present++
		}
	}
	return max(present, s.Waiting)
}

// full reports whether all members together hold as much as they may, and
// events wait.
func (s *Subscription) full() bool { return s.Limit > 0 && s.Unacked >= s.Limit && s.Lag > 0 }

// Survives reports whether the position outlives its members.
func (s *Subscription) Survives() bool { return s.Durable != "" }

// Wanted reports whether a name is among those asked for: all, if none is. In
// them, * stands for any text.
func Wanted(asked []string, name string) bool {
	flat := strings.NewReplacer("/", "\x00") // which * would stop at
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
