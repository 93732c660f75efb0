//go:build unix

package scripts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/kubetest"
)

// plugin writes a credential plugin, and returns a kubeconfig with it.
func (s *scene) plugin(script string) (kubeconfig string) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "my-login")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		s.t.Fatal(err)
	}
	return "KUBECONFIG=" + s.cluster.WriteKubeconfigPlugin(path)
}

// What a credential plugin asks is shown while it waits, and once.
func TestPluginAsks(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	done := filepath.Join(t.TempDir(), "done")
	f := s.forward(s.plugin(fmt.Sprintf(`
echo 'To sign in, open https://example.com/device and enter "ABCD"'"$(printf '\033[31m')" >&2
printf 'Code: ' >&2
until [ -e %s ]; do sleep 0.1; done
echo '%s'
`, done, kubetest.Credential)))
	f.awaitSaying(`pf: kubectl: To sign in, open https://example.com/device and enter "ABCD"?[31m`)
	f.awaitSaying("pf: kubectl: Code: ")
	f.awaitSaying("pf: kubectl has no answer after 5 s")
	if knowsItsContext(f) {
		f.says("5 s; the credential plugin ", "my-login may wait for you to log in")
	}
	if err := os.WriteFile(done, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.awaitSaying("NATS of pod " + pod.Name)
	if n := strings.Count(f.said(), "To sign in"); n != 1 {
		t.Errorf("it is told %d times", n)
	}
}

// One that waits for ever ends with the script.
func TestStopWhileAPluginWaits(t *testing.T) {
	s := newScene(t)
	f := s.forward(s.plugin("echo 'open https://example.com' >&2\nsleep 600\n"))
	f.awaitSaying("open https://example.com")
	s.ends(f, f.cmd.Process.Pid, signals["TERM"], 0)

	f = s.forward(s.plugin("sleep 600\n"), "WAIT=1")
	f.endsWith(3)
	f.says("kubectl had no answer within 1 s", "pf: hint: ")
	if knowsItsContext(f) {
		f.says("pf: hint: log in first")
	}
}

// knowsItsContext reports whether kubectl told the context and its plugin without
// running that: one that first asks the cluster which kubectl is right for it
// (gcloud's dispatcher) does not.
func knowsItsContext(f *forwarder) bool { return strings.Contains(f.said(), "pf: looking for ") }

// What one says that fails is shown whole, though it looks like kubectl's own.
func TestPluginFails(t *testing.T) {
	s := newScene(t)
	f := s.forward(s.plugin("echo 'Error loading SSO Token: it has expired' >&2\necho 'error: run this:' >&2\necho '  my-cloud login' >&2\nexit 7\n"))
	f.endsWith(3)
	said := f.said()
	for _, line := range []string{"pf: kubectl: Error loading SSO Token: it has expired\n", "pf: kubectl: error: run this:\n", "pf: kubectl:   my-cloud login\n"} {
		if strings.Count(said, line) != 1 {
			t.Errorf("it is not told once: %q", line)
		}
	}
	f.says("pf: the credentials can't be had: ", "failed with exit code 7", "pf: hint: what the credential plugin ")
}

func TestPluginIsMissing(t *testing.T) {
	s := newScene(t)
	f := s.forward("KUBECONFIG=" + s.cluster.WriteKubeconfigPlugin("no-such-login"))
	f.endsWith(3)
	f.says("pf: kubectl: It looks like you are trying to use a client-go credential plugin that is not installed.",
		"pf: kubectl: Install it\npf: kubectl: with the tool of your cloud\n", "pf: the credentials can't be had: ", "executable no-such-login not found")
}

func TestCertificateIsNotAccepted(t *testing.T) {
	s := newScene(t)
	text, err := os.ReadFile(s.cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), ", certificate-authority-data:")
	_, after, _ := strings.Cut(string(text), "}}\nusers:")
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(before+"}}\nusers:"+after), 0o600); err != nil {
		t.Fatal(err)
	}
	f := s.forward("KUBECONFIG=" + path)
	f.endsWith(3)
	f.says("the cluster's certificate is not accepted: ", "x509", "pf: hint: something answers at the context's address")
}

// The time to wait counts also when a pod is ready and nothing answers in it.
func TestNothingAnswersInTime(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, nil)
	f := s.forward("WAIT=1")
	f.endsWith(1)
	f.says("NATS did not answer within 1 s: nothing answers at port 4222 of pod "+pod.Name, "pf: hint: is it a server that still starts (kubectl -n default logs pod/"+pod.Name+")")
	f = s.forward()
	f.awaitSaying("nothing answers at port 4222")
	f.awaitSaying("pf: hint: is it a server that still starts")
}

// And once NATS was there, when it does not come back.
func TestNATSDoesNotComeBackInTime(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	f := s.forward("WAIT=2")
	f.awaitSaying("NATS of pod " + pod.Name)
	up := time.Now() // the time that it was there does not count
	brokertest.Eventually(t, "it was there for longer than it may be away", func() bool { return time.Since(up) > 3*time.Second })
	s.cluster.Stop()
	f.awaitSaying("lost pod " + pod.Name)
	lost := time.Now()
	f.endsWith(3)
	f.says("the cluster is not reachable", "pf: hint: ")
	if after := time.Since(lost); after < time.Second {
		t.Errorf("it gave up %v after NATS was lost", after)
	}
}

// A server that is being stopped takes no clients, though its monitoring answers.
func TestLameDuck(t *testing.T) {
	s := newScene(t)
	old := s.cluster.Run(deployment, s.ports())
	f := s.forward(fmt.Sprintf("MONITOR=%d", brokertest.FreePort(t)))
	f.awaitSaying("NATS of pod " + old.Name)
	next := s.cluster.Run(deployment, s.ports())
	old.LameDuck()
	f.awaitSaying("lost pod " + old.Name)
	f.awaitSaying("NATS of pod " + next.Name)
	s.publish("1")
}

// Whether a pod is ready is not known while its node was out of reach: NATS tells.
func TestReadinessIsNotKnown(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.RunIn(deployment, s.ports(), kubetest.State{Phase: "Running", Unknown: true})
	f := s.forward()
	f.awaitSaying("NATS of pod " + pod.Name)
	// The kubelet, too, may have begun anew: then the pod that was there is tried.
	s.cluster.Stop()
	f.awaitSaying("the cluster is not reachable")
	pod.Set(kubetest.State{Phase: "Running", NotReady: true})
	back := f.mark()
	s.cluster.StartAPI()
	f.awaitSaying("NATS of pod "+pod.Name, back)
	s.publish("1")
	// Another pod that is not ready is not.
	next := pod.Replace(nil)
	next.Set(kubetest.State{Phase: "Running", NotReady: true})
	f.awaitSaying("waiting: pod " + next.Name + " is Running, but not ready")
	if strings.Contains(f.said(), "nothing answers") {
		t.Error("a pod that is not ready was forwarded")
	}
}

func TestPortOfAnotherForwarder(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	f := s.forward()
	f.awaitSaying("NATS of pod " + pod.Name)
	if !tellsHolders() {
		t.Skip("neither ss nor lsof is there")
	}
	g := s.forward()
	g.endsWith(1)
	g.says(fmt.Sprintf("port %d is in use on this machine, by another make pf (pid %d)", s.port, f.cmd.Process.Pid), "pf: hint: end that program")
}

// The rights that docs/kubernetes.md lists are all that are needed.
func TestRights(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	s.cluster.Forbid("events", "replicasets", "namespaces", "get deployments", "get statefulsets", "get daemonsets", "get services", "get pods/portforward")
	f := s.forward()
	f.awaitSaying("NATS of pod " + pod.Name)
	f.finish()
	s.cluster.Forbid("get pods")
	f = s.forward()
	f.endsWith(3)
	f.says("the cluster forbids it: ", `cannot get resource "pods"`, "to get pods, and to create pods/portforward")
}
