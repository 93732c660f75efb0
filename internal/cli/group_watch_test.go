//go:build unix

package cli_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// nounOf returns the noun for members: on JetStream, only listeners are known, by
// polling each other.
func nounOf(t *testing.T) string {
	if strings.HasSuffix(t.Name(), "jetstream") {
		return "listener"
	}
	return "member"
}

// A listener prints changes of its group's members, and the causes of redeliveries.
func TestListenTellsItsCompany(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		noun := nounOf(t)
		first, a := member(t, server, "--ack-wait", "2s", "--no-ack", "--max-in-flight", "2")
		first.awaitSaying("no other " + noun + " shares group g")
		second, b := member(t, server) // with another ack wait, on NATS Streaming
		second.awaitSaying("2 " + noun + "s share group g: this one, " + a)
		first.awaitSaying(b + " joined group g: 2 " + noun + "s now")
		store(t, server, 4)
		// The first acks nothing: after the ack wait, the second gets it all.
		second.awaitLines(4)
		second.awaitSaying(", delivery 2: probably not acked in time by another member")
		if second.says("until it left") {
			t.Error("nobody left")
		}
		first.signal(syscall.SIGTERM)
		first.endsWith(0, 30*time.Second)
		told := " left group g: no other member now"
		if noun == "listener" { // JetStream knows no members
			told = " left group g, or does not answer: no other listener now"
		}
		second.awaitSaying(a + told)
	})
}

// A member that leaves returns its events long before the ack wait ends.
func TestListenTellsWhoGaveBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		first, a := member(t, server, "--ack-wait", "1h", "--no-ack", "--max-in-flight", "2")
		store(t, server, 4)
		first.awaitLines(2)
		second, _ := member(t, server, "--ack-wait", "1h")
		second.awaitLines(2)
		second.awaitSaying("2 " + nounOf(t) + "s share group g: this one, " + a)
		first.signal(syscall.SIGTERM)
		first.endsWith(0, 30*time.Second)
		second.awaitLines(4)
		brokertest.Eventually(t, "the reason is told", func() bool {
			return second.says(", delivery 2: probably held by "+a+" until it left") || second.says("probably not acked in time by another member")
		})
	})
}

// Without the monitoring port, listeners of NATS Streaming answer each other.
func TestListenersAnswerEachOther(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	args := []string{"listen", subject, "-g", "g", "--monitor", "http://127.0.0.1:1"}
	first := runProcess(t, server.URL, append(args, "--client-id", "first")...)
	first.awaitSaying("no other listener shares group g")
	second := runProcess(t, server.URL, append(args, "--client-id", "second")...)
	second.awaitSaying("2 listeners share group g: this one, first")
	first.awaitSaying("second joined group g: 2 listeners now")
	second.kill()
	first.awaitSaying("second left group g, or does not answer: no other listener now")
}

// A user without the permission to poll members, or to answer, can still listen.
func TestRollCallsAreNotPermitted(t *testing.T) {
	t.Parallel()
	for name, may := range map[string]string{
		"call":   `publish: ["$JS.>", "_INBOX.>"], subscribe: [">"]`,
		"hear":   `publish: ["$JS.>", "_LISTEN.>"], subscribe: ["_INBOX.>"]`,
		"answer": `publish: ["$JS.>", "_LISTEN.>"], subscribe: [">"]`,
	} {
		t.Run(name, func(t *testing.T) {
			server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: fmt.Sprintf(`authorization { users = [
				{ user: admin, password: a }
				{ user: u, password: p, permissions: { %s } }
			] }`, may)})
			admin := strings.Replace(server.URL, "nats://", "nats://admin:a@", 1)
			more := func(n int) {
				t.Helper()
				runProcess(t, admin, "publish", subject, "--sample", "-n", fmt.Sprint(n), "--create-stream").endsWith(0, 30*time.Second)
			}
			more(1)
			p := runProcess(t, strings.Replace(server.URL, "nats://", "nats://u:p@", 1), "listen", subject, "-g", "g")
			p.awaitLines(1)
			if name == "call" {
				p.awaitSaying("the number of members of group g is not known: the server does not permit it: roll calls")
			}
			// Two others call the roll.
			runProcess(t, admin, "listen", "status").endsWith(0, 30*time.Second)
			runProcess(t, admin, "listen", subject, "-g", "g").awaitSaying("listen")
			runProcess(t, admin, "listen", "status").endsWith(0, 30*time.Second)
			p.signal(syscall.SIGTERM)
			p.endsWith(0, 30*time.Second)
			if p.says("violation") {
				t.Error("what does no harm was told")
			}
		})
	}
}
