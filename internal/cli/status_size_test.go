//go:build unix

package cli_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/brokertest"
)

// told starts a NATS server that claims to be a cluster, and a monitoring port with
// these answers by path. asked receives the paths requested.
func told(t *testing.T, answers map[string]string) (server *brokertest.Server, monitor string, asked chan string) {
	t.Helper()
	server, asked = brokertest.Start(t, brokertest.Config{Plain: true}), make(chan string, 1000)
	own, err := url.Parse(server.Monitor)
	if err != nil {
		t.Fatal(err)
	}
	truth := httputil.NewSingleHostReverseProxy(own)
	port := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		if r.URL.Path == "/varz" { // that of the server
			truth.ServeHTTP(w, r)
			return
		}
		_, _ = w.Write([]byte(answers[r.URL.Path]))
	}))
	t.Cleanup(port.Close)
	nc := server.Nats()
	if _, err := nc.Subscribe("_STAN.discover.ticketing.pings", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return server, port.URL, asked
}

// many joins n texts made from their numbers.
func many(n int, make func(n int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(make(i))
	}
	return b.String()
}

// large are answers that are all as long as is read, or one part of that.
func large(part int) map[string]map[string]string {
	base := func(channels, clients, limits string) map[string]string {
		return map[string]string{
			"/streaming/serverz":   `{"cluster_id":"ticketing","channels":1}`,
			"/streaming/storez":    `{"limits":{"channels":{` + limits + `}}}`,
			"/streaming/clientsz":  `{"total":1,"clients":[` + clients + `]}`,
			"/streaming/channelsz": `{"total":1,"channels":[` + channels + `]}`,
		}
	}
	channel := func(name, subs string) string {
		return fmt.Sprintf(`{"name":%q,"first_seq":1,"last_seq":9,"msgs":9,"subscriptions":[%s]}`, name, subs)
	}
	sub := func(client, group string) string {
		return fmt.Sprintf(`{"client_id":%q,"queue_name":%q,"is_durable":true,"pending_count":3}`, client, "d:"+group)
	}
	client := func(n int) string { return fmt.Sprintf(`{"id":"c%d","hb_inbox":"_INBOX.c%d"}`, n, n) }
	return map[string]map[string]string{
		"limits": base(many(5000/part, func(n int) string { return channel(fmt.Sprintf("a.b%d.c.d%d.e", n, n), "") }), "",
			many(5000/part, func(n int) string { return fmt.Sprintf(`"a.*.c.d%d.*":{"max_msgs":9}`, n) })),
		"filters that all match": base(many(5000/part, func(n int) string { return channel(fmt.Sprintf("a.a.a.a.a.a.a.a.a.a.a.a.%d", n), "") }), "",
			many(4096/part, func(n int) string {
				return `"` + strings.NewReplacer("0", "a.", "1", "*.").Replace(fmt.Sprintf("%012b", n)) + `>":{"max_msgs":9}`
			})),
		"members of a group": base(channel("c", many(50_000/part, func(n int) string { return sub(fmt.Sprint("c", n), "g") })), many(50_000/part, client), ""),
		"groups of a client": base(channel("c", many(50_000/part, func(n int) string { return sub("c0", fmt.Sprint("g", n)) })), client(0), ""),
		"long names":         base(channel(strings.Repeat("a.", 10<<20/part), sub(strings.Repeat("b", 1<<20/part), strings.Repeat("g ", 10<<20/part))), "", ""),
	}
}

// The work for reading the state grows linearly with its size: eight times as much
// data takes less than 16 times the work.
func TestStatusOfMuch(t *testing.T) {
	const parts, most = 8, 2 * 8
	small := large(parts)
	for name, answers := range large(1) {
		t.Run(name, func(t *testing.T) {
			// The work for starting the program is subtracted.
			least, whole := statusWork(t, small[name]), statusWork(t, answers)
			if whole > most*max(least, 100*time.Millisecond) || whole > 10*time.Second && !brokertest.Race {
				t.Errorf("it took %v of work, an eighth of it %v", whole, least)
			}
		})
	}
}

// statusWork returns the processor time of listen status with these answers.
func statusWork(t *testing.T, answers map[string]string) time.Duration {
	t.Helper()
	server, monitor, _ := told(t, answers)
	p := runProcess(t, server.URL, "listen", "status", "--monitor", monitor, "--settle", "0s")
	if code := p.wait(3 * time.Minute); code != 0 && code != 1 {
		t.Errorf("exit code %d", code)
	}
	return p.cmd.ProcessState.UserTime()
}

// A single signal ends listen status at any point.
func TestStatusOfMuchInterrupted(t *testing.T) {
	for name, answers := range large(1) {
		for _, args := range [][]string{{"status"}, {"status", "-o", "json", "--watch"}} {
			for _, at := range []string{"/streaming/channelsz", "/streaming/clientsz"} {
				t.Run(name+" "+strings.Join(args, " ")+at, func(t *testing.T) {
					server, monitor, asked := told(t, answers)
					p := runProcess(t, server.URL, slices.Concat([]string{"listen"}, args, []string{"--monitor", monitor})...)
					brokertest.Eventually(t, "it asks", func() bool {
						select {
						case path := <-asked:
							return path == at
						default:
							return false
						}
					})
					begin := time.Now()
					p.signal(syscall.SIGINT)
					p.wait(60 * time.Second)
					if took := time.Since(begin); took > time.Second {
						t.Errorf("it ended %v after the signal", took)
					}
				})
			}
		}
	}
}

// Cluster IDs come from the server, and must be quoted.
func TestHintQuotesTheCluster(t *testing.T) {
	t.Parallel()
	server, monitor, _ := told(t, map[string]string{"/streaming/serverz": `{"cluster_id":"x; $(id)"}`})
	p := runProcess(t, server.URL, "listen", subject, "--cluster", "other", "--backend", "stan", "--monitor", monitor)
	p.endsWith(3, 30*time.Second)
	p.awaitSaying(`--cluster 'x; $(id)' (NATS_CLUSTER_ID)`)
}
