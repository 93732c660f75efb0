//go:build unix

package cli_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// A convoy is a publish and a group of two listeners under way, with a cluster
// whose stream has a replica on each of its three servers.
type convoy struct {
	t         *testing.T
	cluster   *brokertest.Cluster
	publisher *process
	enough    chan struct{}
	group     *crew
}

// newConvoy starts a cluster, and programs with the URLs of the given number of its
// servers, and waits until they are working.
func newConvoy(t *testing.T, servers int, publish ...string) *convoy {
	t.Helper()
	c := brokertest.StartCluster(t, 3)
	urls := strings.Join(strings.Split(c.URLs(), ",")[:servers], ",")
	v := &convoy{t: t, cluster: c, enough: make(chan struct{})}
	args := []string{"publish", channel, "--data", "-", "-o", "json", "--timeout", "30s", "--create-stream", "--replicas", "3"}
	v.publisher = runProcess(t, urls, slices.Concat(args, publish)...)
	go feedUntil(v.enough, v.publisher)
	v.publisher.awaitLines(1) // there is a stream
	v.group = newCrew(t, urls, 2, "--ack-wait", "2s")
	v.goesOn()
	return v
}

// goesOn waits until more events were acked, and others were handled.
func (v *convoy) goesOn() {
	v.t.Helper()
	const events = 1000
	begin := time.Now()
	v.publisher.awaitLines(len(v.publisher.out.lines()) + events)
	acked := time.Since(begin)
	v.group.await(v.group.count() + events)
	v.t.Logf("acked again after %v, handled again after %v", acked, time.Since(begin))
}

// arrives ends the publish, and fails the test unless every event was acked, is
// stored once and in order, and was handled. The programs continue with the servers
// they know; the client that reads the stream is given all URLs.
func (v *convoy) arrives() {
	v.t.Helper()
	close(v.enough)
	v.publisher.endsWith(0, 60*time.Second)
	acked, kept := v.publisher.out.lines(), stored(v.t, v.cluster.URLs())
	if i := inOrder(kept); i < len(kept) || len(kept) != len(acked) {
		v.t.Fatalf("%d events were acked, %d stored; %d is not in its place: %v …", len(acked), len(kept), i+1, kept[i:min(i+10, len(kept))])
	}
	for i, line := range acked {
		var result struct{ Sequence int }
		if err := json.Unmarshal([]byte(line), &result); err != nil || result.Sequence != i+1 {
			v.t.Fatalf("event %d was acked with %s", i+1, line)
		}
	}
	v.group.awaitAll(len(acked))
	v.group.stopAll()
	// Acks that the leader of the consumer did not pass on were given in vain.
	v.t.Logf("%d events, %d handled more than once", len(acked), len(v.group.twice()))
}

// without returns the other servers.
func (v *convoy) without(one *brokertest.Server) []*brokertest.Server {
	return slices.DeleteFunc(slices.Clone(v.cluster.Servers), func(s *brokertest.Server) bool { return s == one })
}

func TestLeadersKilled(t *testing.T) {
	t.Parallel()
	v := newConvoy(t, 3, "--rate", "2000")
	for _, leader := range []func() *brokertest.Server{
		func() *brokertest.Server { return v.cluster.StreamLeader(channel) },
		func() *brokertest.Server { return v.cluster.ConsumerLeader(channel, "g_"+channel) },
	} {
		killed := leader()
		killed.Kill()
		v.goesOn()
		killed.Restart()
		v.cluster.AwaitReady()
	}
	v.arrives()
}

// Servers learnt from the cluster are remembered when those are stopped themselves.
func TestOnlyKnownServerKilled(t *testing.T) {
	t.Parallel()
	v := newConvoy(t, 1, "--rate", "5000")
	killed := v.cluster.Servers[0]
	t.Logf("the stream's leader is killed: %v", v.cluster.StreamLeader(channel) == killed)
	killed.Kill()
	v.goesOn()
	others := v.without(killed)
	for _, s := range others {
		s.Kill()
	}
	for _, s := range others {
		s.Restart()
	}
	v.goesOn()
	v.arrives()
}

// Data sent to a frozen leader is lost without an error.
func TestLeaderFrozen(t *testing.T) {
	t.Parallel()
	v := newConvoy(t, 3, "--rate", "2000")
	frozen := v.cluster.StreamLeader(channel)
	frozen.Freeze()
	v.goesOn()
	frozen.Thaw()
	v.goesOn()
	v.arrives()
}

// A server without another one leads nothing, but still takes connections.
func TestMajorityKilled(t *testing.T) {
	t.Parallel()
	v := newConvoy(t, 3, "--rate", "2000")
	leader := v.cluster.StreamLeader(channel)
	others := v.without(leader)
	leader.Kill()
	others[0].Kill()
	js := others[1].JetStream()
	brokertest.Eventually(t, "nobody leads the stream", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := js.Stream(ctx, channel)
		return err != nil
	})
	leader.Restart()
	others[0].Restart()
	v.goesOn()
	v.arrives()
}
