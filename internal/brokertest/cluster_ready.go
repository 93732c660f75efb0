package brokertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// AwaitReady waits until all servers follow one leader, all replicas of all
// streams and consumers are current, and a stream with a replica on each
// server can be created. Killed servers are to be restarted before, frozen ones
// thawed.
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

// healthy reports whether the server says so. In a cluster that means that it
// has a leader and what the leader knows; of a stream, only that it was read
// from the disk.
func (s *Server) healthy() bool {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	health, err := client.Get(s.Monitor + "/healthz")
	if err != nil {
		return false
	}
	_ = health.Body.Close()
	return health.StatusCode == http.StatusOK
}

// replicasAreCurrent asks the leader of each stream and consumer.
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

// createAndDelete shows what no server tells: whether the leader has heard
// enough of every other one to place a replica on it.
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
