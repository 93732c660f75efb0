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

// How long a request for events stands at the server, how often the server
// says meanwhile that it is alive.
const (
	pullExpires   = 30 * time.Second
	pullHeartbeat = 2 * time.Second
)

// Bytes of events that may be held or on their way, about: a request ends when
// half of them came, and the next asks for twice as many if they came fast, for
// half if they came slowly. More would fill the server's buffer for a slow link,
// which then drops the client as a slow consumer, and the memory where events
// are large.
const (
	firstBytes = 1 << 20
	mostBytes  = 16 << 20
	leastBytes = 64 << 10
	fastBytes  = 250 * time.Millisecond
	slowBytes  = time.Second
)

// tooManyBytes is the server's word for a request whose bytes are used up, or
// too few for the next event (nats-server, consumer.go).
const tooManyBytes = "Message Size Exceeds MaxBytes"

// batchCompleted is the server's word for a request whose events have all come,
// and not all of its bytes.
const batchCompleted = "Batch Completed"

// A request for events stands at the server until so many came, or so many
// bytes, or its time is over.
type request struct {
	left  int       // events that are still to come
	began time.Time // when the first came
}

// mostRequests stand at the server at a time: while one is answered, the next
// is there already.
const mostRequests = 2

// ask requests as many events as there is room for, once that is half of the
// limit or nothing is asked for. mu is held.
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
		p.pause = true // the connection is broken, and the session about to end
		return
	}
	if p.asked == 0 {
		p.heard = time.Now()
	}
	p.requests = append(p.requests, request{left: question.Batch})
	p.asked += question.Batch
}

// arrived counts an event of the oldest request. mu is held.
func (p *pull) arrived() {
	if len(p.requests) == 0 {
		return // it was given up
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

// finish ends a request that so many events were still to come of: the oldest,
// as far as it matters here. full says that it had no room for the bytes of
// another. mu is held.
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
	case r.began.IsZero(): // not one came
		p.oversize = true
	case took <= fastBytes:
		p.window = min(2*p.window, mostBytes)
	case took >= slowBytes:
		p.window = max(p.window/2, leastBytes)
	}
}

// giveUp forgets all requests: the server has, too, or is asked anew. mu is held.
func (p *pull) giveUp() { p.requests, p.asked = p.requests[:0], 0 }

// heartbeat is how often the server is to say that it is alive. With very many
// consumers, each is to say so less often.
func (p *pull) heartbeat() time.Duration {
	const few = 50
	return min(pullHeartbeat*time.Duration(max(1, p.s.pulling.Load()/few)), p.expires/2)
}

// silence is how long the server may say nothing.
func (p *pull) silence() time.Duration { return 2*p.heartbeat() + time.Second }

// isEvent reports whether a message is an event of the pull's consumer that was
// asked for. What is none is told, and left unacked. mu is held.
func (p *pull) isEvent(m *nats.Msg) bool {
	why := ""
	switch {
	case m.Subject == m.Sub.Subject: // published to the inbox: no stream has it
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

// ofConsumer reports whether events of a consumer are acked by a reply to
// subject: "$JS.ACK.STREAM.CONSUMER.…", with domain and account before the
// stream where there are several (ADR-15).
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

// wants reports whether a consumer with filters delivers events of subject.
func wants(filters []string, subject string) bool {
	return len(filters) == 0 || slices.ContainsFunc(filters, func(f string) bool { return f == subject || broker.Covers(f, subject) })
}

func filtersOf(c jetstream.ConsumerConfig) []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return c.FilterSubjects
}

// confirm asks for the consumer before something is believed that anybody could
// have sent. One question at a time.
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

// sameConsumer ends the session if the consumer is gone, or is another now.
func (p *pull) sameConsumer(info *jetstream.ConsumerInfo, err error) {
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		p.s.Leave(broker.Ended(p.deleted()))
	case err != nil: // tend asks again if nothing comes
	case !info.Created.Equal(p.created):
		p.s.Leave(broker.Ended(p.deleted()))
	case !slices.Equal(filtersOf(info.Config), p.filters):
		p.s.Leave(broker.Because(broker.ErrConsumer, fmt.Errorf("the consumer %q of stream %q was changed: it has the filter %q now",
			p.name, p.stream, strings.Join(filtersOf(info.Config), ", "))))
	}
}

// missedUpTo ends the session if the consumer has sent more events than came.
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

// refused takes a status that asking again does not mend: the first is answered
// by asking anew, on an inbox that nobody knows. mu is held.
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
