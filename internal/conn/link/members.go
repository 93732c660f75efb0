package link

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// Brokers do not tell clients who shares a group. So listeners answer each other's roll
// calls, on a subject for each shared position.
const rollPrefix = "_LISTEN.members."

// Limits of a roll call. Any client that may publish can answer it.
const (
	RollWait   = 250 * time.Millisecond // a member answers in less than a millisecond
	rollAnswer = 1024                   // bytes
	rollMost   = 10_000                 // members
)

// A Member is a listener's answer to a roll call.
type Member struct {
	Client string `json:"client"`

	// JetStream only: the number of unacked events, their maximum, and the
	// milliseconds since the listener last got or acked an event.
	Held  int   `json:"held"`
	Limit int   `json:"limit"`
	Quiet int64 `json:"quiet"`

	// Blocked is how long its output has not been read, in milliseconds.
	Blocked int64 `json:"blocked,omitempty"`

	Work *broker.Work `json:"work,omitempty"` // a worker's
}

// Tell adds what a worker has to tell. work may be nil.
func (m *Member) Tell(work func() *broker.Work) {
	if work != nil {
		m.Work = work()
	}
}

// bound has no number of an answer, which may be forged, beyond what can be.
func (m *Member) bound() {
	count := func(n *int) { *n = min(max(0, *n), math.MaxInt32) }
	span := func(ms *int64) { *ms = min(max(0, *ms), time.Duration(1<<62).Milliseconds()) }
	count(&m.Held)
	count(&m.Limit)
	span(&m.Quiet)
	span(&m.Blocked)
	if m.Work == nil {
		return
	}
	count(&m.Work.Retries)
	count(&m.Work.Passed)
	count(&m.Work.Dead)
	m.Work.Next = m.Work.Next[:min(len(m.Work.Next), broker.MostRetries)]
	for i := range m.Work.Next {
		count(&m.Work.Next[i].Failed)
		span(&m.Work.Next[i].Wait)
	}
}

// Roll returns the roll call subject of a position. The names that identify it may
// contain any character.
func Roll(names ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	return rollPrefix + hex.EncodeToString(sum[:16])
}

// AnswerRolls answers roll calls on subject until the connection ends. If shared, Members
// calls the roll there. It does no harm if this is not permitted.
func (l *Link) AnswerRolls(subject string, shared bool, fill func(*Member)) {
	if shared {
		l.mu.Lock()
		l.rolls = append(l.rolls, subject)
		l.mu.Unlock()
	}
	// An error means that the connection is gone, which is reported elsewhere.
	_, _ = l.NC.Subscribe(subject, func(call *nats.Msg) {
		defer fault.Exit()
		if !l.Options.IsInbox(call.Reply) {
			return
		}
		if !l.mayAnswer(call.Reply) {
			_ = call.Sub.Unsubscribe()
			return
		}
		m := Member{Client: l.Options.ClientID}
		fill(&m)
		answer, err := json.Marshal(m)
		if err == nil && len(answer) > rollAnswer { // by a long subject
			m.Work = nil
			answer, err = json.Marshal(m)
		}
		if err == nil {
			_ = l.NC.Publish(call.Reply, answer) // the asking client may be gone
		}
	})
}

// mayAnswer reports whether a roll call may be answered, and remembers its reply
// subject: the server reports a missing permission later, by subject only.
func (l *Link) mayAnswer(reply string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.membersDenied {
		return false
	}
	const most = 64
	l.rollReplies = append(l.rollReplies, reply)
	l.rollReplies = l.rollReplies[max(0, len(l.rollReplies)-most):]
	return true
}

// ofRoll reports whether a permissions violation concerns roll calls or advisories,
// without which a listener can go on.
func (l *Link) ofRoll(words string) bool {
	if strings.Contains(words, `"`+rollPrefix) {
		l.rollDenied.Store(true)
		return true
	}
	if strings.Contains(words, `"`+Advisories) {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.rollReplies, func(reply string) bool { return strings.Contains(words, `Publish to "`+reply+`"`) }) {
		l.membersDenied = true
		return true
	}
	return false
}

// Members returns the client IDs of the listeners that share a group with this one. It
// takes a quarter of a second. The error wraps [broker.ErrHung] if not even this
// listener's own answer arrives, as then nothing follows from the silence of others.
func (l *Link) Members(ctx context.Context) ([]string, error) {
	l.mu.Lock()
	subjects, mute := l.rolls, l.membersDenied
	l.mu.Unlock()
	self := l.Options.ClientID
	if mute {
		self = ""
	}
	found, err := l.CallRoll(ctx, subjects, self)
	if err != nil {
		return nil, err
	}
	ids := []string{l.Options.ClientID}
	for _, members := range found {
		for _, m := range members {
			ids = append(ids, m.Client)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// awaitOwn waits, up to the time-out, for the client's own answer to its roll call. None
// arrives if the call is not permitted.
func (l *Link) awaitOwn(ctx context.Context, own <-chan struct{}) error {
	for begin := time.Now(); !closed(own); {
		if time.Since(begin) >= l.Options.Timeout {
			return broker.Because(broker.ErrHung, errors.New("no member answers, not even this one"))
		}
		err := l.await(ctx, own, RollWait)
		if err == nil {
			err = l.rollError()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// await waits until done is closed, or for limit.
func (l *Link) await(ctx context.Context, done <-chan struct{}, limit time.Duration) error {
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	case <-l.lost:
		return l.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

func closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func (l *Link) rollError() error {
	if l.rollDenied.Load() {
		return broker.Because(broker.ErrDenied, errors.New("roll calls"))
	}
	return nil
}

// CallRoll calls the roll on each of subjects. If self is not "", that client answers on
// each subject, too, and the call waits for those answers before it waits for others.
func (l *Link) CallRoll(ctx context.Context, subjects []string, self string) ([][]Member, error) {
	if err := l.rollError(); err != nil {
		return nil, err
	}
	replies := l.Options.NewInbox()
	var mu sync.Mutex
	found, heard, empty := make([][]Member, len(subjects)), 0, make(map[int]bool)
	waiting := make(map[int]bool) // for the answers of self
	if self != "" {
		for n := range subjects {
			waiting[n] = true
		}
	}
	done, own := make(chan struct{}), make(chan struct{})
	sub, err := l.NC.Subscribe(replies+".*", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		defer fault.Exit()
		n, err := strconv.Atoi(m.Subject[len(replies)+1:])
		if err != nil || n < 0 || n >= len(found) || heard == rollMost {
			return
		}
		if m.Header.Get("Status") == "503" {
			if before := len(empty); before < len(found) {
				if empty[n] = true; before+1 == len(empty) && len(empty) == len(found) {
					close(done)
				}
			}
			return
		}
		var member Member
		if len(m.Data) > rollAnswer || json.Unmarshal(m.Data, &member) != nil || broker.CheckClientID(member.Client) != nil {
			return
		}
		member.bound()
		heard++
		found[n] = append(found[n], member)
		if member.Client == self && waiting[n] {
			if delete(waiting, n); len(waiting) == 0 {
				close(own)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("asking the group's members: %w", broker.Because(broker.ErrLost, err))
	}
	_ = sub.SetPendingLimits(-1, -1) // rollMost bounds what is kept
	defer func() { _ = sub.Unsubscribe() }()
	for n, subject := range subjects {
		if err := l.NC.PublishRequest(subject, fmt.Sprintf("%s.%d", replies, n), nil); err != nil {
			return nil, fmt.Errorf("asking the group's members: %w", broker.Because(broker.ErrLost, err))
		}
	}
	begin, err := time.Now(), error(nil)
	if len(subjects) > 0 && self != "" {
		err = l.awaitOwn(ctx, own)
	} else {
		err = l.settle(ctx)
	}
	if err == nil {
		err = l.await(ctx, done, max(RollWait, 3*time.Since(begin))) // answers take longer over a slow link
	}
	if err == nil && closed(done) { // the 503s may be forged, so wait for real answers all the same
		err = l.await(ctx, nil, max(RollWait/5, 2*time.Since(begin)))
	}
	if err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	result := found
	found = nil // later answers are dropped
	return result, l.rollError()
}

// settle waits until the server has processed the published messages.
func (l *Link) settle(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, l.Options.Timeout)
	defer stop()
	if err := l.NC.FlushWithContext(ctx); err != nil {
		if l.Err() != nil {
			return l.Err()
		}
		return fmt.Errorf("asking the group's members: %w", broker.Because(broker.ErrLost, cmp.Or(context.Cause(ctx), err)))
	}
	return nil
}

// Advisories is the prefix of the subjects on which JetStream publishes events about
// its streams and consumers.
const Advisories = "$JS.EVENT.ADVISORY."
