//go:build unix

package brokertest_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
)

func TestClusterOutlivesItsFrozenLeader(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	c := brokertest.StartCluster(t, 3)
	js := c.Servers[0].JetStream()
	c.CreateStream(jetstream.StreamConfig{Name: "kept", Replicas: 3})
	keep(ctx, t, js)
	frozen := c.StreamLeader("kept")
	frozen.Freeze()
	leader := c.StreamLeader("kept")
	if leader == frozen {
		t.Errorf("%s leads while it is frozen", frozen.Name)
	}
	wantKept(ctx, t, leader.JetStream())
	frozen.Thaw()
	c.AwaitReady()
	wantKept(ctx, t, frozen.JetStream())
}
