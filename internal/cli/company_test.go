//go:build unix

package cli_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// A listener tells who shares its group when that changes, and why an event
// comes again.
func TestListenTellsItsCompany(t *testing.T) {
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		first, a := member(t, server, "--ack-wait", "2s", "--no-ack", "--max-in-flight", "2")
		first.awaitSaying("alone in group g")
		second, b := member(t, server, "--ack-wait", "2s")
		second.awaitSaying("2 members share group g: this one, " + a)
		first.awaitSaying(b + " joined group g: 2 members now")
		store(t, server, 4)
		// The first acks nothing: after the ack wait, the second gets it all.
		second.awaitLines(4)
		second.awaitSaying(", delivery 2: not acked within 2s by another member")
		first.signal(syscall.SIGTERM)
		first.endsWith(0, 30*time.Second)
		second.awaitSaying(a + " left group g: alone now")
	})
}

// Who leaves gives back what it holds, long before the ack wait is over.
func TestListenTellsWhoGaveBack(t *testing.T) {
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		first, a := member(t, server, "--ack-wait", "1h", "--no-ack", "--max-in-flight", "2")
		store(t, server, 4)
		first.awaitLines(2)
		second, _ := member(t, server, "--ack-wait", "1h")
		second.awaitLines(2)
		second.awaitSaying("2 members share group g: this one, " + a)
		first.signal(syscall.SIGTERM)
		first.endsWith(0, 30*time.Second)
		second.awaitLines(4)
		brokertest.Eventually(t, "the reason is told", func() bool {
			return second.says(", delivery 2: "+a+" left without acking it") || second.says(", delivery 2: given back unacked by a member that left")
		})
	})
}

// Without the monitoring port, listeners of NATS Streaming answer each other.
func TestListenersAnswerEachOther(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{})
	args := []string{"listen", subject, "-g", "g", "--monitor", "http://127.0.0.1:1"}
	first := runProcess(t, server.URL, append(args, "--client-id", "first")...)
	first.awaitSaying("alone in group g")
	second := runProcess(t, server.URL, append(args, "--client-id", "second")...)
	second.awaitSaying("2 members share group g: this one, first")
	first.awaitSaying("second joined group g: 2 members now")
	second.kill()
	first.awaitSaying("second left group g: alone now")
}

// A user who may not call the roll listens all the same.
func TestRollCallsAreNotPermitted(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: `authorization { users = [
		{ user: admin, password: a }
		{ user: u, password: p, permissions: { publish: ["$JS.>"], subscribe: ["_INBOX.>"] } }
	] }`})
	admin := strings.Replace(server.URL, "nats://", "nats://admin:a@", 1)
	runProcess(t, admin, "publish", subject, "--sample", "--create-stream").endsWith(0, 30*time.Second)
	p := runProcess(t, strings.Replace(server.URL, "nats://", "nats://u:p@", 1), "listen", subject, "-g", "g")
	p.awaitLines(1)
	p.awaitSaying("how many share group g can't be told: the server refused the credentials: roll calls are not permitted")
	p.signal(syscall.SIGTERM)
	p.endsWith(0, 30*time.Second)
}
