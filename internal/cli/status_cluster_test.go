//go:build unix

package cli_test

import (
	"fmt"
	"strings"
	"testing"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
)

// In a cluster, a stream may have lost one of its servers, or too many of them.
func TestStatusOfACluster(t *testing.T) {
	t.Parallel()
	cluster := brokertest.StartCluster(t, 3)
	js := cluster.Servers[0].JetStream()
	cluster.CreateStream(conn.NewStream("three", 3))
	cluster.CreateStream(conn.NewStream("two", 2), "d")
	two, err := js.Stream(t.Context(), "two")
	if err != nil {
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
