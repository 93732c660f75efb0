//go:build unix

package cli_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
)

// A situation is an error's situation, with the messages expected.
type situation struct {
	url  string
	args []string
	code int
	says string // parts, with | between
	not  string // none of these parts
}

// holds runs the program and checks its messages.
func (s situation) holds(t *testing.T) {
	t.Helper()
	p := runProcess(t, s.url, s.args...)
	p.endsWith(s.code, time.Minute)
	said := p.errors.all()
	for part := range strings.SplitSeq(s.says, "|") {
		if !strings.Contains(said, part) {
			t.Errorf("does not say %q", part)
		}
	}
	for part := range strings.SplitSeq(s.not, "|") {
		if part != "" && strings.Contains(said, part) {
			t.Errorf("says %q", part)
		}
	}
}

// inAnyCase must not appear if a server answers.
const inAnyCase = "make server|make pf|no server answers|perhaps for too many clients"

var oneEvent = []string{"publish", "ticket:created", "--sample"}

func withFlags(flags ...string) []string { return append(append([]string(nil), oneEvent...), flags...) }

// connected returns a client of the server that stays.
func connected(t *testing.T, server *brokertest.Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc := server.Nats(opts...)
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return nc
}

// scheme is a URL with another one.
func scheme(url, other string) string {
	_, rest, _ := strings.Cut(url, "://")
	return other + "://" + rest
}

// The reason that a server sends before it closes the connection is reported,
// however fast it closes: over TCP, TLS and WebSocket.
func TestReasonOfAServerThatCloses(t *testing.T) {
	t.Parallel()
	full := brokertest.Start(t, brokertest.Config{Plain: true, Extra: "max_connections: 1\nwebsocket { listen: \"127.0.0.1:-1\", no_tls: true }"})
	connected(t, full)
	users := brokertest.Start(t, brokertest.Config{Plain: true, Extra: `accounts {
		ONE { users: [ { user: one, password: s3cret } ], limits: { max_connections: 1 } }
		NONE { users: [ { user: none, password: s3cret } ], limits: { max_subscriptions: 0 } }
	}
	websocket { listen: "127.0.0.1:-1", no_tls: true }`})
	connected(t, users, nats.UserInfo("one", "s3cret"))
	const crowded = "no more clients are accepted: nats: maximum |raise max_connections"
	for name, s := range map[string]situation{
		"server":              {full.URL, oneEvent, 3, crowded, inAnyCase},
		"server, WebSocket":   {webSocketOf(t, full), oneEvent, 3, crowded, inAnyCase},
		"account":             {users.URL, withFlags("--user", "one", "--password", "s3cret"), 3, crowded + "|maximum account active connections", inAnyCase + "|credentials"},
		"account, WebSocket":  {webSocketOf(t, users), withFlags("--user", "one", "--password", "s3cret"), 3, crowded, inAnyCase + "|credentials"},
		"password":            {users.URL, withFlags("--user", "one", "--password", "wr0ng"), 3, "refused the credentials|check user", inAnyCase},
		"password, WebSocket": {webSocketOf(t, users), withFlags("--user", "one", "--password", "wr0ng"), 3, "refused the credentials|check user", inAnyCase},
		"nothing, WebSocket":  {webSocketOf(t, users), oneEvent, 3, "refused the credentials|hint: give valid credentials", inAnyCase},
		"subscriptions":       {users.URL, withFlags("--user", "none", "--password", "s3cret"), 3, "no more subscriptions are accepted|max_subscriptions", inAnyCase},
		"doctor":              {full.URL, []string{"listen", "doctor"}, 3, crowded, inAnyCase},
		"doctor, WebSocket":   {webSocketOf(t, full), []string{"listen", "doctor"}, 3, crowded, inAnyCase},
		"listen":              {full.URL, []string{"listen", "ticket:created"}, 3, crowded, inAnyCase},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 20 {
				s.holds(t)
			}
		})
	}
}

// logged returns the rest of a line in the server's log after words.
func logged(t *testing.T, server *brokertest.Server, words string) string {
	t.Helper()
	_, rest, found := strings.Cut(server.Log(), words)
	if !found {
		t.Fatal(server.Log())
	}
	rest, _, _ = strings.Cut(rest, "\n")
	return strings.TrimSpace(rest)
}

// webSocketOf returns the URL for WebSockets of a server.
func webSocketOf(t *testing.T, server *brokertest.Server) string {
	t.Helper()
	return logged(t, server, "Listening for websocket clients on ")
}

// Another port than that for clients, or a server of another kind.
func TestReasonOfTheWrongPort(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, Extra: `cluster { name: c, listen: "127.0.0.1:-1" }
	leafnodes { listen: "127.0.0.1:-1" }
	websocket { listen: "127.0.0.1:-1", no_tls: true }`})
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	for name, s := range map[string]situation{
		"monitoring":           {scheme(server.Monitor, "nats"), oneEvent, 3, "not NATS|the monitoring port of a NATS server|clients go to its port " + server.URL[strings.LastIndex(server.URL, ":")+1:], "make server"},
		"monitoring, patient":  {server.Monitor, withFlags("--timeout", "10m"), 3, "not NATS|hint: |the monitoring port of a NATS server", "make server"},
		"web":                  {scheme(web.URL, "nats"), oneEvent, 3, "not NATS|HTTP/1.1 400|hint: check --server", "make server|monitoring port of"},
		"WebSocket, not named": {scheme(webSocketOf(t, server), "nats"), oneEvent, 3, "not NATS|ws://", "make server"},
		"WebSocket, not there": {scheme(server.URL, "ws"), oneEvent, 3, "not for clients|nats://", "make server"},
		"TLS, not there":       {scheme(server.URL, "tls"), oneEvent, 3, "nats: secure connection not available|use nats://", "make server"},
		"WSS, not there":       {scheme(server.URL, "wss"), oneEvent, 3, "no secure connection|wss:// out of", "make server"},
		"leaf nodes":           {"nats://" + logged(t, server, "Listening for leafnode connections on "), oneEvent, 3, "not for clients", "make server"},
		"Redis":                {mute(t, "-ERR unknown command\r\n"), oneEvent, 3, "not NATS", "make server"},
		"one of two":           {scheme(server.Monitor, "nats") + "," + server.URL, withFlags("--timeout", "10m"), 3, "JetStream is not enabled", ""},
		"nothing":              {"nats://127.0.0.1:1", oneEvent, 3, "no server answers|make server", ""},
		"nothing, elsewhere":   {"nats://127.0.0.1:1,nats://no-such-host.invalid:1", oneEvent, 3, "no server answers", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.holds(t)
		})
	}
}

// A broker of another kind than requested, or one that is not ready.
func TestReasonOfTheBroker(t *testing.T) {
	t.Parallel()
	streaming := brokertest.Start(t, brokertest.Config{})
	other := brokertest.Start(t, brokertest.Config{Cluster: "other"})
	lonely := brokertest.Start(t, brokertest.Config{Plain: true})
	monitored := func(s *brokertest.Server, flags ...string) []string {
		return withFlags(append(flags, "--monitor", s.Monitor)...)
	}
	accounts := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: `accounts {
		WITH { jetstream: enabled, users: [ { user: with, password: s3cret } ] }
		WITHOUT { users: [ { user: without, password: s3cret } ] }
	}
	no_auth_user: with`})
	hub := brokertest.Start(t, brokertest.Config{Plain: true, Extra: fmt.Sprintf(
		"jetstream { store_dir: %q, domain: hub }\nleafnodes { listen: \"127.0.0.1:-1\" }", t.TempDir())})
	if _, err := hub.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: "tickets", Subjects: []string{"ticket:created"}}); err != nil {
		t.Fatal(err)
	}
	leaf := brokertest.Start(t, brokertest.Config{Plain: true, Extra: fmt.Sprintf(
		"leafnodes { remotes: [ { url: \"nats://%s\" } ] }", logged(t, hub, "Listening for leafnode connections on "))})
	few := brokertest.Start(t, brokertest.Config{Plain: true, Extra: fmt.Sprintf(`jetstream { store_dir: %q }
	accounts { FEW { jetstream: enabled, users: [ { user: few, password: s3cret } ], limits: { max_subscriptions: 1 } } }
	no_auth_user: few`, t.TempDir())})
	if _, err := few.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: "tickets", Subjects: []string{"ticket:created"}}); err != nil {
		t.Fatal(err)
	}
	runProcess(t, streaming.URL, "listen", "ticket:created", "--durable", "d").awaitSaying("listening to")
	runProcess(t, streaming.URL, "listen", "ticket:created", "--client-id", "me").awaitSaying("listening to")
	for name, s := range map[string]situation{
		"a durable's second listener": {streaming.URL, []string{"listen", "ticket:created", "--durable", "d"}, 3, "one listener at a time", "--client-id"},
		"few subscriptions":           {few.URL, []string{"listen", "ticket:created", "--until-end"}, 3, "no more subscriptions are accepted|max_subscriptions", inAnyCase},
		"a client ID twice":           {streaming.URL, []string{"listen", "ticket:created", "--client-id", "me"}, 3, "leave out --client-id", ""},
		"another's monitoring port":   {lonely.URL, monitored(streaming), 3, "does not belong to", "belongs"},
		"another cluster":             {other.URL, monitored(other), 3, `--cluster other`, "another server|does not belong"},
		"a plain server":              {lonely.URL, monitored(lonely), 3, "start it with -js", "--domain"},
		"a leaf node, with domain":    {leaf.URL, monitored(leaf, "--domain", "hub"), 0, "JetStream at", ""},
		"a leaf node":                 {leaf.URL, monitored(leaf), 3, "--domain NAME", ""},
		"no such domain":              {accounts.URL, monitored(accounts, "--domain", "nowhere", "--user", "with", "--password", "s3cret"), 3, "connecting to JetStream of domain \"nowhere\", or cluster|no JetStream of that domain|check the domain", "-js|no NATS Streaming cluster"},
		"no such domain, doctor":      {accounts.URL, []string{"listen", "doctor", "--domain", "nowhere", "--user", "with", "--password", "s3cret"}, 3, "asking for JetStream at |check the domain", "asking for NATS Streaming at"},
		"account without":             {accounts.URL, monitored(accounts, "--user", "without", "--password", "s3cret"), 3, "for this account|enable JetStream for the account", "-js"},
		"account without, named":      {accounts.URL, monitored(accounts, "--user", "without", "--password", "s3cret", "--backend", "jetstream"), 3, "for this account|enable JetStream for the account", "-js"},
		"NATS Streaming alone":        {streaming.URL, monitored(streaming, "--backend", "jetstream"), 3, `this is NATS Streaming with the cluster "ticketing"`, "-js"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.holds(t)
		})
	}
}

// A server of the cluster that takes no clients is not called absent, nor its
// monitoring port another's. (Observed with nats-streaming-server 0.25.6: with
// one of three servers of a cluster, and while it reads a large store.)
func TestReasonOfAClusterThatIsNotReady(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true})
	id := connected(t, server).ConnectedServerId()
	for name, test := range map[string]struct{ id, state, says string }{
		"no leader":       {id, `"state":"CLUSTERED","role":"Follower"`, `belongs to the cluster "ticketing", as Follower|no leader answers`},
		"standby":         {id, `"state":"FT_STANDBY"`, "is a standby"},
		"starting":        {id, `"state":"STANDALONE"`, "may still be starting"},
		"another's":       {"OTHER", `"state":"STANDALONE"`, `does not belong to ` + server.URL},
		"hostile words":   {id, `"state":"CLUSTERED","role":"\u001b[31m` + strings.Repeat("x", 1000) + `"`, `\u001b[31m|no leader answers`},
		"another cluster": {id, `"cluster_id":"$(rm)"`, `--cluster '$(rm)'`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/varz":
					_, _ = fmt.Fprintf(w, `{"server_id":%q,"server_name":"n"}`, test.id)
				case "/streaming/serverz":
					_, _ = fmt.Fprintf(w, `{"cluster_id":"ticketing",%s}`, test.state)
				default:
					http.NotFound(w, r)
				}
			}))
			defer port.Close()
			not := "--cluster ticketing|-js|belongs to another"
			situation{server.URL, withFlags("--monitor", port.URL), 3, test.says, not + "|--cluster $(rm)"}.holds(t)
			situation{server.URL, []string{"listen", "doctor", "--monitor", port.URL}, 3, test.says, not}.holds(t)
		})
	}
}

// Errors of the API are reported as such. (Here, a client sends them.)
func TestReasonOfAnAnswerOfJetStream(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true})
	nc := connected(t, server)
	answers := func(subject, answer string) {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte(answer)) }); err != nil {
			t.Fatal(err)
		}
	}
	answers("$JS.API.INFO", `{"memory":0}`)
	answers("$JS.API.STREAM.NAMES", `{"total":1,"limit":1024,"streams":["S"]}`)
	answers("$JS.API.STREAM.INFO.S", `{"error":{"code":500,"err_code":10118,"description":"stream is offline"}}`)
	answers("ticket:created", `{"error":{"code":503,"err_code":10047,"description":"insufficient storage resources available"}}`)
	answers("ticket:updated", `{"error":{"code":429,"err_code":10167,"description":"too many requests"}}`)
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	const short = "--timeout=1s"
	for name, s := range map[string]situation{
		"offline": {server.URL, []string{"listen", "ticket:created", "--until-end", short}, 3, "it is offline: |the servers that store it are down", inAnyCase + "|a majority"},
		"no room": {server.URL, withFlags(short), 5, "no room for more|max_file_store", inAnyCase + "|discard"},
		"busy":    {server.URL, []string{"publish", "ticket:updated", "--sample", short}, 3, "too many requests|overloaded", inAnyCase + "|leader"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.holds(t)
		})
	}
}

// A cluster that has lost most of its servers.
func TestReasonOfAClusterWithoutALeader(t *testing.T) {
	t.Parallel()
	c := brokertest.StartCluster(t, 3)
	c.CreateStream(jetstream.StreamConfig{Name: "tickets", Subjects: []string{"ticket:created"}, Replicas: 3})
	c.Servers[1].Kill()
	c.Servers[2].Kill()
	url, js := c.Servers[0].URL, c.Servers[0].JetStream()
	brokertest.Eventually(t, "the server that is left knows it", func() bool {
		_, err := js.AccountInfo(t.Context())
		api, answered := errors.AsType[*jetstream.APIError](err)
		return answered && api.ErrorCode == 10008
	})
	for name, s := range map[string]situation{
		"publish": {url, withFlags("--timeout", "10s"), 3, "no leader answers|a majority of the servers", inAnyCase},
		"listen":  {url, []string{"listen", "ticket:created", "--until-end", "--timeout", "10s"}, 3, "no leader answers|a majority of the servers", inAnyCase},
		"doctor":  {url, []string{"listen", "doctor", "--timeout", "10s"}, 3, "no leader answers|a majority of the servers", inAnyCase},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.holds(t)
		})
	}
}
