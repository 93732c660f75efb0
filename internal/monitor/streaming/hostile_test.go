package streaming_test

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

	"nats-test/internal/brokertest"
	"nats-test/internal/monitor"
	"nats-test/internal/monitor/streaming"
)

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
	from := reader(server)
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
	from := reader(brokertest.Start(t, brokertest.Config{Plain: true}))
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
	ask := &streaming.Heartbeats{NC: server.Nats(), Prefix: "mine"}
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
	states, err := (&streaming.Heartbeats{NC: nc}).States(t.Context(), []string{"_INBOX.x"})
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
			from := reader(server)
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
	from := reader(server)
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
