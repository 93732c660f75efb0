package kubetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Ports maps the ports of a pod to real addresses, such as 127.0.0.1:40001. Other
// ports are closed.
type Ports map[int]string

// A Pod is a simulated pod.
type Pod struct {
	Name string

	c         *Cluster
	of        string
	namespace string
	ports     Ports
	body      map[string]any
	lameDuck  bool
	gone      chan struct{} // closed when the pod was deleted
}

// A State is the state of a pod with one container, or with those in Containers.
type State struct {
	Phase       string // Pending, Running, …
	NotReady    bool   // if Running
	Unknown     bool   // the node is unreachable: NotReady, though its containers were last reported as ready
	Waiting     string // the reason why the container waits, such as ImagePullBackOff
	Message     string // details of Waiting
	Terminating bool
	Containers  []Container
}

// A Container is a container of a pod with several.
type Container struct{ Name, Waiting, Message string }

// Run starts a pod of an object, such as "deployment/nats-depl", or a "pod/NAME" of
// a manifest. It is ready at once.
func (c *Cluster) Run(of string, ports Ports) *Pod {
	c.t.Helper()
	return c.RunIn(of, ports, State{Phase: "Running"})
}

// RunIn starts a pod in another state.
func (c *Cluster) RunIn(of string, ports Ports, state State) *Pod {
	c.t.Helper()
	o := c.object(of)
	c.mu.Lock()
	defer c.mu.Unlock()
	template, _ := field(o.body, "spec", "template").(map[string]any)
	if o.resource == "pods" {
		template = o.body
	}
	namespace := field(o.body, "metadata", "namespace").(string)
	labels, _ := field(template, "metadata", "labels").(map[string]any)
	spec, ok := field(template, "spec").(map[string]any)
	if !ok { // missing in the test's manifest; the API server would refuse it
		spec = map[string]any{"containers": []any{}}
	}
	labels = maps.Clone(labels)
	if labels == nil {
		labels = make(map[string]any)
	}
	meta := map[string]any{"namespace": namespace, "labels": labels, "name": o.name}
	if owners := field(template, "metadata", "ownerReferences"); owners != nil { // for a Pod
		meta["ownerReferences"] = owners
	}
	c.complete(meta)
	switch o.resource {
	case "deployments":
		owner := c.replicaSet(o)
		labels["pod-template-hash"] = hash
		meta["ownerReferences"], meta["name"] = ownedBy(owner), fmt.Sprintf("%s-%05d", owner.name, c.made)
	case "statefulsets":
		meta["ownerReferences"], meta["name"] = ownedBy(o), fmt.Sprintf("%s-%d", o.name, c.ordinal(of))
	case "daemonsets":
		meta["ownerReferences"], meta["name"] = ownedBy(o), fmt.Sprintf("%s-%05d", o.name, c.made)
	}
	p := &Pod{
		Name: meta["name"].(string), c: c, of: of, namespace: namespace, ports: ports, gone: make(chan struct{}),
		body: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec},
	}
	p.set(state)
	c.pods = append(c.pods, p)
	return p
}

// hash is the hash of the pod template that the Deployment controller adds to names
// and labels.
const hash = "588b8b6b8"

// replicaSet returns the ReplicaSet of a Deployment. The caller holds the lock.
func (c *Cluster) replicaSet(of *object) *object {
	name := of.name + "-" + hash
	for _, o := range c.objects {
		if o.resource == "replicasets" && o.name == name && field(o.body, "metadata", "namespace") == field(of.body, "metadata", "namespace") {
			return o
		}
	}
	return c.put(map[string]any{
		"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": of.body["spec"],
		"metadata": map[string]any{"name": name, "namespace": field(of.body, "metadata", "namespace"), "ownerReferences": ownedBy(of)},
	})
}

// ordinal returns the lowest free number of a StatefulSet's pods.
func (c *Cluster) ordinal(of string) int {
	for n := 0; ; n++ {
		taken := func(p *Pod) bool { return p.of == of && strings.HasSuffix(p.Name, fmt.Sprintf("-%d", n)) }
		if !slices.ContainsFunc(c.pods, taken) {
			return n
		}
	}
}

// Set changes a pod's state.
func (p *Pod) Set(state State) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.set(state)
}

// set replaces the whole status: the previous one may still be in use for a
// response.
func (p *Pod) set(state State) {
	ready := state.Phase == "Running" && !state.NotReady
	all := state.Containers
	if all == nil {
		all = []Container{{"nats", state.Waiting, state.Message}}
	}
	var containers []any
	for _, one := range all {
		container := map[string]any{"name": one.Name, "ready": ready && one.Waiting == "", "state": map[string]any{"running": map[string]any{}}}
		if one.Waiting != "" {
			container["state"] = map[string]any{"waiting": map[string]any{"reason": one.Waiting, "message": one.Message}}
		}
		containers = append(containers, container)
	}
	condition := "False"
	if ready && !state.Unknown {
		condition = "True"
	}
	meta := maps.Clone(p.body["metadata"].(map[string]any))
	if state.Terminating {
		meta["deletionTimestamp"] = meta["creationTimestamp"]
	}
	body := maps.Clone(p.body)
	body["metadata"] = meta
	body["status"] = map[string]any{
		"phase":             state.Phase,
		"conditions":        []any{map[string]any{"type": "Ready", "status": condition}},
		"containerStatuses": containers,
	}
	p.body = body
}

// LameDuck makes the server of a pod refuse new clients, like one that is shutting
// down. Its connections and its monitoring port stay.
func (p *Pod) LameDuck() {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.lameDuck = true
}

// refuses reports whether the server refuses new connections to a port.
func (p *Pod) refuses(port int) bool {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.lameDuck && port != 8222
}

// Delete deletes a pod at once. Its forwarded connections end; kubectl's tunnel
// stays, as with a real cluster.
func (p *Pod) Delete() {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.pods = slices.DeleteFunc(p.c.pods, func(other *Pod) bool { return other == p })
	close(p.gone)
}

// Replace deletes a pod and starts another of the same object.
func (p *Pod) Replace(ports Ports) *Pod {
	p.c.t.Helper()
	p.Delete()
	return p.c.Run(p.of, ports)
}
