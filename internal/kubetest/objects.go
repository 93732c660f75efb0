package kubetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// An object is a Deployment, StatefulSet, Service or another of a manifest.
type object struct {
	resource string // deployments, …
	name     string
	body     map[string]any
}

// resources are those kinds of manifests that kubectl get is answered for.
var resources = map[string]string{"Deployment": "deployments", "StatefulSet": "statefulsets", "Service": "services"}

// Apply puts the objects of a manifest into the cluster, in their own namespace
// or [Namespace], as kubectl apply does. It starts no pods.
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
	meta, ok := body["metadata"].(map[string]any)
	if !ok {
		c.t.Fatalf("an object without metadata: %v", body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.complete(meta)
	kind, _ := body["kind"].(string)
	name, _ := meta["name"].(string)
	c.objects = append(c.objects, &object{resource: resources[kind], name: name, body: body})
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
