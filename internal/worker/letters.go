package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
	"nats-test/internal/worker/process"
)

// Letters stores dead letters, and what handlers emit, in a session of its own. Its
// methods may be called by several goroutines.
type Letters struct {
	// Dial opens the session. It is called again after one has failed.
	Dial func(ctx context.Context) (*conn.Conn, error)
	// Subject returns where the dead letters of a subject's events go.
	Subject func(subject string) string
	// Group is the queue group or durable whose events these are.
	Group string

	mu      sync.Mutex
	session *conn.Conn // nil if there is none
}

// errUnstorable: what was to be stored never will be.
var errUnstorable = errors.New("it can't be stored")

// DeadSubject returns where the dead letters of subject go unless another subject is
// given: a name that is legal on both brokers, and in the style of its own.
func DeadSubject(subject string) string {
	if strings.Contains(subject, ":") {
		return subject + ":dead"
	}
	return subject + ".dead"
}

// Check returns an error unless events can be stored on each subject.
func (l *Letters) Check(ctx context.Context, subjects []string) error {
	session, err := l.open(ctx)
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		if _, err := session.Newest(ctx, subject); err != nil {
			return err
		}
	}
	return nil
}

func (l *Letters) open(ctx context.Context) (*conn.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != nil {
		select {
		case <-l.session.Lost():
			_ = l.session.Close()
		default:
			return l.session, nil
		}
	}
	var err error
	l.session, err = l.Dial(ctx)
	return l.session, err
}

// Close ends the session.
func (l *Letters) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != nil {
		_ = l.session.Close()
		l.session = nil
	}
}

// Put stores events, and returns when the broker has acked them all, or soon after ctx
// is done.
func (l *Letters) Put(ctx context.Context, events ...broker.Event) error {
	session, err := l.open(ctx)
	if err != nil {
		return err
	}
	for i, err := range l.send(ctx, session, events) {
		if err != nil {
			l.drop(session)
			return fmt.Errorf("publishing to %q: %w", events[i].Subject, err)
		}
	}
	return nil
}

// send returns the error of each event.
func (l *Letters) send(ctx context.Context, session *conn.Conn, events []broker.Event) []error {
	stop := context.AfterFunc(ctx, func() {
		defer fault.Exit()
		l.drop(session)
	})
	defer stop()
	errs := make([]error, len(events))
	var sent sync.WaitGroup
	for i, e := range events {
		sent.Add(1)
		if err := session.Publish(ctx, e, func(_ broker.Receipt, err error) {
			errs[i] = err
			sent.Done()
		}); err != nil {
			errs[i] = err
			sent.Done()
		}
	}
	sent.Wait()
	return errs
}

// drop ends a session in which something failed: it sends nothing more.
func (l *Letters) drop(session *conn.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = session.Close()
	if l.session == session {
		l.session = nil
	}
}

// A letter says why an event is dead. On NATS Streaming, which has no headers, it is
// the data of the dead letter, as JSON; else it is told in headers that begin with
// Dead-Letter-.
type letter struct {
	Subject  string          `json:"subject"`
	Sequence uint64          `json:"sequence"`
	Time     time.Time       `json:"time"`
	ID       string          `json:"id"`
	Group    string          `json:"group,omitempty"`
	Attempts int             `json:"attempts"`
	Exit     *int            `json:"exit,omitempty"`
	Signal   string          `json:"signal,omitempty"`
	Reason   string          `json:"reason"`
	Stderr   string          `json:"stderr,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
	Bytes    []byte          `json:"data_base64,omitzero"` // "" is an event without data
}

// store stores the dead letter of an event. Its ID is made of the event's place and
// time and the group, so that a stream keeps it once, and one that began anew does not
// take another event's for it. It stays as it was stored first: another member may
// have been killed before its ack, and a later run fails in another way.
func (l *Letters) store(ctx context.Context, j *job, out process.Outcome) error {
	session, err := l.open(ctx)
	if err != nil {
		return err
	}
	t := j.task
	why := letter{
		Subject: t.Subject, Sequence: t.Sequence, Time: t.Time.UTC(), ID: EventID(t), Group: l.Group,
		Attempts: j.attempt, Signal: out.Signal, Reason: out.Reason, Stderr: strings.ToValidUTF8(string(out.Stderr), "\uFFFD"),
	}
	if out.Code >= 0 {
		why.Exit = &out.Code
	}
	e := broker.Event{Subject: l.Subject(t.Subject), Data: t.Data}
	if session.Traits().MessageIDs {
		e.ID = fmt.Sprintf("dead/%s/%d/%d/%s", t.Stream, t.Sequence, t.Time.UnixNano(), l.Group)
		e.Header = why.headers(t.Header)
	} else {
		e.Data = why.envelope(t.Data)
	}
	err = l.Put(ctx, e)
	if errors.Is(err, broker.ErrOtherEvent) {
		return nil
	}
	if errors.Is(err, broker.ErrTooLarge) || errors.Is(err, broker.ErrStreamLimit) {
		return fmt.Errorf("the dead letter of #%d of %s: %w: %w", t.Sequence, t.Subject, errUnstorable, err)
	}
	return err
}

// headers are those of the event, but for those that are for the server and those of
// an earlier dead letter, and the letter's own.
func (l letter) headers(of map[string][]string) map[string][]string {
	all := make(map[string][]string)
	maps.Copy(all, of)
	maps.DeleteFunc(all, func(key string, _ []string) bool {
		key = strings.ToLower(key)
		return strings.HasPrefix(key, "nats-") || strings.HasPrefix(key, "dead-letter-")
	})
	for key, value := range map[string]string{
		"Subject": l.Subject, "Sequence": strconv.FormatUint(l.Sequence, 10), "Time": l.Time.Format(time.RFC3339Nano),
		"Id": l.ID, "Group": l.Group, "Attempts": strconv.Itoa(l.Attempts), "Signal": l.Signal,
		"Reason": oneLine(l.Reason), "Stderr": oneLine(l.Stderr),
	} {
		if value != "" {
			all["Dead-Letter-"+key] = []string{value}
		}
	}
	if l.Exit != nil {
		all["Dead-Letter-Exit"] = []string{strconv.Itoa(*l.Exit)}
	}
	return all
}

// oneLine makes text a header's value: line ends and other control characters are
// written as in a string of Go or JSON.
func oneLine(text string) string {
	quoted := strconv.Quote(strings.TrimSpace(text))
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func (l letter) envelope(data []byte) []byte {
	if json.Valid(data) && utf8.Valid(data) {
		l.Data = data
	} else {
		l.Bytes = append([]byte{}, data...)
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // the data stays as it is
	_ = e.Encode(l)        // its parts always marshal
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// EventID returns what an event is known by at every delivery: its message ID, or
// the stream or channel and the sequence.
func EventID(t *conn.Task) string {
	switch {
	case t.ID != "":
		return t.ID
	case t.Stream != "":
		return fmt.Sprintf("%s/%d", t.Stream, t.Sequence)
	}
	return fmt.Sprintf("%s/%d", t.Subject, t.Sequence)
}
