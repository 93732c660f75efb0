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

// An object is an object of a manifest, such as a Deployment, or one that the
// cluster derives from it.
type object struct {
	resource string // deployments, …
	name     string
	body     map[string]any
}

// resources maps the supported kinds to their resources.
var resources = map[string]string{
	"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets", "ReplicaSet": "replicasets",
	"Service": "services", "Event": "events", "Pod": "pods",
}

// Apply adds the objects of a manifest to the cluster, in their own namespace or
// [Namespace], like kubectl apply. It starts no pods, not even a Pod: use
// [Cluster.Run].
func (c *Cluster) Apply(manifest string) {
	c.t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(manifest)))
	for {
		// Through JSON, for its types of numbers and maps.
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

// ApplyFile applies a manifest's file.
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

// put adds an object. The caller holds the lock.
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

// complete adds the API server's part of the metadata.
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

// object returns an object such as "deployment/nats-depl".
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

// ownedBy returns owner references to an object.
func ownedBy(o *object) []any {
	return []any{map[string]any{
		"apiVersion": o.body["apiVersion"], "kind": o.body["kind"], "name": o.name,
		"uid": field(o.body, "metadata", "uid"), "controller": true, "blockOwnerDeletion": true,
	}}
}

// FailToCreate leaves an object without a pod, for a reason given by the API
// server: a Deployment gets the condition ReplicaFailure, others an event.
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

// field returns the value at a path in a tree of objects, or nil.
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
