package kubetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// An object is one of a manifest, such as a Deployment, or what a cluster makes of it.
type object struct {
	resource string // deployments, …
	name     string
	body     map[string]any
}

// resources are those kinds of manifests that kubectl get is answered for.
var resources = map[string]string{
	"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets", "ReplicaSet": "replicasets",
	"Service": "services", "Event": "events", "Pod": "pods",
}

// Apply puts the objects of a manifest into the cluster, in their own namespace
// or [Namespace], as kubectl apply does. It starts no pods, not even a Pod: that is
// for [Cluster.Run].
func (c *Cluster) Apply(manifest string) {
	c.t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(manifest)))
	for {
		// By way of JSON, for its types of numbers and maps.
		var raw any
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			c.t.Fatal(err)
		}
		text, err := json.Marshal(raw)
		if err != nil {
			c.t.Fatal(err)
		}
		var body map[string]any
		if err := json.Unmarshal(text, &body); err != nil {
			c.t.Fatal(err)
		}
		c.add(body)
	}
}

// ApplyFile does so with a file.
func (c *Cluster) ApplyFile(path string) {
	c.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		c.t.Fatal(err)
	}
	c.Apply(string(text))
}

func (c *Cluster) add(body map[string]any) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(body)
}

// put is called under the lock.
func (c *Cluster) put(body map[string]any) *object {
	c.t.Helper()
	meta, ok := body["metadata"].(map[string]any)
	if !ok {
		c.t.Fatalf("an object without metadata: %v", body)
	}
	c.complete(meta)
	kind, _ := body["kind"].(string)
	name, _ := meta["name"].(string)
	o := &object{resource: resources[kind], name: name, body: body}
	c.objects = append(c.objects, o)
	return o
}

// complete gives metadata what the API server adds.
func (c *Cluster) complete(meta map[string]any) {
	c.made++
	if meta["namespace"] == nil {
		meta["namespace"] = Namespace
	}
	meta["uid"] = fmt.Sprintf("00000000-0000-0000-0000-%012d", c.made)
	meta["resourceVersion"] = fmt.Sprint(c.made)
	meta["creationTimestamp"] = time.Date(2026, 1, 1, 0, 0, c.made, 0, time.UTC).Format(time.RFC3339)
}

// Delete deletes an object, such as "deployment/nats-depl". Its pods stay.
func (c *Cluster) Delete(object string) {
	c.t.Helper()
	found := c.object(object)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, o := range c.objects {
		if o == found {
			c.objects = append(c.objects[:i], c.objects[i+1:]...)
			return
		}
	}
}

// object finds "deployment/nats-depl".
func (c *Cluster) object(kindAndName string) *object {
	c.t.Helper()
	kind, name, _ := strings.Cut(kindAndName, "/")
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.objects {
		if o.resource == kind+"s" && o.name == name {
			return o
		}
	}
	c.t.Fatalf("the cluster has no %s", kindAndName)
	return nil
}

// ownedBy is the metadata of what an object controls.
func ownedBy(o *object) []any {
	return []any{map[string]any{
		"apiVersion": o.body["apiVersion"], "kind": o.body["kind"], "name": o.name,
		"uid": field(o.body, "metadata", "uid"), "controller": true, "blockOwnerDeletion": true,
	}}
}

// FailToCreate lets an object have no pod, for a reason that the API server gave:
// a Deployment gets the condition ReplicaFailure, others an event.
func (c *Cluster) FailToCreate(of, message string) {
	c.t.Helper()
	o := c.object(of)
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.resource == "deployments" {
		body := maps.Clone(o.body)
		body["status"] = map[string]any{"conditions": []any{
			map[string]any{"type": "Progressing", "status": "True", "reason": "ReplicaSetCreated", "message": "is progressing"},
			map[string]any{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message},
		}}
		o.body = body
		return
	}
	c.put(map[string]any{
		"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "FailedCreate", "message": message,
		"metadata":       map[string]any{"name": fmt.Sprintf("%s.%d", o.name, c.made), "namespace": field(o.body, "metadata", "namespace")},
		"involvedObject": map[string]any{"kind": o.body["kind"], "name": o.name},
	})
}

// field returns what stands at a path in a tree of objects, or nil.
func field(tree any, path ...string) any {
	for _, name := range path {
		node, ok := tree.(map[string]any)
		if !ok {
			return nil
		}
		tree = node[name]
	}
	return tree
}
