package monitor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// heartbeatWait is how long a client may take to answer: a live one needs less
// than a millisecond, and the server itself takes one for hung after as long.
const heartbeatWait = 500 * time.Millisecond

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
// them at once and takes about half a second if one of them does not answer.
func (h *Heartbeats) States(ctx context.Context, inboxes []string) (map[string]State, error) {
	states := make(map[string]State, len(inboxes))
	replies := h.NC.NewInbox()
	answers := make(chan *nats.Msg, 1024)
	sub, err := h.NC.ChanSubscribe(replies+".*", answers)
	if err != nil {
		return nil, fmt.Errorf("asking the clients: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	_ = sub.SetPendingLimits(-1, -1)
	asked := make([]string, 0, len(inboxes))
	for _, inbox := range inboxes {
		if _, twice := states[inbox]; twice {
			continue
		}
		if !h.isInbox(inbox) {
			states[inbox] = Unasked
			continue
		}
		states[inbox] = Hung
		asked = append(asked, inbox)
	}
	heard := 0
	take := func(m *nats.Msg) {
		n, err := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
		if err != nil || n < 0 || n >= len(asked) || states[asked[n]] != Hung {
			return
		}
		heard++
		states[asked[n]] = Alive
		if m.Header.Get("Status") == "503" {
			states[asked[n]] = Dead
		}
	}
	for n, inbox := range asked {
		if err := h.NC.PublishRequest(inbox, fmt.Sprintf("%s.%d", replies, n), nil); err != nil {
			return nil, fmt.Errorf("asking the clients: %w", err)
		}
		for more := true; more; { // or the answers would pile up
			select {
			case m := <-answers:
				take(m)
			default:
				more = false
			}
		}
	}
	late := time.NewTimer(heartbeatWait)
	defer late.Stop()
	for heard < len(asked) {
		select {
		case m := <-answers:
			take(m)
		case <-late.C:
			return states, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return states, nil
}

func (h *Heartbeats) isInbox(subject string) bool {
	if strings.ContainsAny(subject, " \t\r\n*>") || len(subject) > 255 {
		return false
	}
	return strings.HasPrefix(subject, "_INBOX.") || h.Prefix != "" && strings.HasPrefix(subject, h.Prefix+".")
}
