package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"nats-test/internal/brokertest"
)

// These tests run the course's library, node-nats-streaming, with the two real
// programs: each side must receive the other's events, and both must be able to
// share a queue group.

const interopGroup = "orders-service-queue-group"

func TestInteropListenHearsNode(t *testing.T) {
	t.Parallel()
	needNode(t)
	server := brokertest.Start(t, brokertest.Config{})
	publisher := startChild(t, "node", nodeScript("publish.js"), server.URL)
	publisher.mustEnd()
	sent := make(map[string][]string)
	n := 0
	for _, line := range publisher.stdout.lines() {
		var event struct{ Subject, Text string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("publish.js wrote %q: %v", line, err)
		}
		sent[event.Subject] = append(sent[event.Subject], event.Text)
		n++
	}
	if len(sent) != 6 {
		t.Fatalf("publish.js sent events of %d subjects, want the catalogue's 6", len(sent))
	}

	listener := startChild(t, programPath(t, "listen"), "-s", server.URL, "-o", "json", "--count", strconv.Itoa(n), "--no-reconnect")
	listener.mustEnd()
	heard := make(map[string][]string)
	for _, r := range listener.records() {
		heard[r.Subject] = append(heard[r.Subject], string(r.Data))
	}
	for subject := range sent {
		if !slices.Equal(heard[subject], sent[subject]) {
			t.Errorf("%s: node sent\n%q\nlisten wrote\n%q", subject, sent[subject], heard[subject])
		}
	}
}

func TestInteropNodeHearsPublish(t *testing.T) {
	t.Parallel()
	needNode(t)
	server := brokertest.Start(t, brokertest.Config{})
	listener := nodeMember(t, server, 5, "ticket:created", "order:created")
	listener.await("listening to")

	publish := programPath(t, "publish")
	tickets := []string{
		`{"id":"1","title":"Concert","price":20,"userId":"usr_1"}`,
		`{"userId":"usr_1","price":1.50e2,"title":"Größe \"XL\" 🎫 <b>&</b> \u2028 \ud83c\udfab \/","version":0,"id":""}`,
		`{"id":"3","version":9007199254740991,"title":"` + strings.Repeat("東京", 2000) + `","price":0.30000000000000004,"userId":"usr_1"}`,
		`{"id":"4","title":" \t\\ ","price":-0.0,"userId":"usr_1"}`,
	}
	stream := strings.ReplaceAll(strings.Join(tickets, "\n"), `,"`, " ,\n\t\"") // is compacted before it is sent
	publisher := startChild(t, publish, "ticket:created", "-s", server.URL, "--data", "-")
	publisher.write(stream)
	publisher.mustEnd()
	sample := startChild(t, publish, "order:created", "--sample", "--dry-run")
	sample.mustEnd()
	startChild(t, publish, "order:created", "-s", server.URL, "--sample").mustEnd()
	sent := map[string][]string{"ticket:created": tickets, "order:created": sample.stdout.lines()}

	listener.mustEnd()
	heard := make(map[string][]handledRecord)
	for _, r := range listener.records() {
		heard[r.Subject] = append(heard[r.Subject], r)
	}
	for subject, texts := range sent {
		if len(heard[subject]) != len(texts) {
			t.Fatalf("%s: node heard %d events, want %d", subject, len(heard[subject]), len(texts))
		}
		for i, r := range heard[subject] {
			if r.Text != texts[i] {
				t.Errorf("%s: node heard\n%s\npublish sent\n%s", subject, r.Text, texts[i])
			}
			if got, want := object(t, r.Data), object(t, []byte(texts[i])); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: node parsed\n%v\nwant\n%v", subject, got, want)
			}
		}
	}
}

func TestInteropGroupOfBothKinds(t *testing.T) {
	t.Parallel()
	needNode(t)
	server := brokertest.Start(t, brokertest.Config{})
	const events = 300
	members := []*child{
		nodeMember(t, server, 0, "ticket:created"), listenMember(t, server, 0, "ticket:created"),
		nodeMember(t, server, 0, "ticket:created"), listenMember(t, server, 0, "ticket:created"),
	}
	for _, m := range members {
		m.await("listening to")
	}
	publishTickets(t, server, 1, events)
	brokertest.Eventually(t, "all events were handled", func() bool {
		handled := 0
		for _, m := range members {
			m.mustLive()
			handled += len(m.stdout.lines())
		}
		return handled >= events
	})
	for _, m := range members {
		m.stop()
		m.mustEnd()
	}
	var handled []int // by all, complete now that they have ended
	for _, m := range members {
		own := m.sequences()
		if len(own) == 0 {
			t.Errorf("%s got no event", m.name)
		}
		handled = append(handled, own...)
		for _, r := range m.records() {
			if r.Deliveries != 1 {
				t.Errorf("%s got #%d as delivery %d, want all to be handled at once", m.name, r.Sequence, r.Deliveries)
			}
		}
	}
	slices.Sort(handled)
	if want := numbersFrom(1, events); !slices.Equal(handled, want) {
		t.Fatalf("the group handled %v, want each of #1 to #%d once", handled, events)
	}

	// A listen closed last, so node continues, and then listen after it.
	publishTickets(t, server, events+1, events+10)
	successor := nodeMember(t, server, 10, "ticket:created")
	successor.mustHandle(events+1, events+10)
	publishTickets(t, server, events+11, events+20)
	successor = listenMember(t, server, 10, "ticket:created")
	successor.mustHandle(events+11, events+20)
}

// A member that ends early leaves exactly the rest to the other kind: unacked
// events are redelivered, acked ones are not.
func TestInteropHandOverInTheMiddle(t *testing.T) {
	t.Parallel()
	needNode(t)
	for _, order := range []struct {
		name          string
		first, second func(t *testing.T, s *brokertest.Server, count int, subjects ...string) *child
	}{
		{"listen to node", listenMember, nodeMember},
		{"node to listen", nodeMember, listenMember},
	} {
		t.Run(order.name, func(t *testing.T) {
			server := brokertest.Start(t, brokertest.Config{})
			publishTickets(t, server, 1, 300)
			order.first(t, server, 100, "ticket:created").mustHandle(1, 100)
			order.second(t, server, 100, "ticket:created").mustHandle(101, 200)
			order.first(t, server, 100, "ticket:created").mustHandle(201, 300)
		})
	}
}

// needNode skips the test where node, the course's library or another module is
// missing. Under CI, which installs all, it fails.
func needNode(t *testing.T, modules ...string) {
	t.Helper()
	needTools(t, "node")
	for _, module := range append(modules, "node-nats-streaming") {
		if _, err := os.Stat(nodeScript("node_modules/" + module + "/package.json")); err != nil {
			leaveOut(t, module+" is missing: run `make node-modules`, which needs npm")
		}
	}
}

// needTools does the same where programs are missing.
func needTools(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			leaveOut(t, tool+" is missing: install it")
		}
	}
}

func leaveOut(t testing.TB, missing string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

func nodeScript(name string) string {
	return filepath.Join("testdata", "node", filepath.FromSlash(name))
}

func programPath(t *testing.T, name string) string {
	t.Helper()
	dir, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// nodeMember starts a Node service that handles count events (0: no limit) as
// a member of the group.
func nodeMember(t *testing.T, s *brokertest.Server, count int, subjects ...string) *child {
	t.Helper()
	c := startChild(t, "node", append([]string{nodeScript("listen.js"), s.URL, interopGroup, strconv.Itoa(count)}, subjects...)...)
	c.stop = func() { _ = c.stdin.Close() }
	return c
}

// listenMember does the same with listen.
func listenMember(t *testing.T, s *brokertest.Server, count int, subjects ...string) *child {
	t.Helper()
	args := []string{"-s", s.URL, "--group", interopGroup, "-o", "json", "--no-reconnect"}
	if count > 0 {
		args = append(args, "--count", strconv.Itoa(count))
	}
	c := startChild(t, programPath(t, "listen"), append(args, subjects...)...)
	c.stop = func() {
		if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("stopping %s: %v", c.name, err)
		}
	}
	return c
}

// publishTickets publishes events with the IDs from to to.
func publishTickets(t *testing.T, s *brokertest.Server, from, to int) {
	t.Helper()
	publisher := startChild(t, programPath(t, "publish"), "ticket:created", "-s", s.URL, "--data", "-")
	var stream strings.Builder
	for _, id := range numbersFrom(from, to) {
		fmt.Fprintf(&stream, `{"id":"%d","title":"Concert","price":20,"userId":"usr_1"}`+"\n", id)
	}
	publisher.write(stream.String())
	publisher.mustEnd()
}
