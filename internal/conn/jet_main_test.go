package conn_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"nats-test/internal/brokertest"
	"nats-test/internal/conn/link"
)

// long is a time-out that a test would notice.
const long = 5 * time.Minute

// onJetStream starts a server with JetStream, and checks in the end that no
// goroutine is left behind. js is for a look at what is there.
func onJetStream(t *testing.T, extra string, opts ...nats.Option) (s *brokertest.Server, js jetstream.JetStream) {
	t.Helper()
	s = brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: extra})
	brokertest.NoLeaks(t) // before the server ends
	return s, s.JetStream(opts...)
}

// as returns the credentials of a user of these tests.
func as(user string) link.Auth { return link.Auth{User: user, Password: "s3cret"} }

// admin may do everything on a server of [withUsers].
var admin = nats.UserInfo("admin", "s3cret")

// withUsers is the configuration of a server with an admin, and users with the
// permissions given: name, permissions, name, permissions, …
func withUsers(pairs ...string) string {
	text := "authorization { users: [ { user: admin, password: s3cret }\n"
	for i := 0; i < len(pairs); i += 2 {
		text += fmt.Sprintf("{ user: %s, password: s3cret, permissions: { %s } }\n", pairs[i], pairs[i+1])
	}
	return text + "] }"
}

func createStream(t *testing.T, js jetstream.JetStream, c jetstream.StreamConfig) {
	t.Helper()
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// keepStream makes a stream that is of no use but to stay: the server removes
// the folder of the streams after the last one's end, even if that was
// followed by a new one.
func keepStream(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	createStream(t, js, jetstream.StreamConfig{Name: "kept", Subjects: []string{"kept"}})
}

func streamInfo(t *testing.T, js jetstream.JetStream, name string) *jetstream.StreamInfo {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo()
}

// consumerInfo is about a consumer of the stream "orders".
func consumerInfo(t *testing.T, js jetstream.JetStream, name string) *jetstream.ConsumerInfo {
	t.Helper()
	consumer, err := js.Consumer(t.Context(), "orders", name)
	if err != nil {
		t.Fatal(err)
	}
	return consumer.CachedInfo()
}

// stored returns the data of all events of a stream, in its order.
func stored(t *testing.T, js jetstream.JetStream, name string) []string {
	t.Helper()
	var all []string
	info := streamInfo(t, js, name)
	if info.State.Msgs == 0 {
		return nil
	}
	consumer, err := js.OrderedConsumer(t.Context(), name, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for range info.State.Msgs {
		m, err := messages.Next(jetstream.NextMaxWait(10 * time.Second))
		if err != nil {
			t.Fatalf("reading %s after %d of %d: %v", name, len(all), info.State.Msgs, err)
		}
		all = append(all, string(m.Data()))
	}
	return all
}

// seeded returns random numbers that a failed run can be repeated with.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("CONN_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CONN_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// told keeps what a session has said.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (n *told) notify(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

// all returns the lines, one below the other.
func (n *told) all() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.lines, "\n")
}

// soon is a context for what must not take long.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
