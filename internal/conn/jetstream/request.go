package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/conn/broker"
	"nats-test/internal/fault"
)

// How long a pull request stays open at the server, and the interval of the server's
// heartbeats meanwhile.
const (
	pullExpires   = 30 * time.Second
	pullHeartbeat = 2 * time.Second
)

// Limits of the bytes of events that are held or on their way, approximately. A request
// ends when half of them were sent; the next asks for twice as many if they came quickly,
// for half if slowly. More would overflow the server's buffer for a slow link, which then
// disconnects the client as a slow consumer, and use much memory for large events.
const (
	firstBytes = 1 << 20
	mostBytes  = 16 << 20
	leastBytes = 64 << 10
	fastBytes  = 250 * time.Millisecond
	slowBytes  = time.Second
)

// tooManyBytes is the status of a request whose bytes are used up, or too few for the next
// event (nats-server, consumer.go).
const tooManyBytes = "Message Size Exceeds MaxBytes"

// batchCompleted is the status of a request whose events were all sent before its bytes
// were used up.
const batchCompleted = "Batch Completed"

// A request is a pull request, which stays open until its events or bytes were sent, or it
// expires.
type request struct {
	left  int       // events not received yet
	began time.Time // time of the first event
}

// mostRequests is the maximum number of open requests: the next one is at the server
// before the first one ends.
const mostRequests = 2

// ask requests as many events as there is room for, if that is half of the limit or
// nothing is requested. mu is held.
func (p *pull) ask() {
	n := p.limit - len(p.held) - p.asked
	switch {
	case p.draining, p.pause, p.ended, n < 1, p.asked > 0 && n < p.limit/2, len(p.requests) == mostRequests,
		p.bytes > p.window/2, p.isBlocked():
		return
	}
	question := struct {
		Batch     int           `json:"batch"`
		Bytes     int           `json:"max_bytes,omitempty"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{min(n, p.batch), min(p.window/2, p.maxBytes), p.expires, p.heartbeat()}
	if p.oversize {
		question.Batch, question.Bytes, p.oversize = 1, 0, false
	}
	text, err := json.Marshal(question)
	if err == nil {
		err = p.s.NC.PublishRequest(p.s.api()+".CONSUMER.MSG.NEXT."+p.stream+"."+p.name, p.sub.Subject, text)
	}
	if err != nil {
		p.pause = true // the connection is broken; the session will end
		return
	}
	if p.asked == 0 {
		p.heard = time.Now()
	}
	p.requests = append(p.requests, request{left: question.Batch})
	p.asked += question.Batch
}

// arrived counts an event towards the oldest request. mu is held.
func (p *pull) arrived() {
	if len(p.requests) == 0 {
		return // its request was given up
	}
	r := &p.requests[0]
	if r.began.IsZero() {
		r.began = p.heard
	}
	p.asked = max(0, p.asked-1)
	if r.left--; r.left == 0 || p.asked == 0 {
		p.requests = p.requests[1:]
	}
}

// finish ends the oldest request, of which left events did not come. full says that the
// next event did not fit in its bytes. mu is held.
func (p *pull) finish(left int, full bool) {
	if len(p.requests) == 0 {
		return
	}
	r := p.requests[0]
	p.requests = p.requests[1:]
	if p.asked = max(0, p.asked-left); len(p.requests) == 0 {
		p.asked = 0
	}
	if !full {
		return
	}
	switch took := p.heard.Sub(r.began); {
	case r.began.IsZero(): // not a single event fit
		p.oversize = true
	case took <= fastBytes:
		p.window = min(2*p.window, mostBytes)
	case took >= slowBytes:
		p.window = max(p.window/2, leastBytes)
	}
}

// giveUp drops all requests, which the server has dropped, too, or which will be made
// again. mu is held.
func (p *pull) giveUp() { p.requests, p.asked = p.requests[:0], 0 }

// heartbeat returns the interval of the server's heartbeats. It grows with the number of
// consumers, beyond 50.
func (p *pull) heartbeat() time.Duration {
	const few = 50
	return min(pullHeartbeat*time.Duration(max(1, p.s.pulling.Load()/few)), p.expires/2)
}

// silence returns how long the server may be silent.
func (p *pull) silence() time.Duration { return 2*p.heartbeat() + time.Second }

// isEvent reports whether a message is an event of the pull's consumer. Other messages are
// reported and left unacked. mu is held.
func (p *pull) isEvent(m *nats.Msg) bool {
	why := ""
	switch {
	case m.Subject == m.Sub.Subject: // published to the inbox, not delivered from a stream
		why = "it has no place in a stream"
	case !ofConsumer(m.Reply, p.stream, p.name):
		why = fmt.Sprintf("it is not of the consumer %s of the stream %s", broker.Clip(p.name), broker.Clip(p.stream))
	case !wants(p.filters, m.Subject):
		why = fmt.Sprintf("the consumer %s is for %s", broker.Clip(p.name), broker.Clip(strings.Join(p.filters, ", ")))
		p.confirm(p.sameConsumer)
	default:
		return true
	}
	p.s.Ignore(m, why)
	return false
}

// ofConsumer reports whether subject is an ack subject of the consumer:
// "$JS.ACK.STREAM.CONSUMER.…", or with domain and account before the stream (ADR-15).
func ofConsumer(subject, stream, consumer string) bool {
	const domainAndAccount = 2
	place, ok := strings.CutPrefix(subject, "$JS.ACK.")
	for skip := 0; ok && skip <= domainAndAccount; skip += domainAndAccount {
		if rest, its := strings.CutPrefix(place, stream+"."); its && strings.HasPrefix(rest, consumer+".") {
			return true
		}
		_, place, _ = strings.Cut(place, ".")
		_, place, ok = strings.Cut(place, ".")
	}
	return false
}

// wants reports whether a consumer with these filters delivers events of subject.
func wants(filters []string, subject string) bool {
	return len(filters) == 0 || slices.ContainsFunc(filters, func(f string) bool { return f == subject || broker.Covers(f, subject) })
}

func filtersOf(c jetstream.ConsumerConfig) []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return c.FilterSubjects
}

// confirm asks the server about the consumer before the pull acts on a message that any
// client could have sent. It asks once at a time.
func (p *pull) confirm(judge func(*jetstream.ConsumerInfo, error)) {
	if p.ended || !p.checking.CompareAndSwap(false, true) {
		return
	}
	p.working.Go(func() {
		defer p.checking.Store(false)
		defer fault.Exit()
		info, err := p.info(p.s.Ctx)
		judge(info, err)
	})
}

// sameConsumer ends the session if the consumer was deleted, created anew or changed.
func (p *pull) sameConsumer(info *jetstream.ConsumerInfo, err error) {
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		p.s.Leave(broker.Ended(p.deleted()))
	case err != nil: // maintain asks again if no events come
	case !info.Created.Equal(p.created):
		p.s.Leave(broker.Ended(p.deleted()))
	case !slices.Equal(filtersOf(info.Config), p.filters):
		p.s.Leave(broker.Because(broker.ErrConsumer, fmt.Errorf("the consumer %q of stream %q was changed: it has the filter %q now",
			p.name, p.stream, strings.Join(filtersOf(info.Config), ", "))))
	}
}

// missedUpTo ends the session if the consumer has sent more events than were received.
func (p *pull) missedUpTo(last uint64) func(*jetstream.ConsumerInfo, error) {
	return func(info *jetstream.ConsumerInfo, err error) {
		p.mu.Lock()
		came := p.came
		p.mu.Unlock()
		if err == nil && info.Delivered.Consumer >= last && last > came {
			p.s.Lose(p.missed())
		}
	}
}

// refused handles an unknown status. The first may be forged, so the pull asks again from
// a new inbox; the second ends the session. mu is held.
func (p *pull) refused(status, words string) {
	if !p.doubted {
		p.doubted = true
		p.renew()
		p.ask()
		return
	}
	p.s.Leave(broker.Because(broker.ErrRefused, fmt.Errorf("asking consumer %q of stream %q: %s %s", p.name, p.stream, broker.Clip(status), broker.Clip(words))))
}

func (p *pull) missed() error {
	return fmt.Errorf("events of stream %s were missed on the way", p.stream)
}

func (p *pull) deleted() error {
	return fmt.Errorf("the consumer %s of stream %s was deleted", p.name, p.stream)
}
