//go:build unix

package cli_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"nats-test/internal/brokertest"
	"nats-test/internal/brokertest/netsim"
)

// False statements of a server about itself and others.
func TestNothingHostileOfAServerReachesATerminal(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	publishNow(t, server, "ticket:created", "--sample", "--create-stream")
	member := runProcess(t, server.URL, "listen", "ticket:created", "--group", "honest")
	member.awaitSaying("listening to")
	network := server.Network()
	words := controls + escapes + unseen
	fault := jsonOf(t, map[string]any{"error": map[string]any{"code": 500, "err_code": 10999, "description": words}})
	greets := func(text, instead string) func([]byte) []byte {
		return func(m []byte) []byte {
			if !bytes.HasPrefix(m, []byte("INFO ")) {
				return m
			}
			return bytes.Replace(m, []byte(text), []byte(instead), 1)
		}
	}
	json := func(s string) string { return strings.Trim(jsonOf(t, s), `"`) }
	commands := []string{"publish ticket:created --sample", "listen ticket:created --until-end", "listen status", "listen doctor",
		"listen forget --group honest ticket:created --yes"}
	for what, lie := range map[string]func([]byte) []byte{
		"version": greets(`"version":"`, `"version":"`+json(words)),
		"name":    greets(`"server_name":"`, `"server_name":"`+json(words)),
		"urls":    greets(`"proto":`, `"connect_urls":["`+json(words)+`:1"],"cluster":"`+json(words)+`","domain":"`+json(words)+`","proto":`),
		"garbage": func(m []byte) []byte {
			return bytes.Replace(m, []byte("INFO "), []byte(strings.ReplaceAll(words, "\n", "")+" "), 1)
		},
		"error": func(m []byte) []byte {
			if !bytes.HasPrefix(m, []byte("INFO ")) {
				return m
			}
			return append(m, "-ERR '"+words+"'\r\n"...)
		},
		"refusal": func(m []byte) []byte {
			if !bytes.HasPrefix(m, []byte("PONG")) {
				return m
			}
			return []byte("-ERR 'Permissions Violation for Publish to \"" + words + "\"'\r\nPONG\r\n")
		},
		"answers": netsim.Claims(`"type":"io.nats.jetstream.api`, fault),
		"stream":  netsim.Claims(`"stream":"`, `{"stream":"`+json(words)+`","seq":1}`),
		"ack":     netsim.Claims(`"seq":`, fault),
		"member":  netsim.Claims(`"client":"`, `{"client":"`+json(words)+`","held":1,"limit":1,"quiet":100000,"blocked":100000}`),
	} {
		network.Lie(lie)
		for _, command := range commands {
			args := append(strings.Fields(command), "--server", network.URL, "--timeout", "1s")
			safe(t, what+": "+command, onScreen(t, server, nil, args))
		}
	}
}

// A monitoring port of NATS Streaming, where the members' names are others.
func TestNothingHostileOfAMonitoringPortReachesATerminal(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	member := runProcess(t, server.URL, "listen", "ticket:created", "--group", "honest", "--client-id", "honest")
	member.awaitSaying("listening to")
	words := strings.Trim(jsonOf(t, "honest"+controls+escapes+unseen), `"`)
	var otherCluster atomic.Bool
	forged := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := http.Get(server.Monitor + r.URL.String())
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Error(err)
		}
		if otherCluster.Load() {
			body = bytes.ReplaceAll(body, []byte(`"cluster_id": "ticketing`), []byte(`"cluster_id": "`+words))
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = io.WriteString(w, strings.NewReplacer(`"honest`, `"`+words, `"name": "ticket:created`, `"name": "ticket:created`+words,
			`"role": "`, `"role": "`+words, `"version": "`, `"version": "`+words, "text/plain", words).Replace(string(body)))
	}))
	defer forged.Close()
	shown := 0
	for _, command := range []string{"listen status", "listen status -o json", "listen doctor", "listen evict honest", "listen evict ghost",
		"listen forget --group honest ticket:created --yes", "listen ticket:created --group honest --until-end",
		"listen ticket:created --group honest --deliver new --until-end", "other cluster",
		"listen status", "listen doctor", "listen doctor --cluster other", "publish ticket:created --sample --cluster other"} {
		if command == "other cluster" {
			otherCluster.Store(true)
			continue
		}
		args := append(strings.Fields(command), "--server", server.URL, "--monitor", forged.URL, "--timeout", "1s")
		screen := onScreen(t, server, nil, args)
		safe(t, command, screen)
		if strings.Contains(screen, `\u202e`) {
			shown++
		}
	}
	if shown < 4 {
		t.Errorf("only %d screens show what was hostile, escaped", shown)
	}
}
