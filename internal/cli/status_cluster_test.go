//go:build unix

package cli_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
)

// In a cluster, a stream may have lost one of its servers, or too many of them.
func TestStatusOfACluster(t *testing.T) {
	t.Parallel()
	cluster := brokertest.StartCluster(t, 3)
	js := cluster.Servers[0].JetStream()
	create := func(name string, replicas int) {
		t.Helper()
		brokertest.Eventually(t, "the stream "+name+" is there", func() bool {
			_, err := js.CreateOrUpdateStream(t.Context(), conn.NewStream(name, replicas))
			return err == nil
		})
	}
	create("three", 3)
	create("two", 2)
	two, err := js.Stream(t.Context(), "two")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "d", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	info := two.CachedInfo().Cluster
	var asked *brokertest.Server
	for _, s := range cluster.Servers {
		if s.Name == info.Replicas[0].Name {
			s.Kill()
		} else {
			asked = s
		}
	}
	var j judged
	brokertest.Eventually(t, "status finds what is wrong", func() bool {
		j = statusOf(t, asked, "--timeout", "10s")
		return j.of("refusing") != "" && j.of("replica") != ""
	})
	if j.code != 1 || !strings.Contains(j.of("refusing"), "stream two has no leader") ||
		!strings.Contains(j.of("replica"), fmt.Sprintf("stream three has replicas that are away: %s", info.Replicas[0].Name)) {
		t.Errorf("%+v", j)
	}
}
