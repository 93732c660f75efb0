// Package kubetest simulates a Kubernetes cluster for tests: an API server on
// loopback with what kubectl get and kubectl port-forward need. It has no kubelet
// and no containers: a test sets the pods and their states, and the real TCP ports
// behind them, of a server of brokertest for example.
//
// It behaves as observed with real clusters: a tunnel outlives its pod until the
// next connection through it. Pods have owners; a Deployment's are owned through a
// ReplicaSet. kubectl 1.31 and later tunnel SPDY through a WebSocket; without the
// permission to get pods/portforward, they fall back to plain SPDY like older ones.
// An unsupported request fails the test instead of being guessed. Watches are not
// supported.
//
// The package's rule: only tests import it.
package kubetest

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"nats-test/internal/brokertest"
)

// The context and namespace in [Cluster.Kubeconfig].
const (
	Context   = "simulated"
	Namespace = "default"
)

// Token is the secret in [Cluster.Kubeconfig]. It must never be shown.
const Token = "secret-token-of-the-test"

// A Cluster is a simulated cluster. Its methods are safe for concurrent use.
type Cluster struct {
	// Kubeconfig is the file for KUBECONFIG.
	Kubeconfig string

	t       testing.TB
	address string // of the API server, also while it is stopped
	// kubectl sends a token only over TLS.
	certificate tls.Certificate
	authority   []byte // PEM
	work        sync.WaitGroup

	mu        sync.Mutex
	server    *http.Server // nil while it is stopped
	conns     *connections
	objects   []*object
	pods      []*Pod
	made      int // objects and pods so far
	forbidden map[string]bool
}

// NeedKubectl skips the test if there is no kubectl. CI has one.
func NeedKubectl(t testing.TB) {
	t.Helper()
	const missing = "no kubectl is on the PATH, with which this test forwards ports (CONTRIBUTING.md tells how to build one)"
	_, err := exec.LookPath("kubectl")
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatal(missing)
	case err != nil:
		t.Skip(missing)
	}
}

// Start starts an empty cluster. It stops with the test.
func Start(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{
		t: t, address: fmt.Sprintf("127.0.0.1:%d", brokertest.FreePort(t)),
		conns: newConnections(), forbidden: make(map[string]bool),
	}
	issuer := httptest.NewTLSServer(nil)
	c.certificate = issuer.TLS.Certificates[0]
	c.authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Certificate().Raw})
	issuer.Close()
	c.Kubeconfig = c.WriteKubeconfig(Token)
	t.Cleanup(c.Stop)
	c.StartAPI()
	return c
}

// WriteKubeconfig writes another file for KUBECONFIG, with any token.
func (c *Cluster) WriteKubeconfig(token string) (path string) {
	c.t.Helper()
	return c.writeKubeconfig("token: "+token, "")
}

// WriteKubeconfigNamespace writes another file for KUBECONFIG, whose context leads
// to a namespace.
func (c *Cluster) WriteKubeconfigNamespace(namespace string) (path string) {
	c.t.Helper()
	return c.writeKubeconfig("token: "+Token, fmt.Sprintf(", namespace: %q", namespace))
}

// WriteKubeconfigPlugin writes another file for KUBECONFIG, with a credential
// plugin: a program that prints an ExecCredential.
func (c *Cluster) WriteKubeconfigPlugin(command string) (path string) {
	c.t.Helper()
	return c.writeKubeconfig(fmt.Sprintf("exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: %q, installHint: %q, interactiveMode: IfAvailable}",
		command, "Install it\nwith the tool of your cloud"), "")
}

// Credential is the output of such a program.
const Credential = `{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","status":{"token":"` + Token + `"}}`

func (c *Cluster) writeKubeconfig(user, context string) (path string) {
	c.t.Helper()
	path = filepath.Join(c.t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: %[1]s
contexts:
- {name: %[1]s, context: {cluster: %[1]s, user: tester%[5]s}}
clusters:
- {name: %[1]s, cluster: {server: "https://%[2]s", certificate-authority-data: %[4]s}}
users:
- {name: tester, user: {%[3]s}}
`, Context, c.address, user, base64.StdEncoding.EncodeToString(c.authority), context)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// StartAPI starts the API server, if it was stopped.
func (c *Cluster) StartAPI() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		return
	}
	listener, err := net.Listen("tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	server := &http.Server{
		Handler:      http.HandlerFunc(c.serve),
		TLSConfig:    &tls.Config{Certificates: []tls.Certificate{c.certificate}},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}, // no HTTP/2, which can't be upgraded to SPDY
		ErrorLog:     log.New(io.Discard, "", 0),                               // for connections that a test cut
		ConnContext:  inContext,
	}
	c.server = server
	c.work.Go(func() {
		_ = server.ServeTLS(c.conns.listen(listener), "", "") // ends with Stop
	})
}

// Stop stops the API server at once: its connections end, and its port closes.
func (c *Cluster) Stop() {
	c.conns.thaw()
	c.mu.Lock()
	if c.server != nil {
		_ = c.server.Close()
		c.server = nil
	}
	c.mu.Unlock()
	c.conns.closeAll()
	c.work.Wait()
}

// Freeze blocks all connections to the API server, old and new: they stay open
// without any data, like those of a laptop that was asleep.
func (c *Cluster) Freeze() { c.conns.freeze() }

// Thaw unblocks them.
func (c *Cluster) Thaw() { c.conns.thaw() }

// Cut closes the connections of kubectl port-forward; the pods keep running.
func (c *Cluster) Cut() { c.conns.closeTunnels() }

// Tunnels returns the number of connections of kubectl port-forward.
func (c *Cluster) Tunnels() int {
	return c.conns.count(func(conn *connection) bool { return conn.tunnel })
}

// WebSockets returns how many of them are WebSockets.
func (c *Cluster) WebSockets() int {
	return c.conns.count(func(conn *connection) bool { return conn.webSocket })
}

// Forbid makes the API server answer 403 from now on. A right is a verb and a
// resource, such as "list deployments" or "get pods/portforward", or a resource for
// all verbs.
func (c *Cluster) Forbid(rights ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, right := range rights {
		c.forbidden[right] = true
	}
}
