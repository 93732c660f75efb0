package streaming

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/fault"
	"nats-test/internal/monitor"
)

// heartbeatWait is how long a client may take to answer. A live one needs less than a
// millisecond. The server has the same limit.
const heartbeatWait = 500 * time.Millisecond

// ErrClients: the clients could not be asked because the connection to the server is broken.
var ErrClients = errors.New("asking the clients")

// Heartbeats asks the clients of NATS Streaming whether they are alive, like the server does:
// by a request to their heartbeat inboxes.
type Heartbeats struct {
	NC *nats.Conn
	// Prefix is another prefix of inboxes, beside "_INBOX.". Only inboxes are asked:
	// their names come from the monitoring port, and a request to another subject could
	// do anything.
	Prefix string
}

// fewClients is the number of absent clients up to which confirm asks more often, so that
// forged answers don't succeed by chance.
const fewClients = 256

// States returns the state of the client behind each inbox. It asks all at once, and waits
// until half a second has passed without an answer. It asks again for those that seem to be
// absent.
func (h *Heartbeats) States(ctx context.Context, inboxes []string) (map[string]monitor.State, error) {
	states := make(map[string]monitor.State, len(inboxes))
	var asked []string
	for _, inbox := range inboxes {
		if _, twice := states[inbox]; twice {
			continue
		}
		if states[inbox] = monitor.Unasked; h.isInbox(inbox) {
			states[inbox] = monitor.Hung
			asked = append(asked, inbox)
		}
	}
	if err := h.ask(ctx, asked, states, true); err != nil {
		return nil, err
	}
	absent := slices.DeleteFunc(asked, func(inbox string) bool { return states[inbox] != monitor.Dead })
	times := 2
	if len(absent) <= fewClients {
		times = 6
	}
	for range times {
		there, err := h.confirm(ctx, absent)
		if err != nil {
			return nil, err
		}
		for _, inbox := range there {
			states[inbox] = monitor.Hung
		}
		if err := h.ask(ctx, there, states, false); err != nil {
			return nil, err
		}
		absent = slices.DeleteFunc(absent, func(inbox string) bool { return states[inbox] != monitor.Dead })
	}
	return states, nil
}

// ask asks the clients behind inboxes, and sets their states. A "no responders" may be
// forged by a client that received the request.
func (h *Heartbeats) ask(ctx context.Context, inboxes []string, states map[string]monitor.State, absence bool) error {
	if len(inboxes) == 0 {
		return nil
	}
	replies := h.inbox()
	var mu sync.Mutex
	answers := make([]monitor.State, len(inboxes))
	open, done, came := len(inboxes), make(chan struct{}), make(chan struct{}, 1)
	sub, err := h.NC.Subscribe(replies+".*", func(m *nats.Msg) {
		n, absent := number(m, replies)
		mu.Lock()
		defer mu.Unlock()
		defer fault.Exit()
		if n < 0 || n >= len(inboxes) || answers[n] == monitor.Alive || absent && (!absence || answers[n] == monitor.Dead) {
			return
		}
		first := answers[n] == ""
		if answers[n] = monitor.Alive; absent {
			answers[n] = monitor.Dead
		}
		if !first {
			return
		}
		if open--; open == 0 {
			close(done)
		}
		select {
		case came <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClients, err)
	}
	_ = sub.SetPendingLimits(-1, -1) // at most one answer per request
	defer func() { _ = sub.Unsubscribe() }()
	if err := h.send(inboxes, replies); err != nil {
		return err
	}
	late := time.NewTimer(heartbeatWait)
	defer late.Stop()
	for waiting := true; waiting; {
		select {
		case <-came: // with many clients, the last answers take longer
			late.Reset(heartbeatWait)
		case <-done:
			waiting = false
		case <-late.C:
			waiting = false
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	unanswered := monitor.Hung
	denied := h.NC.LastError() // the latest error is about one of these if asking is not permitted
	if errors.Is(denied, nats.ErrPermissionViolation) &&
		slices.ContainsFunc(inboxes, func(inbox string) bool { return strings.Contains(denied.Error(), `Publish to "`+inbox+`"`) }) {
		unanswered = monitor.Unasked
	}
	for n, inbox := range inboxes {
		states[inbox] = cmp.Or(answers[n], unanswered)
	}
	return nil
}

func (h *Heartbeats) inbox() string { return cmp.Or(h.Prefix, "_INBOX") + "." + rand.Text() }

// number returns which request a message answers, and whether it is a "no responders".
func number(m *nats.Msg, replies string) (n int, absent bool) {
	n, err := strconv.Atoi(m.Subject[len(replies)+1:])
	if err != nil {
		return -1, false
	}
	return n, len(m.Data) == 0 && m.Header.Get("Status") == "503"
}

func (h *Heartbeats) send(inboxes []string, replies string) error {
	for n, inbox := range inboxes {
		if err := h.NC.PublishRequest(inbox, fmt.Sprintf("%s.%d", replies, n), nil); err != nil {
			return fmt.Errorf("%w: %w", ErrClients, err)
		}
	}
	return nil
}
func (h *Heartbeats) isInbox(subject string) bool {
	if strings.ContainsAny(subject, " \t\r\n*>") || len(subject) > 255 {
		return false
	}
	return strings.HasPrefix(subject, "_INBOX.") || h.Prefix != "" && strings.HasPrefix(subject, h.Prefix+".")
}
