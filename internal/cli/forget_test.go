//go:build unix

package cli_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
)

// forget runs listen forget to its end.
func forget(t testing.TB, server *brokertest.Server, code int, args ...string) *process {
	t.Helper()
	p := runProcess(t, server.URL, slices.Concat([]string{"listen", "forget", "--monitor", server.Monitor}, args)...)
	p.endsWith(code, 30*time.Second)
	return p
}

func TestForgetAGroup(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		store(t, server, 5)
		p, _ := member(t, server)
		p.awaitLines(5)
		forget(t, server, 1, subject, "-g", "g", "--yes").awaitSaying("group g of ticket:created is in use by 1 member")
		p.signal(syscall.SIGTERM)
		p.endsWith(0, 30*time.Second)

		forget(t, server, 1, subject, "-g", "other", "--yes").awaitSaying("group other of ticket:created: there is no such durable")
		forget(t, server, 1, subject, "-g", "g", "--durable", "d", "--yes").awaitSaying("there is no such durable")
		forget(t, server, 1, "ticket:updated", "-g", "g", "--yes").awaitSaying("there is no such durable")
		forget(t, server, 2, subject, "-g", "g").awaitSaying("without a terminal to confirm it, give --yes")
		forget(t, server, 2, subject, "--yes").awaitSaying("name it with --group or --durable")

		x := onTerminal(t, server, []string{"NATS_MONITOR_URL=" + server.Monitor}, "listen", "forget", subject, "-g", "g")
		x.await(1, "group g of ticket:created is at #5, with 0 unacked.")
		x.await(1, "it gets 5 events up to #5, including those already handled")
		x.await(1, "forget it? yes or no:")
		x.typed("no\n")
		x.exits(1)
		runProcess(t, server.URL, "listen", subject, "-g", "g", "--idle", "300ms", "-c", "1").endsWith(6, 30*time.Second)

		x = onTerminal(t, server, []string{"NATS_MONITOR_URL=" + server.Monitor}, "listen", "forget", subject, "-g", "g")
		x.await(1, "forget it? yes or no:")
		x.typed("yes\n")
		x.exits(0)
		x.await(1, "Position of group g on ticket:created forgotten")
		again, _ := member(t, server)
		again.awaitLines(5)
		again.signal(syscall.SIGTERM)
		again.endsWith(0, 30*time.Second)
		forget(t, server, 0, subject, "-g", "g", "-y")
	})
}

// Ctrl-C at the question forgets nothing.
func TestForgetInterrupted(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	store(t, server, 1)
	runProcess(t, server.URL, "listen", subject, "-g", "g", "-c", "1").endsWith(0, 30*time.Second)
	x := onTerminal(t, server, []string{"NATS_MONITOR_URL=" + server.Monitor}, "listen", "forget", subject, "-g", "g")
	x.await(1, "forget it? yes or no:")
	x.typed("\x03")
	x.exits(130)
	x.await(1, "nothing was forgotten")
	forget(t, server, 0, subject, "-g", "g", "-y")
}

// The durable of a listener alone belongs, on NATS Streaming, to its client ID.
func TestForgetADurable(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		store(t, server, 4)
		read := func(durable string, args ...string) []string {
			t.Helper()
			p := runProcess(t, server.URL, slices.Concat([]string{"listen", subject, "--durable", durable, "--until-end"}, args)...)
			p.endsWith(0, 30*time.Second)
			return p.out.lines()
		}
		for _, args := range [][]string{nil, {"--client-id", "me"}} {
			durable := "d"
			if args != nil {
				durable = "e"
			}
			if n := len(read(durable, args...)); n != 4 {
				t.Errorf("%d events", n)
			}
			forget(t, server, 0, slices.Concat([]string{subject, "--durable", durable, "-y"}, args)...)
			if n := len(read(durable, args...)); n != 4 {
				t.Errorf("after it was forgotten, %d events", n)
			}
		}
	})
}

// A member that joins during the question keeps the position.
func TestForgetOfAPositionThatIsTaken(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		store(t, server, 3)
		runProcess(t, server.URL, "listen", subject, "-g", "g", "-c", "3", "--max-in-flight", "3").endsWith(0, 30*time.Second)
		x := onTerminal(t, server, []string{"NATS_MONITOR_URL=" + server.Monitor}, "listen", "forget", subject, "-g", "g")
		x.await(1, "forget it? yes or no:")
		p, _ := member(t, server)
		x.typed("yes\n")
		x.await(1, "is in use by 1 member")
		x.exits(1)
		store(t, server, 1)
		p.awaitLines(1)
		p.signal(syscall.SIGTERM)
		p.endsWith(0, 30*time.Second)
	})
}

// A busy service fetches no events and answers no member poll.
func TestForgetOfABusyConsumer(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	store(t, server, 3)
	js := server.JetStream()
	consumer, err := js.CreateConsumer(t.Context(), subject, jetstream.ConsumerConfig{
		Durable: "g_" + subject, FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := consumer.Next(); err != nil {
		t.Fatal(err)
	}
	forget(t, server, 1, subject, "-g", "g", "-y").awaitSaying("may be in use: 1 event, delivered within the ack wait of 30s, is not acked yet")
}

// Several streams may have a consumer of the same name. The one deleted is the one
// shown, in the stream that a listener would join.
func TestForgetNamesTheStream(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	js := server.JetStream()
	store(t, server, 3)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "copy", Mirror: &jetstream.StreamSource{Name: subject}}); err != nil {
		t.Fatal(err)
	}
	brokertest.Eventually(t, "the mirror has the events", func() bool {
		copied, err := js.Stream(t.Context(), "copy")
		return err == nil && copied.CachedInfo().State.Msgs == 3
	})
	name := "g_" + subject
	create := func(stream string) {
		t.Helper()
		_, err := js.CreateConsumer(t.Context(), stream, jetstream.ConsumerConfig{Durable: name, FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy})
		if err != nil {
			t.Fatal(err)
		}
	}
	create("copy")
	forget(t, server, 1, subject, "-g", "g", "-y").awaitSaying("there is no such durable")
	runProcess(t, server.URL, "listen", subject, "-g", "g", "-c", "3").endsWith(0, 30*time.Second)
	p := forget(t, server, 0, subject, "-g", "g", "-y")
	p.awaitSaying("is at #3")
	p.awaitSaying(`the consumer "g_ticket:created" of the stream "ticket:created" at ` + server.URL)
	if _, err := js.Consumer(t.Context(), subject, name); err == nil {
		t.Error("it is still there")
	}
	forget(t, server, 0, subject, "-g", "g", "-y", "--stream", "copy").awaitSaying(`of the stream "copy"`)
	if _, err := js.Consumer(t.Context(), "copy", name); err == nil {
		t.Error("that of the copy is still there")
	}
}

// Consumers of two subjects may have one name.
func TestForgetOfAnotherSubject(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	js := server.JetStream()
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "s", Subjects: []string{"a.b", "a_b"}}); err != nil {
		t.Fatal(err)
	}
	_, err := js.CreateConsumer(t.Context(), "s", jetstream.ConsumerConfig{Durable: "g_a_b", FilterSubject: "a.b", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	forget(t, server, 1, "a_b", "-g", "g", "-y").awaitSaying("there is no such durable")
	forget(t, server, 0, "a.b", "-g", "g", "-y")
}
