package process

import (
	"context"
	"io"
	"os"
	"time"

	"nats-test/internal/fault"
)

const (
	// endsSoon is how long a process may live on that closed one of its pipes, or
	// whose standard input has ended.
	endsSoon = time.Second
	// keptRoom is the room for records that is kept between two writes.
	keptRoom = 1 << 20
)

// A handler is one long-lived process. Its fields below the line belong to the
// mutex of its loop.
type handler struct {
	loop    *loop
	child   *child
	stdin   *os.File
	answers *stream
	streams []*stream // its output
	lines   []*lines  // of its output
	tail    tail
	written chan struct{} // closed when nothing is written any more
	partial []byte        // an answer that has not ended
	parsed  []answer      // of one read

	// ----
	up       bool          // takes events
	more     chan struct{} // of one place: there are records to be written
	records  []byte        // to be written
	queued   int           // how many
	spare    []byte
	asked    int       // events in flight whose record is, or is being, written
	flight   []*ticket // a ring
	first, n int
	since    time.Time // the first in flight is with the handler since then
	timer    *time.Timer
	armed    bool
	answered bool        // at least once
	reason   string      // why it is being stopped
	over     bool        // the process has ended
	lag      *time.Timer // until it is stopped
	lagged   bool        // it was; it may have been ending by itself
}

// launch starts a process of a loop. Its caller is locked to its thread.
func (l *loop) launch() (*handler, error) {
	h := &handler{loop: l, up: true, written: make(chan struct{}), more: make(chan struct{}, 1), flight: make([]*ticket, l.Depth)}
	var theirs [4]*os.File // the child's, closed by start
	err := h.connect(&theirs)
	if err == nil {
		h.child, err = start(l.Argv, nil, theirs[0], theirs[1], theirs[2], theirs[3])
	}
	if err != nil {
		closeAll(append(theirs[:], h.stdin)...)
		for _, s := range h.all() {
			closeAll(s.pipe)
		}
		return nil, err
	}
	return h, nil
}

// connect makes the pipes.
func (h *handler) connect(theirs *[4]*os.File) (err error) {
	if theirs[0], h.stdin, err = os.Pipe(); err != nil {
		return err
	}
	for i, to := range []io.Writer{h.output(h.loop.Stdout), io.MultiWriter(&h.tail, h.output(h.loop.Stderr))} {
		s, end, err := newStream(to)
		if err != nil {
			return err
		}
		theirs[i+1], h.streams = end, append(h.streams, s)
	}
	if h.answers, theirs[3], err = newStream(h); err != nil {
		return err
	}
	h.answers.eof = func() { h.later("the handler closed its file descriptor 3") }
	return nil
}

// all returns the streams that there are.
func (h *handler) all() []*stream {
	if h.answers == nil {
		return h.streams
	}
	return append([]*stream{h.answers}, h.streams...)
}

func (h *handler) output(to io.Writer) io.Writer {
	switch {
	case to == nil:
		return io.Discard
	case h.loop.Workers == 1:
		return to
	}
	l := &lines{to: to}
	h.lines = append(h.lines, l)
	return l
}

// serve returns when the process has ended, nothing of it is left, and its
// events are answered.
func (h *handler) serve() {
	go h.write()
	for _, s := range h.all() {
		go s.read()
	}
	h.child.wait(h.all()...)
	h.loop.mu.Lock()
	h.over = true
	h.retire()
	h.loop.mu.Unlock()
	_ = h.stdin.Close() // nothing is kept of a pipe
	<-h.written
	for _, s := range h.all() {
		s.end()
	}
	<-h.answers.done
	// Where nobody reads the output, its events are not kept back for it.
	moment, cancel := context.WithCancel(h.loop.ctx)
	cancel()
	written := finished(moment, h.streams)
	if warning := h.finish(); warning != "" {
		h.loop.Warn("%s: it is started again", warning)
	}
	if written || finished(h.loop.ctx, h.streams) {
		for _, l := range h.lines {
			l.close()
		}
	}
}

// later stops the process if it does not end soon by itself. No event is given
// to it any more.
func (h *handler) later(reason string) {
	h.loop.mu.Lock()
	defer h.loop.mu.Unlock()
	if !h.over {
		h.dismiss(reason)
	}
}

// dismiss takes the handler out of use, and stops it if it does not end soon.
func (h *handler) dismiss(reason string) {
	h.retire()
	if h.lag == nil {
		h.lag = time.AfterFunc(endsSoon, func() {
			defer fault.Exit()
			h.loop.mu.Lock()
			defer h.loop.mu.Unlock()
			h.lagged = h.reason == ""
			h.fail(reason)
		})
	}
}

// retire takes the handler out of use. Its standard input ends when all is written.
func (h *handler) retire() {
	if h.up {
		h.up = false
		close(h.more)
	}
}

// fail stops the process for a reason of its own, or with cutOff.
func (h *handler) fail(reason string) {
	h.retire()
	if h.reason == "" {
		h.reason = reason
		h.child.stop(reason)
	}
}

// finish gives events back that the process had not answered when it ended. The
// first of them is the reason; the others are not counted. It returns what is to be
// said, if no event was to blame.
func (h *handler) finish() (warning string) {
	h.loop.mu.Lock()
	defer h.loop.release()
	for _, timer := range []*time.Timer{h.timer, h.lag} {
		if timer != nil {
			timer.Stop()
		}
	}
	code, signal, exit := h.child.exit()
	out := Outcome{Verdict: Retry, Code: code, Signal: signal, Stderr: h.tail.end()}
	switch {
	case h.reason == cutOff || h.loop.closed:
		out.Verdict, out.Reason = Back, cutOff
	case h.reason != "" && (!h.lagged || signal != ""):
		out.Reason = h.reason
	case code == exitNoExec || code == exitNoFile:
		out.Verdict, out.Reason = Broken, unfound(h.loop.Argv, code)
		h.loop.breaks(out.Reason)
	default:
		out.Reason = "the handler ended before it answered: " + exit
	}
	if h.n == 0 && out.Verdict == Retry {
		if warning = out.Reason; h.reason == "" || h.lagged && signal == "" {
			warning = "a handler ended: " + exit
		}
	}
	for now := time.Now(); h.n > 0; {
		out.Took = now.Sub(h.since)
		h.since = now
		h.reply(out)
		if out.Verdict != Back {
			out = Outcome{Verdict: Back, Reason: "its handler ended at an event before it", Code: -1}
		}
	}
	return warning
}
