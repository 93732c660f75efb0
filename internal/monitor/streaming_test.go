package monitor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/stan.go"

	"nats-test/internal/brokertest"
	"nats-test/internal/monitor"
)

func streaming(server *brokertest.Server) *monitor.Streaming {
	return &monitor.Streaming{
		Base: server.Monitor, Cluster: "ticketing", Timeout: 5 * time.Second,
		Ask: &monitor.Heartbeats{NC: server.Nats()},
	}
}

func client(t testing.TB, server *brokertest.Server, id string) stan.Conn {
	t.Helper()
	sc, err := stan.Connect("ticketing", id, stan.NatsURL(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sc.Close() })
	return sc
}

func publish(t testing.TB, sc stan.Conn, channel string, n int) {
	t.Helper()
	for range n {
		if err := sc.Publish(channel, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
}

// subscribe joins a group of "orders" and leaves its events unacked.
func subscribe(t testing.TB, sc stan.Conn, group string, got chan<- uint64, opts ...stan.SubscriptionOption) stan.Subscription {
	t.Helper()
	sub, err := sc.QueueSubscribe("orders", group, func(m *stan.Msg) { got <- m.Sequence },
		append(opts, stan.SetManualAckMode(), stan.DeliverAllAvailable())...)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func TestSnapshotOfNATSStreaming(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{StreamingExtra: `store_limits: {
		max_msgs: 50
		channels: { "small.*": { max_msgs: 5 }, "small.none": { max_msgs: -1 } }
	}`})
	a, b := client(t, server, "a"), client(t, server, "b")
	got := make(chan uint64, 100)
	publish(t, a, "orders", 10)
	publish(t, a, "small.one", 7)
	publish(t, a, "small.none", 1)
	publish(t, a, "empty", 1)
	// Two members hold two events each; a durable of one client holds one and is
	// closed; one that is not durable gets all.
	subscribe(t, a, "workers", got, stan.DurableName("d"), stan.MaxInflight(2))
	subscribe(t, b, "workers", got, stan.DurableName("d"), stan.MaxInflight(2))
	single := subscribe(t, b, "", got, stan.DurableName("own"), stan.MaxInflight(1))
	subscribe(t, b, "", got, stan.MaxInflight(64))
	for range 2 + 2 + 1 + 10 {
		<-got
	}
	if err := single.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := streaming(server).Read(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Clients != 2 || s.Dead != 0 || s.Total != 4 || s.Cluster != "ticketing" || s.MaxChannels != 100 {
		t.Errorf("%+v", s)
	}
	channels := make(map[string]*monitor.Channel)
	for _, c := range s.Channels {
		channels[c.Name] = c
	}
	for name, limit := range map[string]uint64{"orders": 50, "small.one": 5, "small.none": 0, "empty": 50} {
		if c := channels[name]; c == nil || c.MaxEvents != limit {
			t.Errorf("%s: limit %+v, want %d", name, c, limit)
		}
	}
	if c := channels["small.one"]; c.Events != 5 || c.First != 3 || c.Last != 7 {
		t.Errorf("%+v", c)
	}
	subs := make(map[string]*monitor.Subscription)
	for _, sub := range channels["orders"].Subscriptions {
		subs[sub.Who()] = sub
	}
	if len(subs) != 3 {
		t.Fatalf("%v", subs)
	}
	group := subs["group workers"]
	if group == nil || group.Durable != "d" || len(group.Members) != 2 || group.Delivered != 4 || group.Lag != 6 || group.Unacked != 4 ||
		!group.Stalled || group.Offline || group.Present() != 2 {
		t.Errorf("%+v", group)
	}
	for _, m := range group.Members {
		if m.State != monitor.Alive || m.Unacked != 2 || m.MaxInFlight != 2 || !m.Stalled {
			t.Errorf("%+v", m)
		}
	}
	own := subs["durable own of b"]
	if own == nil || !own.Offline || own.Lag != 9 || own.Unacked != 1 || own.Present() != 0 {
		t.Errorf("%+v", own)
	}
	if alone := subs["client b"]; alone == nil || alone.Lag != 0 || alone.Survives() {
		t.Errorf("%+v", alone)
	}
	narrow, err := streaming(server).Read(t.Context(), []string{"small.one", "nothing"})
	if err != nil || len(narrow.Channels) != 1 || len(narrow.Absent) != 1 || narrow.Absent[0] != "nothing" {
		t.Errorf("%+v, %v", narrow, err)
	}
	narrow, err = streaming(server).Read(t.Context(), []string{"small*", "nothing*"})
	if err != nil || len(narrow.Channels) != 2 || len(narrow.Absent) != 1 || narrow.Absent[0] != "nothing*" {
		t.Errorf("%+v, %v", narrow, err)
	}
}

// More channels and clients than a page holds.
func TestAllPagesAreRead(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{Memory: true, StreamingExtra: "store_limits: { max_channels: 2000 }"})
	sc := client(t, server, "a")
	const n = 1100
	for i := range n {
		_, err := sc.PublishAsync(fmt.Sprintf("c%d", i), []byte("x"), func(_ string, err error) {
			if err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	from := streaming(server)
	brokertest.Eventually(t, "all channels are there", func() bool {
		s, err := from.Read(t.Context(), nil)
		return err == nil && len(s.Channels) == n && s.Total == n
	})
}

func TestOtherServers(t *testing.T) {
	plain := brokertest.Start(t, brokertest.Config{Plain: true})
	other := brokertest.Start(t, brokertest.Config{Cluster: "other"})
	for server, want := range map[*brokertest.Server]string{
		plain: "without NATS Streaming", other: `of the cluster "other", not of "ticketing"`,
	} {
		if _, err := streaming(server).Read(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A fake answers as NATS Streaming does, or as it must not.
type fake struct {
	role     string
	clients  func(w http.ResponseWriter, r *http.Request)
	channels func(w http.ResponseWriter, r *http.Request)
}

func (f fake) start(t testing.TB) string {
	t.Helper()
	mux := http.NewServeMux()
	write := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	mux.HandleFunc("/streaming/serverz", write(`{"cluster_id":"ticketing","channels":1,"role":"`+f.role+`"}`))
	mux.HandleFunc("/streaming/storez", write(`{"limits":{}}`))
	for path, answer := range map[string]http.HandlerFunc{"/streaming/clientsz": f.clients, "/streaming/channelsz": f.channels} {
		if answer == nil {
			answer = write(`{}`)
		}
		mux.HandleFunc(path, answer)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func page(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

type object = map[string]any

// A client that leaves between two requests is not called dead.
func TestClientThatLeaves(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{Plain: true})
	asked := 0
	base := fake{
		channels: func(w http.ResponseWriter, _ *http.Request) {
			page(w, object{"total": 1, "channels": []object{{"name": "c", "subscriptions": []object{
				{"client_id": "left-before", "queue_name": "g"}, {"client_id": "leaves", "queue_name": "g", "pending_count": 3},
				{"client_id": "dead", "queue_name": "g", "pending_count": 3},
			}}}})
		},
		clients: func(w http.ResponseWriter, _ *http.Request) {
			clients := []object{{"id": "dead", "hb_inbox": "_INBOX.dead"}}
			if asked++; asked == 1 {
				clients = append(clients, object{"id": "leaves", "hb_inbox": "_INBOX.leaves"})
			}
			page(w, object{"total": len(clients), "clients": clients})
		},
	}.start(t)
	from := streaming(server)
	from.Base = base
	s, err := from.Read(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Channels[0].Subscriptions[0].Members {
		want := map[string]monitor.State{"left-before": monitor.Gone, "leaves": monitor.Gone, "dead": monitor.Dead}[m.Client]
		if m.State != want {
			t.Errorf("%s is %s, want %s", m.Client, m.State, want)
		}
	}
	(&monitor.History{}).Add(s)
	if all := s.Judge(0); len(all) != 0 || !s.Doubtful(0) {
		t.Errorf("after one look, %+v, doubtful: %v", all, s.Doubtful(0))
	}
	for i := range s.Channels[0].Subscriptions[0].Members {
		s.Channels[0].Subscriptions[0].Members[i].SilentFor = 3 * time.Second
	}
	if all := s.Judge(0); len(all) != 1 || all[0].Client != "dead" {
		t.Errorf("%+v", all)
	}
}

func TestFollowerIsNoted(t *testing.T) {
	from := streaming(brokertest.Start(t, brokertest.Config{Plain: true}))
	for role, notes := range map[string]int{"": 0, "Leader": 0, "Follower": 1} {
		from.Base = fake{role: role}.start(t)
		if s, err := from.Read(t.Context(), nil); err != nil || len(s.Notes) != notes {
			t.Errorf("%s: %+v, %v", role, s, err)
		}
	}
}

// The addresses of clients come from the monitoring port: nothing but an inbox
// is sent to.
func TestOnlyInboxesAreAsked(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{Plain: true})
	nc := server.Nats()
	heard, err := nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	ask := &monitor.Heartbeats{NC: server.Nats(), Prefix: "mine"}
	inboxes := []string{"$JS.API.STREAM.DELETE.orders", "ticket:created", "_INBOX.a b", "_INBOX.>", "", "_INBOX", "mines.x",
		"_INBOX." + strings.Repeat("x", 300), "_INBOX.dead", "mine.dead", "_INBOX.dead"}
	states, err := ask.States(t.Context(), inboxes)
	if err != nil {
		t.Fatal(err)
	}
	for _, inbox := range inboxes {
		if dead := inbox == "_INBOX.dead" || inbox == "mine.dead"; dead != (states[inbox] == monitor.Hung) {
			// Somebody hears all: there is an interest, and no answer.
			t.Errorf("%q is %s", inbox, states[inbox])
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for n, _, _ := heard.Pending(); n > 0; n-- {
		if m, err := heard.NextMsg(time.Second); err == nil && m.Subject != "_INBOX.dead" && m.Subject != "mine.dead" {
			t.Errorf("something was sent to %q", m.Subject)
		}
	}
}

// Clients that may not be asked are not called dead or hung.
func TestClientsMayNotBeAsked(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{Plain: true, Extra: `authorization {
		users = [ { user: u, password: p, permissions: { publish: "allowed", subscribe: ">" } } ]
	}`})
	u := strings.Replace(server.URL, "nats://", "nats://u:p@", 1)
	nc, err := nats.Connect(u)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	states, err := (&monitor.Heartbeats{NC: nc}).States(t.Context(), []string{"_INBOX.x"})
	if err != nil || states["_INBOX.x"] != monitor.Unasked {
		t.Errorf("%v, %v", states, err)
	}
}

// A monitoring port that says it has more than it gives ends a look in bounded
// time and memory.
func TestHostileMonitor(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{Plain: true})
	junk := []byte(`{"total":1000000000,"channels":[` + strings.Repeat("{},", 20_000) + `{}]}`)
	for name, f := range map[string]fake{
		"endless pages": {channels: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(junk) }},
		"endless page":  {clients: func(w http.ResponseWriter, r *http.Request) { endless(w, r, `{"clients":[`, `{"id":"a"},`) }},
		"wrong types":   {channels: func(w http.ResponseWriter, _ *http.Request) { page(w, object{"channels": "none"}) }},
		"empty objects": {channels: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"channels":[` + strings.Repeat(`{},`, 1<<21) + `{}]}`))
		}},
		"nothing at all": {channels: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"channels":[` + strings.Repeat(`null,`, 1<<21) + `null]}`))
		}},
		"negative counts": {channels: func(w http.ResponseWriter, _ *http.Request) { page(w, object{"channels": []object{{"msgs": -1}}}) }},
		"half a page":     {clients: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"total":5,"clients":[{"id":`)) }},
		"HTML":            {clients: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`<html>`)) }},
		"redirect": {channels: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, server.Monitor+"/varz", http.StatusFound)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			from := streaming(server)
			from.Base = f.start(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // the race detector is slow
			defer cancel()
			s, err := from.Read(ctx, nil)
			if err == nil {
				t.Fatalf("%d channels", len(s.Channels))
			}
			if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
				t.Errorf("only the deadline ended it: %v", err)
			}
		})
	}
}

func endless(w http.ResponseWriter, r *http.Request, head, body string) {
	_, _ = w.Write([]byte(head))
	more := []byte(strings.Repeat(body, 1<<16))
	for r.Context().Err() == nil {
		if _, err := w.Write(more); err != nil {
			return
		}
	}
}

// 100,000 subscriptions in one answer are read.
func TestManySubscriptions(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{Plain: true})
	const n = 100_000
	subs, clients := make([]object, n), make([]object, n)
	for i := range n {
		id := fmt.Sprintf("client-%06d", i)
		subs[i] = object{"client_id": id, "queue_name": "d:g", "is_durable": true, "last_sent": 7, "max_inflight": 1024,
			"ack_wait": 30, "inbox": "_INBOX." + id, "ack_inbox": "_INBOX.ack" + id}
		clients[i] = object{"id": id, "hb_inbox": "_INBOX." + id}
	}
	from := streaming(server)
	from.Timeout = time.Minute // the race detector is slow
	from.Base = fake{
		channels: func(w http.ResponseWriter, _ *http.Request) {
			page(w, object{"total": 1, "channels": []object{{"name": "c", "last_seq": 9, "first_seq": 1, "subscriptions": subs}}})
		},
		clients: func(w http.ResponseWriter, r *http.Request) {
			var offset, limit int
			_, _ = fmt.Sscan(r.URL.Query().Get("offset"), &offset)
			_, _ = fmt.Sscan(r.URL.Query().Get("limit"), &limit)
			page(w, object{"total": n, "clients": clients[offset:min(n, offset+limit)]})
		},
	}.start(t)
	s, err := from.Read(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if members := s.Channels[0].Subscriptions[0].Members; len(members) != n || s.Clients != n || s.Dead != n {
		t.Errorf("%d members, %d clients, %d dead", len(members), s.Clients, s.Dead)
	}
}
