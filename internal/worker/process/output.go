package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"nats-test/internal/fault"
)

// When a handler has ended, its pipes are empty soon, unless a process that
// left its group holds them: that is read no longer than heldFor, nor more than
// heldBytes of it, which is more than a pipe holds.
const (
	heldFor   = 500 * time.Millisecond
	heldBytes = 2 << 20
)

var chunks = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// A stream reads the pipe that a handler writes to.
type stream struct {
	pipe *os.File
	to   io.Writer // never returns an error
	eof  func()    // if set, called before done
	done chan struct{}
	held bool // once done: the pipe was still held open by another process
}

// newStream returns a stream that is to be started, and the handler's end of it.
func newStream(to io.Writer) (*stream, *os.File, error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	return &stream{pipe: ours, to: to, done: make(chan struct{})}, theirs, nil
}

func (s *stream) read() {
	defer close(s.done)
	defer fault.Exit()
	if s.eof != nil {
		defer s.eof()
	}
	defer s.pipe.Close() //nolint:errcheck // nothing was written to it
	buf := chunks.Get().(*[32 << 10]byte)
	defer chunks.Put(buf)
	for {
		n, err := s.pipe.Read(buf[:])
		_, _ = s.to.Write(buf[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break // by end
		}
		if err != nil {
			return
		}
	}
	// Read first, and written then: a writer that blocks costs no output.
	if s.pipe.SetReadDeadline(time.Now().Add(heldFor)) == nil {
		rest, err := io.ReadAll(io.LimitReader(s.pipe, heldBytes))
		s.held = err != nil || len(rest) == heldBytes
		_, _ = s.to.Write(rest)
	}
}

// end has the stream end once the pipe is empty. The handler must have ended.
func (s *stream) end() {
	select {
	case <-s.done:
	default:
		if err := s.pipe.SetReadDeadline(time.Unix(1, 0)); errors.Is(err, os.ErrNoDeadline) {
			_ = s.pipe.Close() // Windows
		}
	}
}

// An outlet is where output goes. If it can't be written, handlers go on.
type outlet struct {
	to     io.Writer
	warn   func(format string, args ...any)
	failed sync.Once
}

func (o *outlet) Write(p []byte) (int, error) {
	if len(p) > 0 {
		if _, err := o.to.Write(p); err != nil {
			o.failed.Do(func() { o.warn("passing on a handler's output: %v: it is dropped", err) })
		}
	}
	return len(p), nil
}

// lines passes on whole lines, behind the number of the event.
type lines struct {
	to     io.Writer
	number atomic.Uint64
	rest   []byte // of a line that has not ended
	out    []byte
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		if free := longestLine - len(l.rest); len(line) > free {
			line, rest, ended = p[:free], p[free:], true
		}
		l.rest, p = append(l.rest, line...), rest
		if ended {
			l.line()
		}
	}
	l.flush()
	return n, nil
}

// close passes on a last line that has not ended.
func (l *lines) close() {
	if len(l.rest) > 0 {
		l.line()
		l.flush()
	}
}

func (l *lines) line() {
	l.out = strconv.AppendUint(append(l.out, '#'), l.number.Load(), 10)
	l.out = append(append(append(l.out, ": "...), l.rest...), '\n')
	l.rest = l.rest[:0]
}

func (l *lines) flush() {
	_, _ = l.to.Write(l.out)
	l.out = l.out[:0]
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p[max(0, len(p)-stderrKept):]...)
	if over := len(t.kept) - stderrKept; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

// end returns a copy, which does not begin in the middle of a character.
func (t *tail) end() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.kept
	for i := 0; len(t.kept) == stderrKept && i < utf8.UTFMax && !utf8.RuneStart(kept[0]); i++ {
		kept = kept[1:]
	}
	return bytes.Clone(kept)
}

// records collects the lines of a handler's output, without those that are empty.
type records struct {
	all   [][]byte
	rest  []byte
	bytes int
	over  string // why they are too much; nothing is kept then
}

func (r *records) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && r.over == "" {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		r.rest, p = append(r.rest, line...), rest
		r.bytes += len(line)
		r.check()
		if ended {
			r.line()
		}
	}
	return n, nil
}

func (r *records) line() {
	if record := bytes.TrimSpace(r.rest); len(record) > 0 && r.over == "" {
		r.all = append(r.all, bytes.Clone(record))
	}
	r.rest = r.rest[:0]
}

func (r *records) check() {
	switch {
	case len(r.rest) > longestRecord:
		r.over = "it emitted a record of more than 1 MiB"
	case r.bytes > mostEmitted:
		r.over = "it emitted records of more than 16 MiB"
	case len(r.all) == mostRecords:
		r.over = fmt.Sprintf("it emitted more than %d records", mostRecords)
	default:
		return
	}
	r.all, r.rest = nil, nil
}
