package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// Inquire sends a request until it is answered or denied, the session is lost, or the
// time-out has passed. A cluster without a leader drops requests, so the request is
// repeated; an answer to an earlier one counts, however late. So the request must be
// harmless to repeat, also from several goroutines at once.
func Inquire[T any](ctx context.Context, l *Link, question func(context.Context) (T, error)) (answer T, err error) {
	err = l.AskOnce(ctx, func(ctx context.Context) (err error) {
		answer, err = hedge(ctx, func(ctx context.Context) (T, error) {
			begin := time.Now()
			answer, err := question(ctx)
			if ctx.Err() == nil && !unanswered(err) {
				l.delay.Store(int64(time.Since(begin)))
			}
			return answer, err
		})
		return err
	})
	return answer, err
}

func hedge[T any](ctx context.Context, question func(context.Context) (T, error)) (T, error) {
	type reply struct {
		answer T
		err    error
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	replies := make(chan reply)
	ask := func() {
		asking.Go(func() {
			defer fault.Exit()
			var r reply
			r.answer, r.err = question(ctx)
			select {
			case replies <- r:
			case <-ctx.Done():
			}
		})
	}
	ask()
	again := time.NewTimer(AnswerPatience / 2)
	defer again.Stop()
	var last reply
	for {
		select {
		case <-again.C:
			ask()
			again.Reset(AnswerPatience)
		case last = <-replies:
			if !unanswered(last.err) {
				return last.answer, last.err
			}
			again.Reset(AnswerPatience / 10)
		case <-ctx.Done():
			return last.answer, cmp.Or(last.err, ctx.Err())
		}
	}
}

// unanswered reports whether it makes sense to ask again.
func unanswered(err error) bool {
	api, isAPI := errors.AsType[*jetstream.APIError](err)
	return isAPI && Transient(api) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
}

// Ask runs a request like [Inquire], but one attempt at a time: it is for requests that
// change something. Each attempt waits longer than the one before, and longer than the
// latest answer to Inquire took.
func (l *Link) Ask(ctx context.Context, request func(context.Context) error) error {
	return l.AskOnce(ctx, func(ctx context.Context) error {
		for patience := max(AnswerPatience/2, 3*time.Duration(l.delay.Load())); ; patience *= 2 {
			attempt, stop := context.WithTimeout(ctx, patience)
			err := request(attempt)
			if unanswered(err) {
				select {
				case <-attempt.Done():
				case <-time.After(AnswerPatience / 10):
				}
			}
			stop()
			if !unanswered(err) || ctx.Err() != nil {
				return err
			}
		}
	})
}

// AskOnce makes a request once, as some take a cluster seconds to answer. It returns when
// the request is answered or denied, the session is lost, or the time-out has passed:
// the server does not answer a request that it denies.
func (l *Link) AskOnce(ctx context.Context, request func(context.Context) error) error {
	if deaf := l.AnswersDenied(); deaf != nil {
		return broker.Because(broker.ErrAuth, deaf)
	}
	l.asking.Add(1)
	defer l.asking.Add(-1)
	select {
	case <-l.denied: // of an earlier request
	default:
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, stop := context.WithTimeoutCause(ctx, l.Options.Timeout, broker.Because(broker.ErrHung, fmt.Errorf("no answer within %v", l.Options.Timeout)))
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer fault.Exit()
		select {
		case words := <-l.denied:
			cancel(broker.Because(broker.ErrAuth, errors.New(words)))
		case <-l.lost:
			cancel(l.Err())
		case <-ctx.Done():
		}
	}()
	err := request(ctx)
	if _, answered := errors.AsType[*jetstream.APIError](err); err != nil && !answered {
		if lost := l.Err(); errors.Is(lost, broker.ErrGarbled) {
			err = lost
		} else if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}
	stop()
	cancel(nil)
	<-watched
	return err
}

// Transient reports whether an error is that of a cluster that is changing its leaders.
func Transient(err *jetstream.APIError) bool {
	switch err.ErrorCode {
	case 10005: // no suitable peers: too few, or one is offline
		return strings.Contains(err.Description, "offline")
	case 10004, 10007, 10008, 10009, 10118, 10119, 10158, 10167, 10194: // nats-server, errors.json
		return true
	}
	return false
}

// AnswerPatience is the least time to wait for an answer. It is less than a cluster needs
// to elect a new leader (4 s, nats-server, raft.go), so that no new event is stored
// before those that the former leader did not answer.
const AnswerPatience = 2 * time.Second
