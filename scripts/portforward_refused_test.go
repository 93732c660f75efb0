//go:build unix

package scripts_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nats-test/internal/brokertest"
	"nats-test/internal/kubetest"
)

// others are a Deployment and a Service that are not NATS.
const others = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: client-depl}
spec: {replicas: 1, selector: {matchLabels: {app: client}}, template: {metadata: {labels: {app: client}}}}
---
apiVersion: v1
kind: Service
metadata: {name: client-srv}
spec: {selector: {app: client}, ports: [{port: 3000, targetPort: 3000}]}
`

// labelled is an object with a label, its kind and name to be filled in.
const labelled = `
apiVersion: apps/v1
kind: %s
metadata: {name: %s, labels: {%s}}
spec: {replicas: 1, selector: {matchLabels: {one: %[2]q}}, template: {metadata: {labels: {one: %[2]q}}}}
`

// empty starts a scene without NATS.
func empty(t *testing.T) *scene {
	t.Helper()
	t.Parallel()
	kubetest.NeedKubectl(t)
	s := &scene{t: t, cluster: kubetest.Start(t), port: brokertest.FreePort(t)}
	s.cluster.Apply(others)
	return s
}

func TestNothingFound(t *testing.T) {
	s := empty(t)
	f := s.forward()
	f.endsWith(1)
	f.says("no NATS (Deployment nats-depl, label app=nats, or the official chart) is in namespace default",
		"there is deployment client-depl, service client-srv", "pf: hint: install it (kubectl apply -f deploy/k8s/nats-streaming.yaml)")

	named := s.forward("TARGET=deployment/nats")
	named.endsWith(1)
	named.says("no deployment/nats is in namespace default", "there is deployment client-depl")
	bare := s.forward("TARGET=nats")
	bare.endsWith(1)
	bare.says("no nats is in namespace default", "there is deployment client-depl")
	elsewhere := s.forward("NAMESPACE=nope")
	elsewhere.endsWith(1)
	elsewhere.says("there is no namespace nope", "kubectl get namespaces")
}

func TestFoundInAnotherNamespace(t *testing.T) {
	s := empty(t)
	s.cluster.Apply(fmt.Sprintf(labelled, "StatefulSet", "nats, namespace: infra", "app.kubernetes.io/name: nats"))
	f := s.forward()
	f.endsWith(1)
	f.says("but NATS is in other namespaces: infra", "pf: hint: make pf NAMESPACE=infra")
}

func TestSeveralFound(t *testing.T) {
	s := empty(t)
	s.cluster.Apply(fmt.Sprintf(labelled, "Deployment", "one", "app: nats"))
	s.cluster.Apply(fmt.Sprintf(labelled, "StatefulSet", "two", "app: nats"))
	f := s.forward()
	f.endsWith(2)
	f.says("several could be NATS: deployment one, statefulset two", "pf: hint: choose with make pf TARGET=KIND/NAME, such as TARGET=deployment/one")
}

// What is found without a TARGET, and with each kind of it.
func TestTargets(t *testing.T) {
	s := empty(t)
	s.broker = brokertest.Start(t, brokertest.Config{})
	tries := func(target, want string) {
		t.Helper()
		f := s.forward("TARGET=" + target)
		f.awaitSaying("NATS of pod " + want + " is at")
		f.finish()
	}
	// The official chart, whose nats-box is none.
	s.cluster.Apply(fmt.Sprintf(labelled, "Deployment", "my-nats-box", "app.kubernetes.io/name: nats, app.kubernetes.io/component: nats-box"))
	s.cluster.Apply(fmt.Sprintf(labelled, "StatefulSet", "my-nats", "app.kubernetes.io/name: nats, app.kubernetes.io/component: nats"))
	s.cluster.Run("statefulset/my-nats", s.ports())
	tries("", "my-nats-0")
	s.cluster.Apply(fmt.Sprintf(labelled, "StatefulSet", "labelled", "app: nats"))
	s.cluster.Run("statefulset/labelled", s.ports())
	tries("", "labelled-0")
	s.cluster.ApplyFile("../deploy/k8s/nats-streaming.yaml")
	pod := s.cluster.Run(deployment, s.ports())
	tries("", pod.Name)
	tries("sts/my-nats", "my-nats-0")
	tries("my-nats", "my-nats-0")
	tries("pod/labelled-0", "labelled-0")
	tries("labelled-0", "labelled-0")
	tries("svc/nats-srv", pod.Name)
	tries("deployment.apps/nats-depl", pod.Name)
}

// A Service may call a pod's ports otherwise.
func TestServiceWithOtherPorts(t *testing.T) {
	s := empty(t)
	s.broker = brokertest.Start(t, brokertest.Config{})
	s.cluster.Apply(`
apiVersion: v1
kind: Service
metadata: {name: events, labels: {app: nats}}
spec: {selector: {tier: events}, ports: [{port: 4222, targetPort: client}, {port: 8222, targetPort: 9222}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: events}
spec:
  replicas: 1
  selector: {matchExpressions: [{key: tier, operator: In, values: [events, others]}, {key: old, operator: DoesNotExist}]}
  template:
    metadata: {labels: {tier: events}}
    spec: {containers: [{name: nats, ports: [{name: client, containerPort: 5222}]}]}
`)
	real := s.ports()
	s.cluster.Run("deployment/events", kubetest.Ports{5222: real[4222], 9222: real[8222]})
	monitor := brokertest.FreePort(t)
	f := s.forward(fmt.Sprintf("MONITOR=%d", monitor))
	f.awaitSaying("its monitoring at")
	s.publish("1")
	f.finish()
	f = s.forward("TARGET=deployment/events", fmt.Sprintf("PORT=%d:5222", s.port))
	f.awaitSaying("NATS of pod")
}

func TestScaledToZero(t *testing.T) {
	s := empty(t)
	s.cluster.Apply(strings.Replace(fmt.Sprintf(labelled, "Deployment", "nats-depl", ""), "replicas: 1", "replicas: 0", 1))
	s.forward().awaitSaying("waiting: deployment nats-depl is scaled to 0; kubectl -n default scale deployment/nats-depl --replicas=1")
}

func TestPortInUse(t *testing.T) {
	s := newScene(t)
	s.cluster.Run(deployment, s.ports())
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = busy.Close() })
	taken := busy.Addr().(*net.TCPAddr).Port
	who := "another process"
	if tellsHolders() {
		who = fmt.Sprintf("(pid %d)", os.Getpid())
	}
	f := s.forward(fmt.Sprintf("PORT=%d", taken))
	f.endsWith(1)
	f.says(fmt.Sprintf("port %d is in use on this machine, by ", taken), who, "pf: hint: end that program, or take another port: make pf PORT=")
	// One of two would be bound, and kubectl would go on with that.
	f = s.forward(fmt.Sprintf("MONITOR=%d", taken))
	f.endsWith(1)
	f.says(fmt.Sprintf("port %d for the monitoring is in use", taken), "pf: hint: ")
}

// tellsHolders reports whether the system can tell who listens at a port.
func tellsHolders() bool {
	_, ss := exec.LookPath("ss")
	_, lsof := exec.LookPath("lsof")
	return ss == nil || lsof == nil
}

func TestNoCluster(t *testing.T) {
	t.Parallel()
	kubetest.NeedKubectl(t)
	c := kubetest.Start(t)
	stopped := kubetest.Start(t)
	stopped.Stop()
	none := filepath.Join(t.TempDir(), "none")
	tests := map[string]struct {
		variables []string
		want      []string
	}{
		"no kubeconfig": {[]string{"KUBECONFIG=" + none}, []string{"kubectl knows no context: ", "pf: hint: choose one (kubectl config use-context NAME"}},
		"no such context": {
			[]string{"KUBECONFIG=" + c.Kubeconfig, "CONTEXT=nope"},
			[]string{`kubectl knows no context "nope": `, "pf: hint: there are: simulated; choose one"},
		},
		"not reachable": {[]string{"KUBECONFIG=" + stopped.Kubeconfig}, []string{"the cluster is not reachable: ", "pf: hint: is it running"}},
		"bad token":     {[]string{"KUBECONFIG=" + c.WriteKubeconfig("bad")}, []string{"the cluster refuses the credentials: ", "pf: hint: log in again"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, test.variables, "./port-forward.sh")
			f.endsWith(3)
			f.says(test.want...)
		})
	}
}

func TestForbidden(t *testing.T) {
	for _, resources := range [][]string{{"deployments", "statefulsets", "services"}, {"pods"}, {"pods/portforward"}} {
		t.Run(resources[0], func(t *testing.T) {
			s := newScene(t)
			s.cluster.Run(deployment, s.ports())
			s.cluster.Forbid(resources...)
			f := s.forward()
			f.endsWith(3)
			f.says("the cluster forbids it: ", resources[len(resources)-1]+" is forbidden", "pf: hint: ask who runs the cluster for the right to")
		})
	}
}

// Who may not see Deployments finds NATS by its Service all the same.
func TestForbiddenInPart(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	s.cluster.Forbid("deployments", "statefulsets")
	s.forward().awaitSaying("NATS of pod " + pod.Name)
}

func TestNoKubectl(t *testing.T) {
	t.Parallel()
	// A PATH with what the script needs, and no kubectl.
	bin := t.TempDir()
	for _, name := range []string{"bash", "dirname", "mkdir", "rm"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	f := start(t, []string{"PATH=" + bin}, "./port-forward.sh")
	f.endsWith(1)
	f.says("no kubectl is on the PATH", "pf: hint: install it")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"--nope":                  `"--nope": there is no such flag`,
		"--port":                  "--port: a value is missing",
		"--port=0":                `"0": a port is a number from 1 to 65535`,
		"--port=65536":            `"65536": a port is a number from 1 to 65535`,
		"--port=4222:x":           `"4222:x": a port is a number`,
		"--monitor=4222":          "port 4222 can't be that of NATS and of its monitoring",
		"--wait=-1":               `"-1": the time to wait is a number of seconds`,
		"--namespace=A/b":         `"A/b" is no namespace in Kubernetes`,
		"--target=job/x":          `"job/x": its kind must be`,
		"--target=deployment/":    `"deployment/" is no name in Kubernetes`,
		"--target=-l":             `"-l" is no name in Kubernetes`,
		"--target=pod/\x1b[31mno": "is no name in Kubernetes",
	}
	for flag, want := range tests {
		t.Run(strings.TrimLeft(flag, "-"), func(t *testing.T) {
			t.Parallel()
			f := start(t, nil, "./port-forward.sh", flag)
			f.endsWith(2)
			f.says(want, "pf: hint: scripts/port-forward.sh --help")
		})
	}
	help, err := exec.Command("./port-forward.sh", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"NAMESPACE", "TARGET", "MONITOR", "PORT", "CONTEXT", "WAIT", "Exit codes:"} {
		if !strings.Contains(string(help), word) {
			t.Errorf("--help does not name %s", word)
		}
	}
}
