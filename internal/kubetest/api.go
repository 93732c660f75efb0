package kubetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// discovery is what kubectl is told about the API. It asks for the aggregated
// kind first, and takes this one, too.
var discovery = map[string]string{
	"/api":     `{"kind":"APIVersions","versions":["v1"]}`,
	"/apis":    `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}}]}`,
	"/version": `{"major":"1","minor":"33","gitVersion":"v1.33.0"}`,
	"/api/v1": `{"kind":"APIResourceList","groupVersion":"v1","resources":[` +
		`{"name":"namespaces","singularName":"namespace","namespaced":false,"kind":"Namespace","verbs":["get","list"]},` +
		`{"name":"pods","singularName":"pod","namespaced":true,"kind":"Pod","verbs":["get","list"],"shortNames":["po"]},` +
		`{"name":"pods/portforward","singularName":"","namespaced":true,"kind":"PodPortForwardOptions","verbs":["create","get"]},` +
		`{"name":"services","singularName":"service","namespaced":true,"kind":"Service","verbs":["get","list"],"shortNames":["svc"]}]}`,
	"/apis/apps/v1": `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"apps/v1","resources":[` +
		`{"name":"deployments","singularName":"deployment","namespaced":true,"kind":"Deployment","verbs":["get","list"],"shortNames":["deploy"]},` +
		`{"name":"statefulsets","singularName":"statefulset","namespaced":true,"kind":"StatefulSet","verbs":["get","list"],"shortNames":["sts"]}]}`,
}

// kinds are those of the resources.
var kinds = map[string][2]string{
	"pods": {"v1", "Pod"}, "services": {"v1", "Service"},
	"deployments": {"apps/v1", "Deployment"}, "statefulsets": {"apps/v1", "StatefulSet"},
}

// serve answers every request to the API server.
func (c *Cluster) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	running := c.server != nil
	if running {
		c.work.Add(1) // before Stop waits
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
		_, _ = w.Write([]byte(text)) // kubectl may have gone
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
	if c.refused(w, resource, namespace) {
		return
	}
	switch {
	case !ok:
		c.unknown(w, r)
	case len(path) == 2 && path[0] == "namespaces" && r.Method == http.MethodGet:
		c.namespace(w, path[1])
	case len(path) == 1 && kinds[path[0]][1] != "" && r.Method == http.MethodGet:
		c.list(w, r, path[0], namespace)
	case len(path) == 2 && path[0] == "pods" && r.Method == http.MethodGet:
		if p := c.pod(namespace, path[1]); p != nil {
			c.mu.Lock()
			body := p.body
			c.mu.Unlock()
			answer(w, body)
		} else {
			notFound(w, path[0], path[1])
		}
	case len(path) == 3 && path[0] == "pods" && path[2] == "portforward":
		c.portForward(w, r, namespace, path[1])
	default:
		c.unknown(w, r)
	}
}

// unknown fails the test: whoever needs this request must add it.
func (c *Cluster) unknown(w http.ResponseWriter, r *http.Request) {
	c.t.Errorf("kubetest does not know the request %s %s", r.Method, r.URL)
	refuse(w, http.StatusNotImplemented, "NotImplemented", "not simulated")
}

func (c *Cluster) refused(w http.ResponseWriter, resource, namespace string) bool {
	c.mu.Lock()
	forbidden := c.forbidden[resource]
	c.mu.Unlock()
	if forbidden {
		refuse(w, http.StatusForbidden, "Forbidden", fmt.Sprintf("%s is forbidden: User %q cannot list resource %q in API group %q in the namespace %q",
			resource, "tester", resource, "", namespace))
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
	items := []any{} // [] in JSON
	c.mu.Lock()
	add := func(body map[string]any) {
		if (namespace == "" || field(body, "metadata", "namespace") == namespace) && takes(body) {
			items = append(items, body)
		}
	}
	for _, o := range c.objects {
		if o.resource == resource {
			add(o.body)
		}
	}
	if resource == "pods" {
		for _, p := range c.pods {
			add(p.body)
		}
	}
	c.mu.Unlock()
	kind := kinds[resource]
	answer(w, map[string]any{
		"apiVersion": kind[0], "kind": kind[1] + "List",
		"metadata": map[string]any{"resourceVersion": "1"}, "items": items,
	})
}

// selector understands k=v, k in (a,b) and !k, and metadata.name.
func selector(labels, fields string) (takes func(body map[string]any) bool, err error) {
	name, named := strings.CutPrefix(fields, "metadata.name=")
	if fields != "" && !named {
		return nil, fmt.Errorf("kubetest does not know the field selector %q", fields)
	}
	type rule struct {
		key    string
		values []string // nil: the label must not be there
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
		return !named || field(body, "metadata", "name") == name
	}, nil
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // kubectl may have gone
}

func notFound(w http.ResponseWriter, resource, name string) {
	refuse(w, http.StatusNotFound, "NotFound", fmt.Sprintf("%s %q not found", resource, name))
}

// refuse answers with an error as the API server makes it.
func refuse(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
	})
}
