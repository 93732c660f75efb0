//go:build unix

package cli_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/brokertest/netsim"
)

// An event that stan.go can't read is dropped by it, which it says on stdout.
// There, it would be a record; and the listener has not handled everything.
func TestAnEventThatCantBeRead(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	store(t, server, 3)
	network := server.Network()
	network.Lie(func(message []byte) []byte {
		if payload := payloadOf(message); bytes.HasPrefix(payload, []byte("\x08\x02")) { // event 2
			return netsim.WithPayload(message, "\x08\x02\x12\xff")
		}
		return message
	})
	for _, group := range []string{"", "-g g --ack-wait 1s"} {
		p := runProcess(t, network.URL, strings.Fields("listen "+subject+" --idle 500ms --no-reconnect -o json "+group)...)
		p.endsWith(3, 30*time.Second)
		p.awaitSaying("dropping a message from the broker that can't be read: error during message unmarshal")
		p.awaitSaying("could not be read and were dropped")
		for i, line := range p.out.lines() {
			if !strings.HasPrefix(line, `{"subject":"ticket:created"`) || strings.Contains(line, `"sequence":2`) {
				t.Errorf("record %d: %s", i, line)
			}
		}
		if n := len(p.out.lines()); n != 2 {
			t.Errorf("%d records", n)
		}
	}
}

// Nor is an ack that can't be read a record.
func TestAnAckThatCantBeRead(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	network := server.Network()
	network.Lie(func(message []byte) []byte {
		if bytes.HasPrefix(message, []byte("MSG _STAN.acks.")) {
			return netsim.WithPayload(message, "\x0f")
		}
		return message
	})
	p := runProcess(t, network.URL, strings.Fields("publish "+subject+" --sample --timeout 1s")...)
	p.endsWith(5, 30*time.Second)
	p.awaitSaying("error during ack unmarshal")
	if lines := p.out.lines(); len(lines) > 0 {
		t.Errorf("on stdout: %q", lines)
	}
}
