package worker

import (
	"context"
	"fmt"
	"time"

	"nats-test/internal/fault"
)

// fail stops the worker for a reason that other events would meet, too.
func (w *Worker) fail(err error) {
	w.mu.Lock()
	first := w.failed == nil
	if first {
		w.failed = err
		w.changed.Broadcast()
	}
	w.mu.Unlock()
	if first {
		w.Stop(err)
	}
}

// Finish waits until all events that were begun are settled. Once ctx is done, or the
// worker has failed, it gives back those that do not run, and waits for the handlers
// that do: for the grace, then they are killed.
func (w *Worker) Finish(ctx context.Context) {
	w.awaitEnd(ctx)
	w.release()
	w.mu.Lock()
	w.breaker.stop()
	running := w.running
	w.mu.Unlock()
	if running > 0 {
		w.Warn("stopping: %s, for %v at most; a second signal ends at once", handlers(running, "still runs", "still run"), w.Grace)
	}
	over := time.AfterFunc(w.Grace, func() {
		defer fault.Exit()
		w.kill()
		if w.loop != nil {
			w.loop.Cut()
		}
	})
	w.mu.Lock()
	for w.running > 0 {
		w.changed.Wait()
	}
	w.mu.Unlock()
	w.active.Wait()
	over.Stop()
	w.kill()
	w.release() // those that ended since then, and are not done with
	if w.runner != nil {
		w.runner.Close()
	}
	if w.Letters != nil {
		w.Letters.Close()
	}
}

// awaitEnd waits until nothing is left to be done, or nothing may be begun any more.
func (w *Worker) awaitEnd(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		defer fault.Exit()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.closing = true
		w.changed.Broadcast()
	})
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.closing && w.failed == nil && (!w.ready.empty() || len(w.waiting)+w.running > 0) {
		w.changed.Wait()
	}
	w.closing = true
	w.changed.Broadcast()
}

// release returns the events that do not run; what failed, with what is left of its
// wait. Nothing is returned before the end: JetStream would deliver it here again at
// once, and count that.
func (w *Worker) release() {
	w.mu.Lock()
	var back []*job
	for !w.ready.empty() {
		back = append(back, w.ready.pop())
	}
	for _, line := range w.lines {
		back = append(back, line...)
	}
	clear(w.lines)
	for j, timer := range w.waiting {
		timer.Stop()
		back = append(back, j)
	}
	clear(w.waiting)
	w.mu.Unlock()
	for _, j := range back {
		if wait := time.Until(j.retryAt); wait > 0 && !j.task.Retry(wait) {
			continue
		}
		j.task.Return()
	}
}

// Err returns why the worker stopped by itself, or that handlers were killed. It is
// to be called after Finish.
func (w *Worker) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.failed != nil:
		return w.failed
	case w.killed > 0:
		return fmt.Errorf("%w: %s after %v, and the events went back", ErrKilled, handlers(w.killed, "was killed", "were killed"), w.Grace)
	}
	return nil
}

func handlers(n int, one, more string) string {
	if n == 1 {
		return "1 handler " + one
	}
	return fmt.Sprintf("%d handlers %s", n, more)
}
