package streaming_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/stan.go"

	"nats-test/internal/brokertest"
	"nats-test/internal/monitor"
	"nats-test/internal/monitor/streaming"
)

func reader(server *brokertest.Server) *streaming.Reader {
	return &streaming.Reader{
		Base: server.Monitor, Cluster: "ticketing", Timeout: 5 * time.Second,
		Ask: &streaming.Heartbeats{NC: server.Nats()},
	}
}

func client(t testing.TB, server *brokertest.Server, id string) stan.Conn {
	t.Helper()
	sc, err := stan.Connect("ticketing", id, stan.NatsURL(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sc.Close() })
	return sc
}

func publish(t testing.TB, sc stan.Conn, channel string, n int) {
	t.Helper()
	for range n {
		if err := sc.Publish(channel, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
}

// subscribe joins a group of "orders" and leaves its events unacked.
func subscribe(t testing.TB, sc stan.Conn, group string, got chan<- uint64, opts ...stan.SubscriptionOption) stan.Subscription {
	t.Helper()
	sub, err := sc.QueueSubscribe("orders", group, func(m *stan.Msg) { got <- m.Sequence },
		append(opts, stan.SetManualAckMode(), stan.DeliverAllAvailable())...)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func TestSnapshotOfNATSStreaming(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{StreamingExtra: `store_limits: {
		max_msgs: 50
		channels: { "small.*": { max_msgs: 5 }, "small.none": { max_msgs: -1 } }
	}`})
	a, b := client(t, server, "a"), client(t, server, "b")
	got := make(chan uint64, 100)
	publish(t, a, "orders", 10)
	publish(t, a, "small.one", 7)
	publish(t, a, "small.none", 1)
	publish(t, a, "empty", 1)
	// Two members hold two events each; a durable of one client holds one and is
	// closed; one that is not durable gets all.
	subscribe(t, a, "workers", got, stan.DurableName("d"), stan.MaxInflight(2))
	subscribe(t, b, "workers", got, stan.DurableName("d"), stan.MaxInflight(2))
	single := subscribe(t, b, "", got, stan.DurableName("own"), stan.MaxInflight(1))
	subscribe(t, b, "", got, stan.MaxInflight(64))
	for range 2 + 2 + 1 + 10 {
		<-got
	}
	if err := single.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := reader(server).Read(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Clients != 2 || s.Dead != 0 || s.Total != 4 || s.Cluster != "ticketing" || s.MaxChannels != 100 {
		t.Errorf("%+v", s)
	}
	channels := make(map[string]*monitor.Channel)
	for _, c := range s.Channels {
		channels[c.Name] = c
	}
	for name, limit := range map[string]uint64{"orders": 50, "small.one": 5, "small.none": 0, "empty": 50} {
		if c := channels[name]; c == nil || c.MaxEvents != limit {
			t.Errorf("%s: limit %+v, want %d", name, c, limit)
		}
	}
	if c := channels["small.one"]; c.Events != 5 || c.First != 3 || c.Last != 7 {
		t.Errorf("%+v", c)
	}
	subs := make(map[string]*monitor.Subscription)
	for _, sub := range channels["orders"].Subscriptions {
		subs[sub.Who()] = sub
	}
	if len(subs) != 3 {
		t.Fatalf("%v", subs)
	}
	group := subs["group workers"]
	if group == nil || group.Durable != "d" || len(group.Members) != 2 || group.Delivered != 4 || group.Lag != 6 || group.Unacked != 4 ||
		!group.Stalled || group.Offline || group.Present() != 2 {
		t.Errorf("%+v", group)
	}
	for _, m := range group.Members {
		if m.State != monitor.Alive || m.Unacked != 2 || m.MaxInFlight != 2 || !m.Stalled {
			t.Errorf("%+v", m)
		}
	}
	own := subs["durable own of b"]
	if own == nil || !own.Offline || own.Lag != 9 || own.Unacked != 1 || own.Present() != 0 {
		t.Errorf("%+v", own)
	}
	if alone := subs["client b"]; alone == nil || alone.Lag != 0 || alone.Survives() {
		t.Errorf("%+v", alone)
	}
	narrow, err := reader(server).Read(t.Context(), []string{"small.one", "nothing"})
	if err != nil || len(narrow.Channels) != 1 || len(narrow.Absent) != 1 || narrow.Absent[0] != "nothing" {
		t.Errorf("%+v, %v", narrow, err)
	}
	narrow, err = reader(server).Read(t.Context(), []string{"small*", "nothing*"})
	if err != nil || len(narrow.Channels) != 2 || len(narrow.Absent) != 1 || narrow.Absent[0] != "nothing*" {
		t.Errorf("%+v, %v", narrow, err)
	}
}

// More channels and clients than a page holds.
func TestAllPagesAreRead(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{Memory: true, StreamingExtra: "store_limits: { max_channels: 2000 }"})
	sc := client(t, server, "a")
	const n = 1100
	for i := range n {
		_, err := sc.PublishAsync(fmt.Sprintf("c%d", i), []byte("x"), func(_ string, err error) {
			if err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	from := reader(server)
	brokertest.Eventually(t, "all channels are there", func() bool {
		s, err := from.Read(t.Context(), nil)
		return err == nil && len(s.Channels) == n && s.Total == n
	})
}

func TestOtherServers(t *testing.T) {
	plain := brokertest.Start(t, brokertest.Config{Plain: true})
	other := brokertest.Start(t, brokertest.Config{Cluster: "other"})
	for server, want := range map[*brokertest.Server]string{
		plain: "without NATS Streaming", other: `of the cluster "other", not of "ticketing"`,
	} {
		if _, err := reader(server).Read(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
