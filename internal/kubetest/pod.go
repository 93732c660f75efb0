package kubetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Ports says which address, such as 127.0.0.1:40001, stands behind a port of a
// pod. Behind others nothing listens.
type Ports map[int]string

// A Pod is a simulated pod.
type Pod struct {
	Name string

	c         *Cluster
	of        string
	namespace string
	ports     Ports
	body      map[string]any
	gone      chan struct{} // closed when it was deleted
}

// A State is that of a pod with one container.
type State struct {
	Phase       string // Pending, Running, …
	NotReady    bool   // while it is Running
	Waiting     string // the reason why the container waits, such as ImagePullBackOff
	Message     string // more of that
	Terminating bool
}

// Run starts a pod of an object of the cluster, such as "deployment/nats-depl".
// It is ready at once.
func (c *Cluster) Run(of string, ports Ports) *Pod {
	c.t.Helper()
	return c.RunIn(of, ports, State{Phase: "Running"})
}

// RunIn does so in another state.
func (c *Cluster) RunIn(of string, ports Ports, state State) *Pod {
	c.t.Helper()
	template := field(c.object(of).body, "spec", "template")
	namespace := field(c.object(of).body, "metadata", "namespace").(string)
	labels, _ := field(template, "metadata", "labels").(map[string]any)
	spec, ok := field(template, "spec").(map[string]any)
	if !ok { // the test's manifest left it out; the API server would not have it
		spec = map[string]any{"containers": []any{}}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, name, _ := strings.Cut(of, "/")
	meta := map[string]any{"namespace": namespace, "labels": maps.Clone(labels)}
	c.complete(meta)
	if strings.HasPrefix(of, "statefulset/") {
		name = fmt.Sprintf("%s-%d", name, c.ordinal(of))
	} else {
		name = fmt.Sprintf("%s-588b8b6b8-%05d", name, c.made)
	}
	meta["name"] = name
	p := &Pod{
		Name: name, c: c, of: of, namespace: namespace, ports: ports, gone: make(chan struct{}),
		body: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec},
	}
	p.set(state)
	c.pods = append(c.pods, p)
	return p
}

// ordinal is the lowest number that no pod of a StatefulSet has.
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

// set replaces the status as a whole: what is being sent is not changed.
func (p *Pod) set(state State) {
	ready := "True"
	if state.NotReady || state.Phase != "Running" {
		ready = "False"
	}
	container := map[string]any{"name": "nats", "ready": ready == "True", "state": map[string]any{"running": map[string]any{}}}
	if state.Waiting != "" {
		container["state"] = map[string]any{"waiting": map[string]any{"reason": state.Waiting, "message": state.Message}}
	}
	meta := maps.Clone(p.body["metadata"].(map[string]any))
	if state.Terminating {
		meta["deletionTimestamp"] = meta["creationTimestamp"]
	}
	body := maps.Clone(p.body)
	body["metadata"] = meta
	body["status"] = map[string]any{
		"phase":             state.Phase,
		"conditions":        []any{map[string]any{"type": "Ready", "status": ready}},
		"containerStatuses": []any{container},
	}
	p.body = body
}

// Delete deletes a pod at once. The connections through kubectl end; kubectl's
// own stays, as with a real cluster.
func (p *Pod) Delete() {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.pods = slices.DeleteFunc(p.c.pods, func(other *Pod) bool { return other == p })
	close(p.gone)
}

// Replace deletes a pod and starts another one of the same object.
func (p *Pod) Replace(ports Ports) *Pod {
	p.c.t.Helper()
	p.Delete()
	return p.c.Run(p.of, ports)
}
