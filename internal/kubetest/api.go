package kubetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// discovery is the API's discovery document for kubectl, which prefers the
// aggregated form, but accepts this one.
var discovery = map[string]string{
	"/api":     `{"kind":"APIVersions","versions":["v1"]}`,
	"/apis":    `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}}]}`,
	"/version": `{"major":"1","minor":"33","gitVersion":"v1.33.0"}`,
	"/api/v1": `{"kind":"APIResourceList","groupVersion":"v1","resources":[` +
		`{"name":"namespaces","singularName":"namespace","namespaced":false,"kind":"Namespace","verbs":["get","list"]},` +
		`{"name":"pods","singularName":"pod","namespaced":true,"kind":"Pod","verbs":["get","list"],"shortNames":["po"]},` +
		`{"name":"pods/portforward","singularName":"","namespaced":true,"kind":"PodPortForwardOptions","verbs":["create","get"]},` +
		`{"name":"services","singularName":"service","namespaced":true,"kind":"Service","verbs":["get","list"],"shortNames":["svc"]},` +
		`{"name":"events","singularName":"event","namespaced":true,"kind":"Event","verbs":["get","list"],"shortNames":["ev"]}]}`,
	"/apis/apps/v1": `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"apps/v1","resources":[` +
		`{"name":"daemonsets","singularName":"daemonset","namespaced":true,"kind":"DaemonSet","verbs":["get","list"],"shortNames":["ds"]},` +
		`{"name":"replicasets","singularName":"replicaset","namespaced":true,"kind":"ReplicaSet","verbs":["get","list"],"shortNames":["rs"]},` +
		`{"name":"deployments","singularName":"deployment","namespaced":true,"kind":"Deployment","verbs":["get","list"],"shortNames":["deploy"]},` +
		`{"name":"statefulsets","singularName":"statefulset","namespaced":true,"kind":"StatefulSet","verbs":["get","list"],"shortNames":["sts"]}]}`,
}

// kinds are the kinds of the resources.
var kinds = map[string][2]string{
	"pods": {"v1", "Pod"}, "services": {"v1", "Service"}, "events": {"v1", "Event"},
	"daemonsets": {"apps/v1", "DaemonSet"}, "replicasets": {"apps/v1", "ReplicaSet"},
	"deployments": {"apps/v1", "Deployment"}, "statefulsets": {"apps/v1", "StatefulSet"},
}

// serve answers every request to the API server.
func (c *Cluster) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	running := c.server != nil
	if running {
		c.work.Add(1) // counted before Stop waits
	}
	c.mu.Unlock()
	if !running {
		return
	}
	defer c.work.Done()
	if r.Header.Get("Authorization") != "Bearer "+Token {
		refuse(w, http.StatusUnauthorized, "Unauthorized", "Unauthorized")
		return
	}
	if text, ok := discovery[r.URL.Path]; ok && r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(text)) // kubectl may be gone
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/apis/apps/v1/")
	if !ok {
		rest, ok = strings.CutPrefix(r.URL.Path, "/api/v1/")
	}
	path := strings.Split(rest, "/")
	namespace := ""
	if len(path) > 2 && path[0] == "namespaces" {
		namespace, path = path[1], path[2:]
	}
	resource := path[0]
	if len(path) == 3 {
		resource += "/" + path[2]
	}
	verb := strings.ToLower(r.Method)
	switch {
	case r.Method == http.MethodPost:
		verb = "create"
	case r.Method == http.MethodGet && len(path) == 1:
		verb = "list"
	}
	if c.refused(w, verb, resource, namespace) {
		return
	}
	switch {
	case !ok:
		c.unknown(w, r)
	case len(path) == 2 && path[0] == "namespaces" && r.Method == http.MethodGet:
		c.namespace(w, path[1])
	case len(path) == 1 && kinds[path[0]][1] != "" && r.Method == http.MethodGet:
		c.list(w, r, path[0], namespace)
	case len(path) == 2 && kinds[path[0]][1] != "" && r.Method == http.MethodGet:
		if found := c.bodies(path[0], namespace, func(body map[string]any) bool { return field(body, "metadata", "name") == path[1] }); len(found) > 0 {
			answer(w, found[0])
		} else {
			notFound(w, path[0], path[1])
		}
	case len(path) == 3 && path[0] == "pods" && path[2] == "portforward":
		c.portForward(w, r, namespace, path[1])
	default:
		c.unknown(w, r)
	}
}

// unknown fails the test for an unsupported request: add support for it.
func (c *Cluster) unknown(w http.ResponseWriter, r *http.Request) {
	c.t.Errorf("kubetest does not know the request %s %s", r.Method, r.URL)
	refuse(w, http.StatusNotImplemented, "NotImplemented", "not simulated")
}

func (c *Cluster) refused(w http.ResponseWriter, verb, resource, namespace string) bool {
	c.mu.Lock()
	forbidden := c.forbidden[resource] || c.forbidden[verb+" "+resource]
	c.mu.Unlock()
	if forbidden {
		refuse(w, http.StatusForbidden, "Forbidden", fmt.Sprintf("%s is forbidden: User %q cannot %s resource %q in API group %q in the namespace %q",
			resource, "tester", verb, resource, "", namespace))
	}
	return forbidden
}

func (c *Cluster) namespace(w http.ResponseWriter, name string) {
	c.mu.Lock()
	there := name == Namespace || slices.ContainsFunc(c.objects, func(o *object) bool { return field(o.body, "metadata", "namespace") == name })
	c.mu.Unlock()
	if !there {
		notFound(w, "namespaces", name)
		return
	}
	answer(w, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}})
}

func (c *Cluster) pod(namespace, name string) *Pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pods {
		if p.namespace == namespace && p.Name == name {
			return p
		}
	}
	return nil
}

// list answers kubectl get for a resource in a namespace, or in all.
func (c *Cluster) list(w http.ResponseWriter, r *http.Request, resource, namespace string) {
	query := r.URL.Query()
	for name := range query {
		if !slices.Contains([]string{"limit", "labelSelector", "fieldSelector", "timeout"}, name) {
			c.unknown(w, r)
			return
		}
	}
	takes, err := selector(query.Get("labelSelector"), query.Get("fieldSelector"))
	if err != nil {
		c.t.Error(err)
		c.unknown(w, r)
		return
	}
	kind := kinds[resource]
	answer(w, map[string]any{
		"apiVersion": kind[0], "kind": kind[1] + "List",
		"metadata": map[string]any{"resourceVersion": "1"}, "items": c.bodies(resource, namespace, takes),
	})
}

// bodies returns the objects of a resource in a namespace, or in all.
func (c *Cluster) bodies(resource, namespace string, takes func(body map[string]any) bool) []any {
	items := []any{} // [] in JSON
	c.mu.Lock()
	defer c.mu.Unlock()
	add := func(body map[string]any) {
		if (namespace == "" || field(body, "metadata", "namespace") == namespace) && takes(body) {
			items = append(items, body)
		}
	}
	if resource == "pods" {
		for _, p := range c.pods {
			add(p.body)
		}
		return items
	}
	for _, o := range c.objects {
		if o.resource == resource {
			add(o.body)
		}
	}
	return items
}

// fields are the fields supported in field selectors.
var fields = map[string][]string{
	"metadata.name": {"metadata", "name"}, "involvedObject.kind": {"involvedObject", "kind"}, "involvedObject.name": {"involvedObject", "name"},
	"type": {"type"},
}

// selector parses label selectors k=v, k in (a,b) and !k, and field selectors k=v.
func selector(labels, wanted string) (takes func(body map[string]any) bool, err error) {
	values := make(map[string]string) // by field
	for one := range strings.SplitSeq(wanted, ",") {
		name, value, ok := strings.Cut(one, "=")
		if wanted != "" && (!ok || fields[name] == nil) {
			return nil, fmt.Errorf("kubetest does not know the field selector %q", wanted)
		} else if ok {
			values[name] = value
		}
	}
	type rule struct {
		key    string
		values []string // nil: the label must be absent
	}
	var rules []rule
	for labels != "" {
		var r rule
		one, rest, _ := strings.Cut(labels, ",")
		if key, list, in := strings.Cut(labels, " in ("); in && !strings.Contains(key, ",") {
			list, rest, _ = strings.Cut(list, ")")
			r = rule{key, strings.Split(list, ",")}
			rest = strings.TrimPrefix(rest, ",")
		} else if key, value, equal := strings.Cut(one, "="); equal && !strings.HasSuffix(key, "!") {
			r = rule{key, []string{value}}
		} else if key, not := strings.CutPrefix(one, "!"); not {
			r = rule{key: key}
		} else {
			return nil, fmt.Errorf("kubetest does not know the label selector %q", labels)
		}
		rules, labels = append(rules, r), rest
	}
	return func(body map[string]any) bool {
		for _, r := range rules {
			value, there := field(body, "metadata", "labels", r.key).(string)
			if there != (r.values != nil) || there && !slices.Contains(r.values, value) {
				return false
			}
		}
		for name, value := range values {
			if field(body, fields[name]...) != value {
				return false
			}
		}
		return true
	}, nil
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // kubectl may be gone
}

func notFound(w http.ResponseWriter, resource, name string) {
	refuse(w, http.StatusNotFound, "NotFound", fmt.Sprintf("%s %q not found", resource, name))
}

// refuse sends an error in the form of the API server.
func refuse(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
	})
}
