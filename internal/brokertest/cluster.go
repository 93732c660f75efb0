package brokertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A Cluster is a JetStream cluster of several NATS servers.
type Cluster struct {
	Servers []*Server // each can be killed, frozen and restarted separately

	t T
}

// StartCluster starts a JetStream cluster of n servers, at least two, without NATS
// Streaming, and waits until it is ready ([Cluster.AwaitReady]). It stops with the
// test.
func StartCluster(t T, n int) *Cluster {
	t.Helper()
	var c *Cluster
	onFreePorts(t, 3*n, func(ports []int) (err error) {
		c, err = startCluster(t, ports)
		return err
	})
	return c
}

// startCluster starts one server per three ports: for clients, monitoring and
// routes.
func startCluster(t T, ports []int) (*Cluster, error) {
	t.Helper()
	var routes []string
	for own := range slices.Chunk(ports, 3) {
		routes = append(routes, fmt.Sprintf("127.0.0.1:%d", own[2]))
	}
	c := &Cluster{t: t}
	for own := range slices.Chunk(ports, 3) {
		name := fmt.Sprintf("n%d", len(c.Servers)+1)
		s := prepare(t, Config{Plain: true, JetStream: true, Extra: fmt.Sprintf(
			"server_name: %s\ncluster {\n  name: brokertest\n  listen: %s\n  routes: [nats://%s]\n}",
			name, routes[len(c.Servers)], strings.Join(routes, ", nats://"))}, own)
		s.Name = name
		s.launch()
		c.Servers = append(c.Servers, s)
	}
	err := c.awaitReady()
	if err != nil {
		for _, s := range c.Servers {
			s.Kill()
		}
	}
	return c, err
}

// URLs returns the client URLs of all servers, with commas.
func (c *Cluster) URLs() string {
	var urls []string
	for _, s := range c.Servers {
		urls = append(urls, s.URL)
	}
	return strings.Join(urls, ",")
}

// CreateStream creates the stream and its durable consumers. A cluster that elects a
// leader may leave a request without an answer: it is made again.
func (c *Cluster) CreateStream(config jetstream.StreamConfig, durables ...string) {
	c.t.Helper()
	c.ask("there is a stream "+config.Name, func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.CreateOrUpdateStream(ctx, config)
		return err
	})
	for _, durable := range durables {
		c.ask("there is a consumer "+durable, func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.CreateOrUpdateConsumer(ctx, config.Name, jetstream.ConsumerConfig{Durable: durable, AckPolicy: jetstream.AckExplicitPolicy})
			return err
		})
	}
}

// StreamLeader returns the leader of the stream. It waits for an election if there
// is none.
func (c *Cluster) StreamLeader(stream string) *Server {
	c.t.Helper()
	return c.leader("the stream "+stream, func(ctx context.Context, js jetstream.JetStream) (*jetstream.ClusterInfo, error) {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return nil, err
		}
		return s.CachedInfo().Cluster, nil
	})
}

// ConsumerLeader returns the leader of the stream's consumer. It waits for an
// election if there is none.
func (c *Cluster) ConsumerLeader(stream, consumer string) *Server {
	c.t.Helper()
	what := fmt.Sprintf("the consumer %s of the stream %s", consumer, stream)
	return c.leader(what, func(ctx context.Context, js jetstream.JetStream) (*jetstream.ClusterInfo, error) {
		cons, err := js.Consumer(ctx, stream, consumer)
		if err != nil {
			return nil, err
		}
		return cons.CachedInfo().Cluster, nil
	})
}

func (c *Cluster) leader(what string, info func(context.Context, jetstream.JetStream) (*jetstream.ClusterInfo, error)) (leader *Server) {
	c.t.Helper()
	c.ask(what+" has a leader", func(ctx context.Context, js jetstream.JetStream) error {
		cluster, err := info(ctx, js)
		if err != nil {
			return err
		}
		for _, s := range c.Servers {
			if s.Name == cluster.Leader && s.answers() {
				leader = s
				return nil
			}
		}
		return fmt.Errorf("its leader is %q", cluster.Leader)
	})
	return leader
}

// ask calls request with connections to servers that answer, until it succeeds.
func (c *Cluster) ask(what string, request func(context.Context, jetstream.JetStream) error) {
	c.t.Helper()
	var err error
	defer func() {
		if err != nil {
			c.t.Logf("the last answer: %v", err)
		}
	}()
	Eventually(c.t, what, func() bool {
		for _, s := range c.Servers {
			if s.answers() {
				err = s.ask(request)
				return err == nil
			}
		}
		err = errors.New("no server answers")
		return false
	})
}

func (s *Server) ask(request func(context.Context, jetstream.JetStream) error) error {
	nc, err := nats.Connect(s.URL, nats.NoReconnect())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	return request(ctx, js)
}

// answers reports whether the server runs and is not frozen.
func (s *Server) answers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil && !s.process.frozen
}

// AwaitReady waits until all servers follow one leader, all replicas of streams and
// consumers are current, and a stream with a replica on each server can be created.
// Restart killed servers and thaw frozen ones first.
func (c *Cluster) AwaitReady() {
	c.t.Helper()
	if err := c.awaitReady(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *Cluster) awaitReady() (err error) {
	c.t.Helper()
	Eventually(c.t, "all servers are healthy", func() bool {
		healthy := true
		for _, s := range c.Servers {
			if _, err = s.alive(); err != nil {
				return true
			}
			healthy = healthy && s.healthy()
		}
		return healthy
	})
	if err != nil {
		return err
	}
	c.ask("all replicas are current", replicasAreCurrent)
	c.ask("a stream with a replica on each server is created", c.createAndDelete)
	return nil
}

// healthy reports whether the server is healthy by its own account: in a cluster,
// it has a leader and is up to date with it; for a stream, only that it was
// recovered from disk.
func (s *Server) healthy() bool {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	health, err := client.Get(s.Monitor + "/healthz")
	if err != nil {
		return false
	}
	_ = health.Body.Close()
	return health.StatusCode == http.StatusOK
}

// replicasAreCurrent asks the leader of each stream and consumer for its replicas.
func replicasAreCurrent(ctx context.Context, js jetstream.JetStream) error {
	streams := js.StreamNames(ctx)
	for name := range streams.Name() {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		if err := current(stream.CachedInfo().Cluster); err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		consumers := stream.ConsumerNames(ctx)
		for name := range consumers.Name() {
			consumer, err := stream.Consumer(ctx, name)
			if err != nil {
				return fmt.Errorf("consumer %s: %w", name, err)
			}
			if err := current(consumer.CachedInfo().Cluster); err != nil {
				return fmt.Errorf("consumer %s: %w", name, err)
			}
		}
		if err := consumers.Err(); err != nil {
			return err
		}
	}
	return streams.Err()
}

func current(group *jetstream.ClusterInfo) error {
	if group.Leader == "" {
		return errors.New("there is no leader")
	}
	for _, replica := range group.Replicas {
		if replica.Offline || !replica.Current {
			return fmt.Errorf("%s is not current", replica.Name)
		}
	}
	return nil
}

// createAndDelete tests a condition that servers don't report: whether the leader
// has recent enough information about every server to place a replica on it.
func (c *Cluster) createAndDelete(ctx context.Context, js jetstream.JetStream) error {
	const name = "brokertest"
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: name, Subjects: []string{name}, Storage: jetstream.MemoryStorage, Replicas: len(c.Servers),
	})
	if err != nil {
		return err
	}
	return js.DeleteStream(ctx, name)
}
