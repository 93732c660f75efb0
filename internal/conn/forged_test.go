package conn_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go/pb"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// What a neighbour sends to a subscription of NATS Streaming is checked: the
// inbox is known to whoever may look at the monitoring port.
func TestForgedEventOfNATSStreaming(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	brokertest.NoLeaks(t)
	network := s.Network()
	o, told := options(t, s), &lines{}
	o.Servers, o.Notify = network.URL, told.add
	nc := s.Nats()
	requests, err := nc.SubscribeSync("_STAN.sub.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	r := run(t, member(o, "orders"), &recorder{})
	m, err := requests.NextMsgWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var asked pb.SubscriptionRequest
	if err := asked.Unmarshal(m.Data); err != nil {
		t.Fatal(err)
	}
	publish(t, options(t, s), "orders", 1, 1)
	r.await(1)
	for _, forged := range []pb.MsgProto{{Subject: "others", Sequence: 2, Data: []byte("forged")}, {Subject: "orders", Data: []byte("forged")}} {
		data, err := forged.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Publish(asked.Inbox, data); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, options(t, s), "orders", 2, 2)
	r.await(2)
	r.stopCleanly()
	if got := r.seen(); !slices.Equal(got, numbers(1, 2)) || told.saying("an unexpected message") != 1 {
		t.Errorf("handled %v: %q", got, told.all)
	}
}

// A roll call's answer goes to an inbox: another subject would be sent to with
// the rights of who answers.
func TestRollCallAnswersGoToInboxes(t *testing.T) {
	t.Parallel()
	s, _ := onJetStream(t, "")
	o := options(t, s)
	o.InboxPrefix = "mine"
	publish(t, o, "orders", 1, 1)
	r := run(t, member(o, "orders"), &recorder{})
	r.await(1)
	nc := s.Nats()
	heard, err := nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	call := link.Roll("jetstream", "orders", "workers_orders")
	for _, reply := range []string{"orders", "$JS.API.STREAM.PURGE.orders", "mines.x", "_INBOX.x", "mine.x"} {
		if err := nc.PublishRequest(call, reply, nil); err != nil {
			t.Fatal(err)
		}
	}
	answered := map[string]bool{}
	for !answered["mine.x"] { // answers come in the order of the calls
		m, err := heard.NextMsgWithContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(m.Data, []byte(`"client"`)) {
			answered[m.Subject] = true
		}
	}
	if len(answered) != 2 || !answered["_INBOX.x"] {
		t.Errorf("answers went to %v", answered)
	}
	r.stopCleanly()
}

// A neighbour that says in the server's words that nobody is there does not hide
// who answers a little later.
func TestForgedAbsenceOfMembers(t *testing.T) {
	t.Parallel()
	s, _ := onJetStream(t, "")
	nc := s.Nats()
	roll := link.Roll("jetstream", "orders", "workers_orders")
	if _, err := nc.Subscribe(roll, func(m *nats.Msg) {
		_ = nc.PublishMsg(&nats.Msg{Subject: m.Reply, Header: status("503", "")})
		time.AfterFunc(5*time.Millisecond, func() { _ = m.Respond([]byte(`{"client":"late"}`)) })
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	found, err := observe(t, options(t, s)).Consumers(t.Context(), [][2]string{{"orders", "workers_orders"}})
	if err != nil || len(found) != 1 || len(found[0]) != 1 || found[0][0].Client != "late" {
		t.Errorf("%+v, %v", found, err)
	}
}

// Who knows one of a listener's inboxes can't tell the others from it.
func TestInboxesHaveNothingInCommon(t *testing.T) {
	t.Parallel()
	s, _ := onJetStream(t, "")
	o := options(t, s)
	publish(t, o, "orders", 1, 1)
	publish(t, o, "bills", 1, 1)
	nc := s.Nats()
	requests, err := nc.SubscribeSync("*.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	l := member(o, "orders")
	l.Options.Backend = broker.JetStream // who hears all would seem to be NATS Streaming
	l.Subjects = append(l.Subjects, "bills")
	r := run(t, l, &recorder{})
	r.await(2)
	if _, err := l.Members(t.Context()); err != nil {
		t.Fatal(err)
	}
	begins := map[string]string{} // of inboxes, with what they are for
	for kinds := map[string]bool{}; len(kinds) < 4; {
		m, err := requests.NextMsgWithContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		what, own := "requests", strings.HasPrefix(m.Reply, "_INBOX.")
		switch {
		case !own:
			continue
		case strings.Contains(m.Subject, ".MSG.NEXT."):
			what = m.Subject
		case strings.HasPrefix(m.Subject, "_LISTEN.members."):
			what = "roll calls"
		}
		kinds[what] = true
		begin := m.Reply[:len("_INBOX.")+6]
		if other, twice := begins[begin]; twice && other != what {
			t.Errorf("inboxes of %s and %s begin with %s", other, what, begin)
		}
		begins[begin] = what
	}
	r.stopCleanly()
}
