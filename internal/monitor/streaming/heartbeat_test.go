package streaming_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"nats-test/internal/brokertest"
	"nats-test/internal/monitor"
	"nats-test/internal/monitor/streaming"
)

// Whoever hears the question can send what the server says where nobody is
// there. Neither a client that hangs nor one that lives is called dead by that.
func TestForgedAbsence(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{Plain: true})
	forger, live := server.Nats(), server.Nats()
	if _, err := forger.Subscribe("_INBOX.>", func(m *nats.Msg) {
		if m.Reply != "" {
			_ = forger.PublishMsg(&nats.Msg{Subject: m.Reply, Header: nats.Header{"Status": {"503"}}})
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := live.Subscribe("_INBOX.live.*", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	for _, nc := range []*nats.Conn{forger, live} {
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	var inboxes []string
	for n := range 100 {
		inboxes = append(inboxes, fmt.Sprintf("_INBOX.live.%d", n), fmt.Sprintf("_INBOX.hung.%d", n), fmt.Sprintf("mine.dead.%d", n))
	}
	states, err := (&streaming.Heartbeats{NC: server.Nats(), Prefix: "mine"}).States(t.Context(), inboxes)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		for inbox, want := range map[string]monitor.State{"_INBOX.live": monitor.Alive, "_INBOX.hung": monitor.Hung, "mine.dead": monitor.Dead} {
			if got := states[fmt.Sprintf("%s.%d", inbox, n)]; got != want {
				t.Errorf("%s.%d is %s", inbox, n, got)
			}
		}
	}
}
