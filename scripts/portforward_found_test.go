//go:build unix

package scripts_test

import (
	"fmt"
	"strings"
	"testing"

	"nats-test/internal/brokertest"
	"nats-test/internal/kubetest"
)

// bare is a pod that no other object made.
const bare = `
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {%s}}
spec: {containers: [{name: one, image: %q}]}
`

// Two Deployments may select the same labels: each has its own pods.
func TestPodsOfItsOwn(t *testing.T) {
	s := empty(t)
	s.broker = brokertest.Start(t, brokertest.Config{})
	for _, name := range []string{"one", "two"} {
		s.cluster.Apply(strings.NewReplacer("NAME", name).Replace(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec: {replicas: 1, selector: {matchLabels: {app: nats}}, template: {metadata: {labels: {app: nats}}}}
`))
	}
	two := s.cluster.Run("deployment/two", s.ports())
	one := s.cluster.Run("deployment/one", nil)
	f := s.forward("TARGET=deployment/two")
	f.awaitSaying("NATS of pod " + two.Name)
	two.Delete()
	f.awaitSaying("waiting: deployment two has no pod: it selects pod " + one.Name + ", which is of ReplicaSet/one-588b8b6b8")
	s.publishFails()
}

// publishFails wants nothing to be forwarded.
func (s *scene) publishFails() {
	s.t.Helper()
	if out, err := s.program("publish", "ticket:created", "--sample", "--timeout", "1s").CombinedOutput(); err == nil {
		s.t.Errorf("an event was published: %s", out)
	}
}

// A ReplicaSet that the Deployment adopted has another name, and is asked.
func TestPodOfAnAdoptedReplicaSet(t *testing.T) {
	s := newScene(t)
	s.cluster.Apply(`
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: old, ownerReferences: [{kind: Deployment, name: nats-depl, controller: true}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: foreign, ownerReferences: [{kind: Deployment, name: other, controller: true}]}
---
apiVersion: v1
kind: Pod
metadata: {name: old-1, labels: {app: nats}, ownerReferences: [{kind: ReplicaSet, name: old, controller: true}]}
spec: {containers: [{name: nats}]}
---
apiVersion: v1
kind: Pod
metadata: {name: foreign-1, labels: {app: nats}, ownerReferences: [{kind: ReplicaSet, name: foreign, controller: true}]}
spec: {containers: [{name: nats}]}
`)
	s.cluster.Run("pod/foreign-1", nil)
	f := s.forward()
	f.awaitSaying("waiting: deployment nats-depl has no pod: it selects pod foreign-1, which is of ReplicaSet/foreign")
	s.cluster.Run("pod/old-1", s.ports())
	f.awaitSaying("NATS of pod old-1")
}

// What is NATS without the name of the course: any workload, and at last a pod.
func TestFoundByLabel(t *testing.T) {
	box := fmt.Sprintf(labelled, "Deployment", "nats-box", "app: nats") + "---" + fmt.Sprintf(bare, "box", "app: nats", "natsio/nats-box:0.14.5")
	for name, test := range map[string]struct{ manifest, object string }{
		"bare pod":          {fmt.Sprintf(bare, "mine", "app: nats", "nats:2"), "pod/mine"},
		"pod of kubectl":    {fmt.Sprintf(bare, "nats", "run: nats", "nats:2"), "pod/nats"},
		"DaemonSet":         {fmt.Sprintf(labelled, "DaemonSet", "each", "app: nats"), "daemonset/each"},
		"StatefulSet stan":  {fmt.Sprintf(labelled, "StatefulSet", "stan", "app: stan"), "statefulset/stan"},
		"NATS besides stan": {fmt.Sprintf(labelled, "StatefulSet", "stan", "app: stan") + "---" + fmt.Sprintf(labelled, "StatefulSet", "events", "app: nats"), "statefulset/events"},
	} {
		t.Run(name, func(t *testing.T) {
			s := empty(t)
			s.broker = brokertest.Start(t, brokertest.Config{})
			s.cluster.Apply(box)
			s.cluster.Apply(fmt.Sprintf(labelled, "StatefulSet", "nats, namespace: infra", "app: nats"))
			s.cluster.Run("deployment/nats-box", nil)
			s.cluster.Run("pod/box", nil)
			s.cluster.Apply(test.manifest)
			pod := s.cluster.Run(test.object, s.ports())
			f := s.forward()
			f.awaitSaying("NATS of pod " + pod.Name + " is at")
			pod.Delete()
			f.awaitSaying("lost pod " + pod.Name)
			back := f.mark()
			next := s.cluster.Run(test.object, s.ports())
			f.awaitSaying("NATS of pod "+next.Name+" is at", back)
		})
	}
	t.Run("a client alone", func(t *testing.T) {
		s := empty(t)
		s.cluster.Apply(box)
		s.cluster.Run("pod/box", nil)
		f := s.forward()
		f.endsWith(1)
		f.says("no NATS (", "there is deployment client-depl, deployment nats-box, service client-srv, pod box")
	})
	t.Run("a Service that selects clients, too", func(t *testing.T) {
		s := empty(t)
		s.broker = brokertest.Start(t, brokertest.Config{})
		s.cluster.Apply("apiVersion: v1\nkind: Service\nmetadata: {name: nats}\nspec: {selector: {app: nats}, ports: [{port: 4222, targetPort: 4222}]}")
		s.cluster.Apply(fmt.Sprintf(bare, "mine", "app: nats", "nats:2"))
		pod := s.cluster.Run("pod/mine", s.ports())
		s.cluster.Apply(fmt.Sprintf(bare, "box", "app: nats", "natsio/nats-box:0.14.5"))
		s.cluster.Run("pod/box", nil)
		f := s.forward("TARGET=svc/nats")
		f.awaitSaying("NATS of pod " + pod.Name)
		if strings.Contains(f.said(), "pod box") {
			t.Error("a client was forwarded")
		}
	})
}

// Why there is no pod is known to the Deployment, or told by an event.
func TestNoPodForAReason(t *testing.T) {
	const reason = `pods "x" is forbidden: violates PodSecurity "restricted:latest": seccompProfile (pod or container "nats" must set…` + "\x1b[31m"
	const shown = `pods "x" is forbidden: violates PodSecurity "restricted:latest": seccompProfile (pod or container "nats" must set???\x1b[31m`
	s := newScene(t)
	s.cluster.FailToCreate(deployment, reason)
	s.forward().awaitSaying("waiting: deployment nats-depl has no pod: " + shown)

	s.cluster.ApplyFile("../deploy/k8s/jetstream.yaml")
	s.cluster.FailToCreate("statefulset/nats", reason)
	f := s.forward("TARGET=statefulset/nats", "WAIT=1")
	f.endsWith(1)
	f.says("no pod was ready within 1 s: statefulset nats has no pod: " + shown)
	s.cluster.Forbid("events")
	s.forward("TARGET=statefulset/nats").awaitSaying("waiting: statefulset nats has no pod")
}

// What others chose as names stands in no command, unless it is a plain name.
func TestNamesOfOthers(t *testing.T) {
	s := empty(t)
	const evil = "a$(touch evil);`b`"
	s.cluster.Apply(fmt.Sprintf(labelled, "Deployment", "'"+evil+"', namespace: good", "app: nats"))
	s.cluster.Apply(fmt.Sprintf(labelled, "Deployment", "nats, namespace: '"+evil+"'", "app: nats"))
	s.cluster.Apply(fmt.Sprintf(labelled, "Deployment", "'"+evil+"'", "app: nats"))
	s.cluster.Apply(fmt.Sprintf(labelled, "Deployment", "'-x'", "app: nats"))
	f := s.forward()
	f.endsWith(1)
	f.says("no NATS (", "there is deployment client-depl, service client-srv", "pf: hint: install it")
	if strings.Contains(f.said(), "evil") {
		t.Errorf("a name of the cluster stands in a message")
	}

	config := s.cluster.WriteKubeconfigNamespace("x; reboot")
	g := s.forward("KUBECONFIG=" + config)
	g.endsWith(3)
	g.says(`the context names "x; reboot", which is no namespace in Kubernetes`)
}

// Several containers, and messages with quotes, can be told from each other.
func TestSeveralContainersWait(t *testing.T) {
	s := newScene(t)
	s.cluster.Apply(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: three, labels: {app: nats}}
spec:
  replicas: 1
  selector: {matchLabels: {one: three}}
  template: {metadata: {labels: {one: three}}, spec: {containers: [{name: nats}, {name: reloader}, {name: metrics}]}}
`)
	pod := s.cluster.RunIn("statefulset/three", s.ports(), kubetest.State{Phase: "Pending", Containers: []kubetest.Container{
		{Name: "nats", Waiting: "ImagePullBackOff", Message: `Back-off pulling image "nats:2": a\b | c` + "\x1b[2J"},
		{Name: "reloader"},
		{Name: "metrics", Waiting: "ContainerCreating"},
	}})
	f := s.forward("TARGET=sts/three")
	f.awaitSaying(`waiting: pod three-0 is Pending (nats: ImagePullBackOff: Back-off pulling image "nats:2": a\b | c\x1b[2J; metrics: ContainerCreating)` + "\n")
	pod.Set(kubetest.State{Phase: "Running"})
	f.awaitSaying("NATS of pod three-0")
}
