package monitor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/fault"
)

// heartbeatWait is how long a client may take to answer: a live one needs less
// than a millisecond, and the server itself takes one for hung after as long.
const heartbeatWait = 500 * time.Millisecond

// ErrClients is wrapped by an error of asking the clients: the connection to the
// server is broken, whatever its monitoring port does.
var ErrClients = errors.New("asking the clients")

// Heartbeats asks the clients of NATS Streaming whether they are there, as the
// server does: by a request of the inbox that each has for that.
type Heartbeats struct {
	NC *nats.Conn
	// Prefix is what inboxes begin with here, beside "_INBOX.". Nothing else is
	// asked: the addresses come from the monitoring port, and a request of
	// another subject could do anything.
	Prefix string
}

// States returns the state of the client behind each inbox. It asks all of
// them at once, and waits for half a second after the last answer if one of
// them does not answer.
func (h *Heartbeats) States(ctx context.Context, inboxes []string) (map[string]State, error) {
	states := make(map[string]State, len(inboxes))
	var asked []string
	for _, inbox := range inboxes {
		if _, twice := states[inbox]; twice {
			continue
		}
		if states[inbox] = Unasked; h.isInbox(inbox) {
			states[inbox] = Hung
			asked = append(asked, inbox)
		}
	}
	if len(asked) == 0 {
		return states, nil
	}
	replies := h.NC.NewInbox()
	var mu sync.Mutex
	open, done, came := len(asked), make(chan struct{}), make(chan struct{}, 1)
	sub, err := h.NC.Subscribe(replies+".*", func(m *nats.Msg) {
		n, err := strconv.Atoi(m.Subject[len(replies)+1:])
		mu.Lock()
		defer mu.Unlock()
		defer fault.Exit()
		if err != nil || n < 0 || n >= len(asked) || states[asked[n]] != Hung {
			return
		}
		states[asked[n]] = Alive
		if m.Header.Get("Status") == "503" {
			states[asked[n]] = Dead
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
		return nil, fmt.Errorf("%w: %w", ErrClients, err)
	}
	_ = sub.SetPendingLimits(-1, -1) // there is one answer to a question
	defer func() { _ = sub.Unsubscribe() }()
	for n, inbox := range asked {
		if err := h.NC.PublishRequest(inbox, fmt.Sprintf("%s.%d", replies, n), nil); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrClients, err)
		}
	}
	late := time.NewTimer(heartbeatWait)
	defer late.Stop()
	for waiting := true; waiting; {
		select {
		case <-came: // of very many, the last are not late because of the first
			late.Reset(heartbeatWait)
		case <-done:
			waiting = false
		case <-late.C:
			waiting = false
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	result := maps.Clone(states) // an answer may still come
	denied := h.NC.LastError()   // the newest: one of these, if asking is not permitted
	if errors.Is(denied, nats.ErrPermissionViolation) &&
		slices.ContainsFunc(asked, func(inbox string) bool { return strings.Contains(denied.Error(), `Publish to "`+inbox+`"`) }) {
		for _, inbox := range asked {
			if result[inbox] == Hung {
				result[inbox] = Unasked
			}
		}
	}
	return result, nil
}

func (h *Heartbeats) isInbox(subject string) bool {
	if strings.ContainsAny(subject, " \t\r\n*>") || len(subject) > 255 {
		return false
	}
	return strings.HasPrefix(subject, "_INBOX.") || h.Prefix != "" && strings.HasPrefix(subject, h.Prefix+".")
}
