//go:build unix

package scripts_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/kubetest"
)

// The tunnel carries publish and listen, and the monitoring.
func TestForward(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	monitor := brokertest.FreePort(t)
	f := s.forward(fmt.Sprintf("MONITOR=%d", monitor))
	f.awaitSaying(fmt.Sprintf("NATS of pod %s is at %s, its monitoring at http://127.0.0.1:%d", pod.Name, s.url(), monitor))
	s.publish("1")
	out, err := s.program("listen", "ticket:created", "--until-end", "-o", "json").Output()
	if err != nil || !strings.Contains(string(out), `"id":"1"`) {
		t.Errorf("listening through the tunnel: %v: %s", err, out)
	}
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/streaming/serverz", monitor))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Errorf("the monitoring answers %s", response.Status)
	}
}

// Without a word, the monitoring is forwarded where the pod has it and the
// port is free. These share port 8222, and so run one after the other.
func TestMonitorOfItself(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	if !connects(8222) {
		f := s.forward("MONITOR=")
		f.awaitSaying("its monitoring at http://127.0.0.1:8222")
		f.finish()
	}
	busy, err := net.Listen("tcp", "127.0.0.1:8222") // or somebody else has it
	if err == nil {
		t.Cleanup(func() { _ = busy.Close() })
	}
	f := s.forward("MONITOR=")
	f.awaitSaying("NATS of pod " + pod.Name)
	f.says("port 8222 is in use on this machine", "going on without NATS's monitoring")
	s.publish("1")
}

// kubectl ends when something connects to a port where nothing listens.
func TestMonitorThatDoesNotAnswer(t *testing.T) {
	s := newScene(t)
	ports := s.ports()
	delete(ports, 8222)
	s.cluster.Run(deployment, ports)
	f := s.forward("MONITOR=1" + fmt.Sprint(s.port)[:4])
	f.endsWith(1)
	f.says("nothing answers at its port 8222", "pf: hint: run the server with its monitoring")
}

func TestPodPendingThenRunning(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.RunIn(deployment, s.ports(), kubetest.State{
		Phase: "Pending", Waiting: "ImagePullBackOff", Message: "Back-off \x1b[31mpulling\nimage",
	})
	f := s.forward()
	f.awaitSaying("waiting: pod " + pod.Name + ` is Pending (ImagePullBackOff: Back-off \x1b[31mpulling\nimage)`)
	pod.Set(kubetest.State{Phase: "Running", NotReady: true})
	f.awaitSaying("waiting: pod " + pod.Name + " is Running, but not ready")
	if connects(s.port) {
		t.Error("a pod that is not ready is forwarded")
	}
	pod.Set(kubetest.State{Phase: "Running"})
	f.awaitSaying("NATS of pod " + pod.Name)
	s.publish("1")
}

func TestPodNeverReady(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.RunIn(deployment, s.ports(), kubetest.State{Phase: "Pending", Waiting: "ContainerCreating"})
	f := s.forward("WAIT=1")
	f.endsWith(1)
	f.says("no pod was ready within 1 s: pod "+pod.Name+" is Pending (ContainerCreating)", "pf: hint: kubectl -n default describe pods")
}

// The newest pod that is ready is taken, not one that is going.
func TestPodIsChosen(t *testing.T) {
	s := newScene(t)
	s.cluster.Run(deployment, nil)
	ready := s.cluster.Run(deployment, s.ports())
	s.cluster.RunIn(deployment, nil, kubetest.State{Phase: "Running", Terminating: true})
	s.cluster.RunIn(deployment, nil, kubetest.State{Phase: "Running", NotReady: true})
	s.forward().awaitSaying("NATS of pod " + ready.Name)
	s.publish("1")
}

// One that is said to be ready and does not answer is not tried for ever.
func TestPodThatDoesNotAnswer(t *testing.T) {
	s := newScene(t)
	good := s.cluster.Run(deployment, s.ports())
	bad := s.cluster.Run(deployment, nil)
	f := s.forward()
	f.awaitSaying("nothing answers at port 4222 of pod " + bad.Name)
	f.awaitSaying("NATS of pod " + good.Name)
	s.publish("1")
}

// A rollout while nobody is connected: the next publish is not the one that
// finds out.
func TestPodReplacedWhileNobodyIsConnected(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	f := s.forward()
	f.awaitSaying("NATS of pod " + pod.Name)
	s.publish("1")
	began := time.Now()
	next := pod.Replace(s.ports())
	f.awaitSaying("NATS of pod " + next.Name)
	t.Logf("the tunnel was back after %v", time.Since(began))
	f.says("lost pod " + pod.Name)
	s.publish("2")
}

// The same with the pods of a StatefulSet, which keep their names.
func TestPodOfTheSameNameReplaced(t *testing.T) {
	s := newScene(t)
	s.cluster.ApplyFile("../deploy/k8s/jetstream.yaml")
	pod := s.cluster.Run("statefulset/nats", s.ports())
	f := s.forward("TARGET=pod/" + pod.Name)
	f.awaitSaying("NATS of pod nats-0")
	pod.Delete()
	f.awaitSaying("waiting: there is no pod nats-0 any more")
	back := f.mark()
	s.cluster.Run("statefulset/nats", s.ports())
	f.awaitSaying("NATS of pod nats-0", back)
	s.publish("1")
}

// A listener goes on after its pod was replaced under it, with all events.
func TestPodReplacedInTheMiddleOfAListen(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	f := s.forward()
	f.awaitSaying("NATS of pod " + pod.Name)
	s.publish("1")
	listen := s.program("listen", "ticket:created", "--group", "g", "--count", "2")
	out, err := listen.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	brokertest.AwaitLine(t, lines, `"id":"1"`)
	s.broker.Kill()
	next := pod.Replace(s.ports())
	s.broker.Restart()
	f.awaitSaying("NATS of pod " + next.Name)
	s.publish("2")
	brokertest.AwaitLine(t, lines, `"id":"2"`)
	if err := listen.Wait(); err != nil {
		t.Errorf("the listener ended with %v", err)
	}
}

// Nobody is told the same again and again while a server is away.
func TestServerRestartsInItsPod(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	f := s.forward()
	f.awaitSaying("NATS of pod " + pod.Name)
	s.broker.Kill()
	f.awaitSaying("lost pod " + pod.Name)
	f.awaitSaying("nothing answers at port 4222 of pod " + pod.Name)
	back := f.mark()
	s.broker.Restart()
	f.awaitSaying("NATS of pod "+pod.Name, back)
	s.publish("1")
	if n := strings.Count(f.said(), "nothing answers"); n != 1 {
		t.Errorf("it is told %d times that nothing answers", n)
	}
}

func TestAPIServerStopsAndStarts(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	f := s.forward()
	f.awaitSaying("NATS of pod " + pod.Name)
	s.cluster.Stop()
	f.awaitSaying("the cluster is not reachable")
	f.says("lost pod "+pod.Name, "trying again")
	back := f.mark()
	s.cluster.StartAPI()
	f.awaitSaying("NATS of pod "+pod.Name, back)
	s.publish("1")
}

func TestStreamCut(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	f := s.forward()
	f.awaitSaying("NATS of pod " + pod.Name)
	back := f.mark()
	s.cluster.Cut()
	f.awaitSaying("lost pod " + pod.Name)
	f.awaitSaying("NATS of pod "+pod.Name, back)
	s.publish("1")
}

// A network that carries nothing any more, and says nothing: a laptop slept.
func TestNetworkStandsStill(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	f := s.forward()
	f.awaitSaying("NATS of pod " + pod.Name)
	s.cluster.Freeze()
	f.awaitSaying("lost pod " + pod.Name + ": NATS does not answer any more")
	back := f.mark()
	s.cluster.Thaw()
	f.awaitSaying("NATS of pod "+pod.Name, back)
	s.publish("1")
}

func TestDeploymentComesBack(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	f := s.forward()
	f.awaitSaying("NATS of pod " + pod.Name)
	s.cluster.Delete(deployment)
	s.cluster.Delete("service/nats-srv")
	pod.Delete()
	f.awaitSaying("any more; waiting for it")
	s.cluster.ApplyFile("../deploy/k8s/nats-streaming.yaml")
	next := s.cluster.Run(deployment, s.ports())
	f.awaitSaying("NATS of pod " + next.Name)
	s.publish("1")
}
