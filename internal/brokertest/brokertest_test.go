package brokertest_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/stan.go"

	"nats-test/internal/brokertest"
)

func TestMain(m *testing.M) {
	brokertest.ServeIfChild()
	os.Exit(m.Run())
}

// Each kind of server has the features configured and no others, and keeps its
// events over a restart unless they are in memory.
func TestKinds(t *testing.T) {
	tests := map[string]struct {
		config          brokertest.Config
		stan, jetStream bool
	}{
		"streaming":                {brokertest.Config{}, true, false},
		"plain":                    {brokertest.Config{Plain: true}, false, false},
		"jetstream":                {brokertest.Config{Plain: true, JetStream: true}, false, true},
		"jetstream, memory":        {brokertest.Config{Plain: true, JetStream: true, Memory: true}, false, true},
		"both":                     {brokertest.Config{JetStream: true}, true, true},
		"both, memory":             {brokertest.Config{JetStream: true, Memory: true}, true, true},
		"streaming, other cluster": {brokertest.Config{Cluster: "other"}, true, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			s := brokertest.Start(t, test.config)
			if got := hasStan(t, s, test.config); got != test.stan {
				t.Errorf("NATS Streaming is there: %v", got)
			}
			js := s.JetStream()
			if _, err := js.AccountInfo(ctx); (err == nil) != test.jetStream {
				t.Errorf("JetStream answers at the start: %v", err)
			}
			if !test.jetStream {
				return
			}
			if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "kept"}); err != nil {
				t.Fatal(err)
			}
			s.Kill()
			s.Restart()
			_, err := s.JetStream().Stream(ctx, "kept")
			if lost := errors.Is(err, jetstream.ErrStreamNotFound); lost != test.config.Memory || err != nil && !lost {
				t.Errorf("the stream after a restart: %v", err)
			}
		})
	}
}

func hasStan(t *testing.T, s *brokertest.Server, config brokertest.Config) bool {
	t.Helper()
	cluster := config.Cluster
	if cluster == "" {
		cluster = "ticketing"
	}
	sc, err := stan.Connect(cluster, "test", stan.NatsURL(s.URL))
	if err != nil {
		return false
	}
	if err := sc.Close(); err != nil {
		t.Fatal(err)
	}
	return true
}

func TestClusterOutlivesItsLeader(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	began := time.Now()
	c := brokertest.StartCluster(t, 3)
	t.Logf("the cluster started in %v", time.Since(began))

	nc, err := nats.Connect(c.URLs(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c.CreateStream(jetstream.StreamConfig{Name: "kept", Replicas: 3}, "group")
	keep(ctx, t, js)

	killed := c.StreamLeader("kept")
	killed.Kill()
	began = time.Now()
	leader := c.StreamLeader("kept")
	t.Logf("%s leads after %s, found after %v", leader.Name, killed.Name, time.Since(began))
	if leader == killed {
		t.Errorf("%s leads while it is dead", killed.Name)
	}
	if c.ConsumerLeader("kept", "group") == killed {
		t.Errorf("%s leads the consumer while it is dead", killed.Name)
	}
	js = leader.JetStream()
	wantKept(ctx, t, js)

	began = time.Now()
	killed.Restart()
	c.AwaitReady()
	t.Logf("%s rejoined after %v", killed.Name, time.Since(began))
	wantKept(ctx, t, killed.JetStream())
	stream, err := killed.JetStream().Stream(ctx, "kept")
	if err != nil {
		t.Fatal(err)
	}
	for _, replica := range stream.CachedInfo().Cluster.Replicas {
		if !replica.Current {
			t.Errorf("%s has not caught up", replica.Name)
		}
	}
}

// keep publishes the message that wantKept looks for. The other servers of a cluster
// hear of a new stream's subjects after its creator does: until then, nobody responds.
func keep(ctx context.Context, t *testing.T, js jetstream.JetStream) {
	t.Helper()
	_, err := js.Publish(ctx, "kept", []byte("before"), jetstream.WithRetryWait(50*time.Millisecond), jetstream.WithRetryAttempts(200))
	if err != nil {
		t.Fatal(err)
	}
}

// wantKept looks for the message that was published first.
func wantKept(ctx context.Context, t *testing.T, js jetstream.JetStream) {
	t.Helper()
	stream, err := js.Stream(ctx, "kept")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetMsg(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(msg.Data); got != "before" {
		t.Errorf("the first message is %q", got)
	}
}

// deadline returns a context for one test's requests.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	t.Cleanup(cancel)
	return ctx
}
