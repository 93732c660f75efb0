package process

import (
	"bytes"
	"fmt"
	"runtime"
	"time"

	"nats-test/internal/fault"
)

// take hands an event to the handler, which must have room.
func (h *handler) take(t *ticket) {
	h.flight[(h.first+h.n)%len(h.flight)] = t
	h.n++
	if h.n == 1 {
		h.next(time.Now())
	}
	h.records = append(h.records, t.record...)
	t.handler, t.record = h, nil
	if h.queued++; h.queued == 1 {
		select {
		case h.more <- struct{}{}:
		default:
		}
	}
}

// next is called when an event becomes the first in flight.
func (h *handler) next(now time.Time) {
	h.since = now
	for _, l := range h.lines {
		l.number.Store(h.flight[h.first].number)
	}
	if h.loop.Timeout == 0 || h.armed {
		return
	}
	h.armed = true
	if h.timer == nil {
		h.timer = time.AfterFunc(h.loop.Timeout, h.watch)
	} else {
		h.timer.Reset(h.loop.Timeout)
	}
}

// watch looks whether the first event in flight is overdue. There is one timer
// for all events, which is set anew when it fires.
func (h *handler) watch() {
	defer fault.Exit()
	h.loop.mu.Lock()
	defer h.loop.mu.Unlock()
	if h.n == 0 || !h.up {
		h.armed = false
		return
	}
	if left := h.loop.Timeout - time.Since(h.since); left > 0 {
		h.timer.Reset(left)
		return
	}
	h.fail(overdue(h.loop.Timeout))
}

// write writes records, those that have come meanwhile at once.
func (h *handler) write() {
	defer close(h.written)
	defer fault.Exit()
	for range h.more {
		runtime.Gosched() // others bring records, too
		h.loop.mu.Lock()
		records := h.records
		h.records, h.asked, h.queued = h.spare[:0], h.asked+h.queued, 0
		h.loop.mu.Unlock()
		if _, err := h.stdin.Write(records); err != nil {
			h.later("the handler closed its standard input")
			break
		}
		if h.spare = records; cap(records) > keptRoom {
			h.spare = nil
		}
	}
	_ = h.stdin.Close() // nothing is kept of a pipe
}

// Write takes what the handler wrote to file descriptor 3.
func (h *handler) Write(p []byte) (int, error) {
	longest := longestAnswer
	if h.loop.Emit {
		longest += mostEmitted
	}
	n := len(p)
	h.parsed = h.parsed[:0]
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		p = rest
		if len(h.partial)+len(line) > longest {
			h.partial = nil
			h.parsed = append(h.parsed, answer{wrong: fmt.Sprintf("the handler's answer has more than %d KiB", longest>>10)})
			break
		}
		if !ended || len(h.partial) > 0 {
			h.partial = append(h.partial, line...)
			line = h.partial
		}
		if ended {
			h.parsed = append(h.parsed, parse(line, h.loop.Emit))
			if h.partial = h.partial[:0]; cap(h.partial) > longestAnswer {
				h.partial = nil
			}
		}
	}
	if len(h.parsed) > 0 {
		h.apply(h.parsed)
	}
	return n, nil
}

// apply gives answers to the events in flight. All of one read are applied at
// once, so that a second answer is not that of an event that comes between.
func (h *handler) apply(answers []answer) {
	h.loop.mu.Lock()
	defer h.loop.release()
	now := time.Now()
	for _, a := range answers {
		switch {
		case h.reason != "" && h.reason != cutOff:
			return
		case a.wrong != "":
			h.fail(a.wrong)
			return
		case h.asked == 0:
			h.fail("the handler answered twice, or before it was asked")
			return
		}
		h.answered = true
		out := Outcome{Verdict: a.verdict, Reason: a.reason, Code: -1, After: a.after, Emit: a.emit, Took: now.Sub(h.since)}
		if a.verdict != Ack {
			out.Stderr = h.tail.end()
		}
		h.asked--
		h.reply(out)
		if h.n > 0 {
			h.next(now)
		}
	}
	h.loop.refill()
}

// reply gives the first event in flight its outcome.
func (h *handler) reply(out Outcome) {
	t := h.flight[h.first]
	h.flight[h.first] = nil
	h.first, h.n = (h.first+1)%len(h.flight), h.n-1
	h.loop.settle(t, out)
}
