package worker

import (
	"time"

	"nats-test/internal/fault"
)

// A breaker pauses the worker when several events in a row used up their retries:
// then the cause is not the event. After a pause it lets one run through; while
// that fails, the pauses grow.
type breaker struct {
	limit  int // 0 is never
	row    int // events in a row that used up their retries
	pauses int // 0 if it is closed
	until  time.Time
	probe  *job // the last that was let through; nil since the last pause began
	timer  *time.Timer
}

// pauses of an open breaker.
var probes = Backoff{5 * time.Second, 5 * time.Minute}

func (b *breaker) open() bool { return b.pauses > 0 }

// lets reports whether an event may be run while others are. It calls wake when
// that may have changed.
func (b *breaker) lets(running int, wake func()) bool {
	if !b.open() {
		return true
	}
	if wait := time.Until(b.until); wait > 0 {
		if b.timer == nil {
			b.timer = time.AfterFunc(wait, func() {
				defer fault.Exit()
				wake()
			})
		}
		return false
	}
	return running == 0
}

// pause begins the first pause, or the next.
func (b *breaker) pause(now time.Time) time.Duration {
	b.pauses++
	wait := probes.wait(b.pauses)
	b.until, b.probe = now.Add(wait), nil
	b.stop()
	return wait
}

// succeeded closes the breaker. It reports whether it was open.
func (b *breaker) succeeded() bool {
	was := b.open()
	b.row, b.pauses = 0, 0
	b.stop()
	return was
}

func (b *breaker) stop() {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
}
