package streaming

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/fault"
)

// Number of clients that confirm asks for with one subscription: 4, or more if there are
// so many that it would take more than 256 subscriptions.
const (
	fewAtOnce = 4
	mostTimes = 256
)

// confirmWait is how long to wait for the server's "no responders".
const confirmWait = 5 * time.Second

// confirm asks again at inboxes that seem to be gone, and returns those for which the server
// does not send "no responders". The server sends it at once, before it processes the
// unsubscribe that follows the request. A forged one arrives too late, since its sender must
// receive the request first.
func (h *Heartbeats) confirm(ctx context.Context, inboxes []string) (there []string, err error) {
	var mu sync.Mutex
	absent := make([]bool, len(inboxes))
	var open sync.WaitGroup
	step := max(fewAtOnce, (len(inboxes)+mostTimes-1)/mostTimes)
	for first := 0; first < len(inboxes) && err == nil; first += step {
		some, replies := inboxes[first:min(first+step, len(inboxes))], h.inbox()
		var sub *nats.Subscription
		sub, err = h.NC.Subscribe(replies+".*", func(m *nats.Msg) {
			defer fault.Exit()
			if n, is := number(m, replies); is && n >= 0 && n < len(some) {
				mu.Lock()
				defer mu.Unlock()
				absent[first+n] = true
			}
		})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrClients, err)
		}
		open.Add(1)
		sub.SetClosedHandler(func(string) {
			defer open.Done()
			defer fault.Exit()
		})
		err = h.send(some, replies)
		if over := sub.Drain(); over != nil && err == nil {
			err = fmt.Errorf("%w: %w", ErrClients, over)
		}
	}
	if err != nil {
		return nil, err
	}
	over := make(chan struct{})
	go func() { // ends with the connection
		defer close(over)
		defer fault.Exit()
		open.Wait()
	}()
	late := time.NewTimer(confirmWait)
	defer late.Stop()
	select {
	case <-over:
	case <-late.C:
		return nil, fmt.Errorf("%w: %w", ErrClients, errors.New("the server does not answer"))
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	mu.Lock()
	defer mu.Unlock()
	for n, inbox := range inboxes {
		if !absent[n] {
			there = append(there, inbox)
		}
	}
	return there, nil
}
