//go:build unix

package cli_test

import (
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"nats-test/internal/brokertest"
)

// An ackLog records the acks sent to JetStream by the members of a group. On NATS
// Streaming, it stays empty.
type ackLog struct {
	s broker

	mu       sync.Mutex
	acked    map[int]int // which delivery was acked, by event
	again    []string    // acked, although an earlier delivery was
	progress int         // number of in-progress acks
}

func newAckLog(s broker) *ackLog {
	s.t.Helper()
	l := &ackLog{s: s, acked: make(map[int]int)}
	if !s.jetStream {
		return l
	}
	nc := s.Nats()
	_, err := nc.Subscribe("$JS.ACK."+channel+".>", l.note)
	if err == nil {
		err = nc.Flush() // the server has it before any member comes
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// note records an ack. Its subject names the delivery: stream, consumer, number of
// deliveries and sequence of the event.
func (l *ackLog) note(m *nats.Msg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	words := strings.Split(m.Subject, ".")
	delivery, _ := strconv.Atoi(words[4])
	event, _ := strconv.Atoi(words[5])
	switch what := string(m.Data); {
	case what == "+WPI":
		l.progress++
	case l.acked[event] > 0:
		l.again = append(l.again, what+" "+m.Subject)
	case what == "+ACK":
		l.acked[event] = delivery
	}
}

// told returns the number of in-progress acks.
func (l *ackLog) told() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress
}

// oneEach fails the test unless every event from 1 to n was acked once, and not
// delivered to any member after that.
func (l *ackLog) oneEach(n int) {
	l.s.t.Helper()
	if !l.s.jetStream {
		return
	}
	acked := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.acked)
	}
	brokertest.Eventually(l.s.t, "every event was acked", func() bool { return acked() >= n })
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.again) > 0 || len(l.acked) != n {
		l.s.t.Errorf("%d events were acked, and then: %v …", len(l.acked), l.again[:min(10, len(l.again))])
	}
}
