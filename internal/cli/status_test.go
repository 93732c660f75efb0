//go:build unix

package cli_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	names "nats-test/internal/conn/broker"
)

// A judged is the output of listen status -o json.
type judged struct {
	Backend    string
	code       int
	said       string // on stderr
	Healthy    bool
	Judgements []struct {
		Kind, Text, Hint, Channel, Group, Client string
		Stuck                                    bool
		Events                                   uint64
	}
	Channels []struct {
		Name          string
		Events        uint64
		Subscriptions []struct {
			Group   string
			Lag     uint64
			Unacked int
			Offline bool
			Members []struct{ Client, State string }
		}
	}
}

// kinds are the kinds of the judgements, in order.
func (j judged) kinds() []string {
	var all []string
	for _, one := range j.Judgements {
		all = append(all, one.Kind)
	}
	return all
}

func statusOf(t testing.TB, server *brokertest.Server, args ...string) judged {
	t.Helper()
	p := runProcess(t, server.URL, slices.Concat([]string{"listen", "status", "-o", "json", "--monitor", server.Monitor}, args)...)
	j := judged{code: p.wait(30 * time.Second), said: p.errors.all()}
	for _, line := range p.out.lines() {
		if err := json.Unmarshal([]byte(line), &j); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

// awaitKind waits until a status finds something of a kind, and just that.
func awaitKind(t testing.TB, server *brokertest.Server, kind string, args ...string) judged {
	t.Helper()
	var j judged
	defer func() {
		if t.Failed() {
			t.Logf("found at last: %+v", j)
		}
	}()
	brokertest.Eventually(t, "status finds "+kind, func() bool {
		j = statusOf(t, server, args...)
		return len(j.Judgements) == 1 && j.Judgements[0].Kind == kind
	})
	if stuck := j.Judgements[0].Stuck; j.Healthy == stuck || (j.code == 1) != stuck {
		t.Errorf("stuck is %v, healthy %v, the exit code %d", stuck, j.Healthy, j.code)
	}
	return j
}

// of returns the text of a judgement of a kind.
func (j judged) of(kind string) string {
	for _, one := range j.Judgements {
		if one.Kind == kind {
			return one.Text
		}
	}
	return ""
}

// says fails the test unless the only judgement holds a text.
func (j judged) says(t testing.TB, text string) {
	t.Helper()
	if !strings.Contains(j.Judgements[0].Text, text) {
		t.Errorf("it says %q, without %q", j.Judgements[0].Text, text)
	}
}

// onBoth runs a test on both backends, with a server for each.
func onBoth(t *testing.T, test func(t *testing.T, server *brokertest.Server)) {
	t.Run("stan", func(t *testing.T) {
		t.Parallel()
		test(t, brokertest.Start(t, brokertest.Config{}))
	})
	t.Run("jetstream", func(t *testing.T) {
		t.Parallel()
		test(t, brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true}))
	})
}

const subject = "ticket:created"

// store publishes n events.
func store(t testing.TB, server *brokertest.Server, n int) {
	t.Helper()
	runProcess(t, server.URL, "publish", subject, "--sample", "-n", fmt.Sprint(n), "--create-stream").endsWith(0, 30*time.Second)
}

// member starts a listener of the group g.
func member(t testing.TB, server *brokertest.Server, args ...string) (p *process, id string) {
	t.Helper()
	id = names.NewClientID("m")
	p = runProcess(t, server.URL, slices.Concat([]string{"listen", subject, "-g", "g", "--create-stream",
		"--client-id", id, "--monitor", server.Monitor}, args)...)
	p.awaitSaying("listening to")
	return p, id
}

func TestStatusOfWhatIsWell(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		if j := statusOf(t, server); j.code != 0 || !j.Healthy || len(j.Judgements) != 0 || len(j.Channels) != 0 {
			t.Errorf("an empty server: %+v", j)
		}
		store(t, server, 3)
		p, id := member(t, server)
		p.awaitLines(3)
		var j judged
		brokertest.Eventually(t, "all is acked", func() bool {
			j = statusOf(t, server)
			return len(j.Channels) == 1 && j.Channels[0].Subscriptions[0].Unacked == 0
		})
		if s := j.Channels[0].Subscriptions[0]; j.code != 0 || !j.Healthy || s.Group != "g" || s.Lag != 0 || s.Offline ||
			len(s.Members) != 1 || s.Members[0].Client != id || s.Members[0].State != "alive" {
			t.Errorf("%+v", j)
		}
	})
}

// A member that was killed holds events. On NATS Streaming, evict moves them at
// once, long before the ack wait is over.
func TestStatusOfADeadMember(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		store(t, server, 5)
		hold, held := member(t, server, "--no-ack", "--max-in-flight", "3", "--ack-wait", "1h")
		hold.awaitLines(3)
		other, alive := member(t, server, "--ack-wait", "1h")
		other.awaitLines(2)
		evict := func(code int, id string, args ...string) *process {
			t.Helper()
			p := runProcess(t, server.URL, slices.Concat([]string{"listen", "evict", id, "--monitor", server.Monitor}, args)...)
			p.endsWith(code, 30*time.Second)
			return p
		}
		if evict(1, held); server.Log() == "" { // alive
			t.Error("no log")
		}
		hold.kill()
		if strings.HasSuffix(t.Name(), "jetstream") {
			// The other member keeps working.
			runProcess(t, server.URL, "publish", subject, "--sample", "-n", "100000", "--rate", "50")
			awaitKind(t, server, "lost-events")
			brokertest.Eventually(t, "what it held is told", func() bool { // the other one's is counted a moment apart
				return strings.Contains(statusOf(t, server).of("lost-events"), "3 events of ticket:created are unacked in group g, and no member that answers holds them: "+
					"one was killed, hangs, is another program, or asked for a delay; they come again 1h0m0s after their delivery, or after that delay")
			})
			evict(1, held).awaitSaying("JetStream has no clients")
			return
		}
		awaitKind(t, server, "dead-client").says(t, "client "+held+" of group g is dead and still holds 3 unacked events of ticket:created; "+
			"other members get them after the ack wait of 1h0m0s; the server drops it when its heartbeats have failed")
		evict(1, alive).awaitSaying("is alive: it answered its heartbeat")
		evict(1, "nobody").awaitSaying("the server knows no client of that ID")
		done := evict(0, held)
		if out := done.out.all(); out != "Client "+held+" closed: 3 unacked events of ticket:created can go to others" {
			t.Error(out)
		}
		other.awaitLines(5)
		evict(1, held).awaitSaying("the server knows no client of that ID")
		other.awaitSaying(held + " left group g: no other member now")
		other.awaitSaying(", delivery 2: probably held by " + held + " until it left")
		if j := statusOf(t, server); j.code != 0 {
			t.Errorf("%+v", j)
		}
	})
}

func TestStatusOfAHungMember(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		store(t, server, 3)
		hold, held := member(t, server, "--no-ack", "--max-in-flight", "3", "--ack-wait", "1h")
		hold.awaitLines(3)
		member(t, server, "--ack-wait", "1h")
		hold.signal(syscall.SIGSTOP)
		if strings.HasSuffix(t.Name(), "jetstream") {
			awaitKind(t, server, "lost-events").says(t, "3 events of ticket:created are unacked in group g")
			return
		}
		awaitKind(t, server, "hung-client").says(t, "client "+held+" of group g does not answer (stopped, blocked or cut off) "+
			"and still holds 3 unacked events of ticket:created")
		refused := runProcess(t, server.URL, "listen", "evict", held, "--monitor", server.Monitor)
		refused.endsWith(1, 30*time.Second)
		refused.awaitSaying("hangs, or is cut off")
		runProcess(t, server.URL, "listen", "evict", held, "--monitor", server.Monitor, "--force").endsWith(0, 30*time.Second)
		if j := statusOf(t, server); j.code != 0 {
			t.Errorf("%+v", j)
		}
	})
}

func TestStatusOfASlowHandler(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		store(t, server, 12)
		slow, id := member(t, server, "--delay", "1h", "--max-in-flight", "4")
		slow.awaitLines(1) // which is written before the delay
		j := awaitKind(t, server, "stalled-member")
		j.says(t, "member "+id+" of group g is stalled on ticket:created: 4 of 4 in flight, nothing acked for ")
		j.says(t, ", 8 events wait")
		if j.Judgements[0].Client != id {
			t.Errorf("%+v", j)
		}
		slow.kill()
	})
}

func TestStatusOfAClosedDurable(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		store(t, server, 2)
		p, _ := member(t, server, "-c", "2", "--max-in-flight", "2")
		p.endsWith(0, 30*time.Second)
		if j := statusOf(t, server); j.code != 0 { // there is nothing that it has not got
			t.Errorf("%+v", j)
		}
		store(t, server, 120)
		j := awaitKind(t, server, "offline", subject)
		j.says(t, "group g is offline and 120 events behind on ticket:created")
		if !j.Channels[0].Subscriptions[0].Offline || j.said != "listen: something is stuck" {
			t.Errorf("%+v", j)
		}
		awaitKind(t, server, "offline", "ticket*")
	})
}

func TestStatusOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		j := awaitKind(t, server, "absent", "ticket:creatd")
		j.says(t, map[string]string{"stan": "ticket:creatd does not exist: nothing is stored", "jetstream": "ticket:creatd is in no stream"}[j.Backend])
	})
}

// A missing permission is reported.
func TestStatusIsNotPermitted(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: `authorization { users = [
		{ user: u, password: p, permissions: { publish: ["$JS.API.INFO"], subscribe: ["_INBOX.>"] } }
	] }`})
	p := runProcess(t, strings.Replace(server.URL, "nats://", "nats://u:p@", 1), "listen", "status", "--backend", "jetstream")
	p.endsWith(3, 30*time.Second)
	p.awaitSaying("asking for the streams: the server does not permit it: ")
	p.awaitSaying("hint: the user needs the permission to publish to $JS.API.STREAM.NAMES")
}
