package link

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// No broker tells on its own port who shares a group: members of this package
// therefore answer each other, on a subject for each position that is shared.
const rollPrefix = "_LISTEN.members."

// Limits of a roll call: answers come from whoever may publish.
const (
	RollWait   = 250 * time.Millisecond // a member answers in less than a millisecond
	rollAnswer = 1024                   // bytes
	rollMost   = 10_000                 // members
)

// A Member is one listener that answers a roll call.
type Member struct {
	Client string `json:"client"`

	// Of JetStream: how many events it holds unacked, how many at most, and for
	// how many milliseconds it has neither got nor acked one.
	Held  int   `json:"held"`
	Limit int   `json:"limit"`
	Quiet int64 `json:"quiet"`

	// Blocked is for how many milliseconds its output has not been read.
	Blocked int64 `json:"blocked,omitempty"`
}

// Roll returns the subject of a position's roll calls. The names that make it
// up may hold anything.
func Roll(names ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	return rollPrefix + hex.EncodeToString(sum[:16])
}

// AnswerRolls answers roll calls on subject until the connection ends, and has
// [link.Members] call them where the position is shared. That this is not
// permitted does no harm.
func (l *Link) AnswerRolls(subject string, shared bool, fill func(*Member)) {
	if shared {
		l.mu.Lock()
		l.rolls = append(l.rolls, subject)
		l.mu.Unlock()
	}
	// An error says that the connection is gone, which is told elsewhere.
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
		if fill != nil {
			fill(&m)
		}
		if answer, err := json.Marshal(m); err == nil {
			_ = l.NC.Publish(call.Reply, answer) // who asked may be gone
		}
	})
}

// mayAnswer reports whether a roll call can be answered, and notes where: the
// server tells a missing permission later, by the subject alone.
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

// ofRoll reports whether the server's words on a missing permission are about
// roll calls, or about news of streams: a listener goes on without them.
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

// Members returns the client IDs of the listeners that share a group with this
// one. It takes a quarter of a second. The error wraps [broker.ErrHung] if not even its
// own answer comes back: then the silence of others means nothing.
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

// awaitOwn waits, for the time-out at most, for a client's own answer to its
// roll call. One that is not permitted gets none.
func (l *Link) awaitOwn(ctx context.Context, own <-chan struct{}) error {
	for begin := time.Now(); !closed(own); {
		if time.Since(begin) >= l.Options.Timeout {
			return broker.Because(broker.ErrHung, errors.New("nobody answers the roll call"))
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

// await waits until done is closed, at most so long.
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

// CallRoll asks who is there on each of subjects. If self is not "", that client
// answers on each, too, and the others are waited for when it has.
func (l *Link) CallRoll(ctx context.Context, subjects []string, self string) ([][]Member, error) {
	if err := l.rollError(); err != nil {
		return nil, err
	}
	replies := l.Options.NewInbox()
	var mu sync.Mutex
	found, heard, empty := make([][]Member, len(subjects)), 0, make(map[int]bool)
	waiting := make(map[int]bool) // for the answer of self
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
		member.Held, member.Limit = max(0, member.Held), max(0, member.Limit)
		member.Quiet = min(max(0, member.Quiet), time.Duration(1<<62).Milliseconds())
		member.Blocked = min(max(0, member.Blocked), time.Duration(1<<62).Milliseconds())
		heard++
		found[n] = append(found[n], member)
		if member.Client == self && waiting[n] {
			if delete(waiting, n); len(waiting) == 0 {
				close(own)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("calling the roll: %w", broker.Because(broker.ErrLost, err))
	}
	_ = sub.SetPendingLimits(-1, -1) // what is kept is bounded above
	defer func() { _ = sub.Unsubscribe() }()
	for n, subject := range subjects {
		if err := l.NC.PublishRequest(subject, fmt.Sprintf("%s.%d", replies, n), nil); err != nil {
			return nil, fmt.Errorf("calling the roll: %w", broker.Because(broker.ErrLost, err))
		}
	}
	begin, err := time.Now(), error(nil)
	if len(subjects) > 0 && self != "" {
		err = l.awaitOwn(ctx, own)
	} else {
		err = l.settle(ctx)
	}
	if err == nil {
		err = l.await(ctx, done, max(RollWait, 3*time.Since(begin))) // over a slow link, answers take longer
	}
	if err == nil && closed(done) { // perhaps in the words of a neighbour: who is there answers nevertheless
		err = l.await(ctx, nil, max(RollWait/5, 2*time.Since(begin)))
	}
	if err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	result := found
	found = nil // what still comes is dropped
	return result, l.rollError()
}

// settle waits until the server has what was sent to it.
func (l *Link) settle(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, l.Options.Timeout)
	defer stop()
	if err := l.NC.FlushWithContext(ctx); err != nil {
		if l.Err() != nil {
			return l.Err()
		}
		return fmt.Errorf("calling the roll: %w", broker.Because(broker.ErrLost, cmp.Or(context.Cause(ctx), err)))
	}
	return nil
}

// Advisories begins the subjects on which JetStream tells what happens to its
// streams and consumers.
const Advisories = "$JS.EVENT.ADVISORY."
