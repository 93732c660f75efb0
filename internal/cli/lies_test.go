//go:build unix

package cli_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/brokertest/netsim"
)

// mostMemory is the memory that a program may use when a server lies: a maximal
// announced message, and 100,000 unread lines. The race detector needs more.
func mostMemory() int64 {
	if brokertest.Race {
		return 500 << 20
	}
	return 200 << 20
}

// spoken is a lie: once a client has logged in, the server says words.
func spoken(words string) func([]byte) []byte {
	return func(message []byte) []byte {
		if string(message) == "PONG\r\n" {
			return append(message, words...)
		}
		return message
	}
}

// answered is a lie: each answer that holds text is another.
func answered(text, payload string) func([]byte) []byte { return netsim.Claims(text, payload) }

// lies are forged or broken messages of a server. A command that receives none of
// them ends as usual.
var lies = map[string]func([]byte) []byte{
	"a size beyond an int":   spoken("MSG a 1 9223372036854775807\r\n"),
	"a size of 24 digits":    spoken("MSG a 1 100000000000000000000005\r\nhello\r\n"),
	"headers of 24 digits":   spoken("HMSG a 1 100000000000000000000005 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
	"a size of a terabyte":   spoken("MSG a 1 1000000000000\r\n"),
	"headers without a form": spoken("HMSG _INBOX.x 1 4 6\r\nNOPEhi\r\n"),
	"a word of none":         spoken("\x1b]0;owned\x07\r\n"),
	"an endless line":        spoken("-ERR '" + strings.Repeat("x", 8<<20)),
	"a long subject":         spoken("MSG " + strings.Repeat("x", 1<<20) + " 1 5\r\nhello\r\n"),
	"a flood of errors":      spoken(strings.Repeat("-ERR 'maximum subscriptions exceeded'\r\n", 150_000)),
	"a flood of pings":       spoken(strings.Repeat("PING\r\n", 150_000)),
	"a flood of refusals":    spoken(strings.Repeat("-ERR 'Permissions Violation for Publish to \"x\"'\r\n", 60_000)),
	"ten thousand servers":   spoken(`INFO {"connect_urls":[` + strings.Repeat(`"h:1",`, 10_000) + "\"h:1\"]}\r\n"),
	"junk for a description": spoken("INFO {\"nonce\":" + strings.Repeat("[", 20_000) + "\r\n"),

	"null for all":             answered("{", `null`),
	"a list for all":           answered("{", `[]`),
	"an error of null":         answered("{", `{"error":null}`),
	"nothing in it":            answered("{", `{"config":null,"state":null,"cluster":null,"created":null,"name":null,"stream_name":null}`),
	"streams of null":          answered("stream_list_response", `{"total":1,"offset":0,"limit":256,"streams":[null]}`),
	"names of null":            answered("stream_names_response", `{"total":1,"streams":[null]}`),
	"more streams than come":   answered("stream_list_response", `{"total":1000000,"streams":[]}`),
	"a million streams":        answered("stream_list_response", `{"total":1000000,"streams":[`+strings.Repeat("{},", 999_999)+`{}]}`),
	"consumers of null":        answered("consumer_list_response", `{"total":1,"consumers":[null]}`),
	"replicas of null":         replicas(`[null]`),
	"a cluster of null":        cluster(`null`),
	"limits below nothing":     limits,
	"bytes for NATS Streaming": junk,
}

// replicas replaces the replicas in the info of each stream and consumer by list.
func replicas(list string) func([]byte) []byte {
	return cluster(`{"name":"c","leader":"n1","replicas":` + list + `}`)
}

func cluster(text string) func([]byte) []byte {
	return func(message []byte) []byte {
		payload := payloadOf(message)
		if !bytes.Contains(payload, []byte(`"config":{`)) {
			return message
		}
		changed := bytes.ReplaceAll(payload, []byte(`"num_replicas":1`), []byte(`"num_replicas":3`))
		changed = bytes.ReplaceAll(changed, []byte(`"config":{`), []byte(`"cluster":`+text+`,"config":{`))
		return netsim.WithPayload(message, string(changed))
	}
}

// limits has a consumer's limits below zero.
func limits(message []byte) []byte {
	payload := payloadOf(message)
	if !bytes.Contains(payload, []byte(`"ack_policy"`)) {
		return message
	}
	const below = `"config":{"max_batch":-1,"max_expires":-1,"max_bytes":-1,"ack_wait":-1,"max_waiting":-1,`
	changed := bytes.ReplaceAll(payload, []byte(`"ack_wait"`), []byte(`"x"`))
	return netsim.WithPayload(message, string(bytes.ReplaceAll(changed, []byte(`"config":{`), []byte(below))))
}

// junk is not a Protocol Buffers message.
func junk(message []byte) []byte {
	if payload := payloadOf(message); len(payload) > 0 && payload[0] != '{' {
		return netsim.WithPayload(message, "\x0f\xff\xff")
	}
	return message
}

func payloadOf(message []byte) []byte {
	_, payload, _ := bytes.Cut(message, []byte("\r\n"))
	return bytes.TrimSuffix(payload, []byte("\r\n"))
}

// Every lie ends in a documented exit code other than usage, takes limited memory,
// and does not reach stdout. Memory of this test's process counts, so no other
// tests run meanwhile.
func TestLies(t *testing.T) {
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		store(t, server, 3)
		runProcess(t, server.URL, "listen", subject, "-g", "g", "-c", "3").endsWith(0, 30*time.Second)
		for name, lie := range lies {
			t.Run(name, func(t *testing.T) {
				t.Parallel() // they wait, mostly
				network := server.Network()
				network.Lie(lie)
				for _, command := range []string{
					"publish " + subject + " --sample --timeout 1s -q",
					"listen " + subject + " --until-end --no-reconnect --timeout 1s -o json",
					"listen " + subject + " -g g --ack-wait 1s --idle 500ms --no-reconnect --timeout 1s -o json",
					"listen status --settle 10ms --timeout 1s -o json",
					"listen forget " + subject + " -g nobody -y --timeout 1s",
					"listen evict nobody --timeout 1s",
					"listen doctor " + subject + " --timeout 1s",
				} {
					t.Run(command, func(t *testing.T) {
						words := strings.Fields(command)
						if words[0] == "listen" {
							words = append(words, "--monitor", server.Monitor)
						}
						p := runProcess(t, network.URL, words...)
						code := p.wait(60 * time.Second)
						t.Logf("exit code %d: %.300s", code, p.errors.all())
						if code < 0 || code == 2 && words[1] != "evict" || strings.Contains(p.errors.all(), "goroutine ") || p.says("a fault of this program") {
							t.Errorf("exit code %d", code)
						}
						if used := int64(p.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) << 10; used > mostMemory() { // in KiB
							t.Errorf("%d MiB of memory", used>>20)
						}
						if said := p.errors.all(); len(said) > 20_000 || strings.ContainsAny(said, "\x1b\x07") {
							t.Errorf("%d bytes on stderr", len(said))
						}
						for _, line := range p.out.lines() {
							if strings.Contains(command, "-o json") && !json.Valid([]byte(line)) || strings.Contains(line, "error during") {
								t.Errorf("on stdout: %q", line)
							}
						}
					})
				}
			})
		}
	})
}
