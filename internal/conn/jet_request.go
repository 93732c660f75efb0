package conn

import (
	"encoding/json"
	"time"
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
