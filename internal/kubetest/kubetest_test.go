//go:build unix

package kubetest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nats-test/internal/brokertest"
	"nats-test/internal/kubetest"
)

const manifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo, labels: {app: echo}}
spec: {replicas: 1, selector: {matchLabels: {app: echo}}, template: {metadata: {labels: {app: echo}}, spec: {containers: [{name: echo}]}}}
`

// kubectl returns a real kubectl that talks to the cluster.
func kubectl(t *testing.T, c *kubetest.Cluster, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "kubectl", args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "KUBECONFIG=" + c.Kubeconfig}
	return cmd
}

// kubectl get shows the objects added, by label and by name.
func TestGet(t *testing.T) {
	kubetest.NeedKubectl(t)
	c := kubetest.Start(t)
	c.Apply(manifest)
	c.Apply(strings.ReplaceAll(manifest, "echo", "other"))
	echo := c.Run("deployment/echo", nil)
	c.Run("deployment/other", nil)
	for query, want := range map[string]string{
		"deployments":                              "deployment.apps/echo\ndeployment.apps/other\n",
		"pods --selector app=echo":                 "pod/" + echo.Name + "\n",
		"pods --selector app=echo,!app":            "",
		"pods --selector !no,app=echo":             "pod/" + echo.Name + "\n",
		"pods --selector app%in%(echo,no),!no":     "pod/" + echo.Name + "\n",
		"pods --field-selector metadata.name=none": "",
		"pods,deployments --all-namespaces --field-selector metadata.name=echo": "deployment.apps/echo\n",
		"replicaset echo-588b8b6b8": "replicaset.apps/echo-588b8b6b8\n",
		"daemonsets":                "",
	} {
		args := strings.Fields(query)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "%", " ")
		}
		out, err := kubectl(t, c, append([]string{"get", "-o", "name"}, args...)...).Output()
		if err != nil || string(out) != want {
			t.Errorf("get %s: %v: %q, want %q", query, err, out, want)
		}
	}
}

// A pod leads to its Deployment by way of a ReplicaSet, to others at once.
func TestOwners(t *testing.T) {
	kubetest.NeedKubectl(t)
	c := kubetest.Start(t)
	c.Apply(manifest)
	c.Apply(strings.NewReplacer("Deployment", "DaemonSet", "echo", "each").Replace(manifest))
	c.Apply("apiVersion: v1\nkind: Pod\nmetadata: {name: bare}\nspec: {containers: [{name: one}]}")
	got := func(what string) string {
		t.Helper()
		out, err := kubectl(t, c, "get", what, "-o", "go-template={{range .items}}{{range .metadata.ownerReferences}}{{.kind}}/{{.name}}{{end}} {{end}}").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if pods := got("pods"); pods != "" {
		t.Errorf("pods were started, of %s", pods)
	}
	for _, of := range []string{"deployment/echo", "deployment/echo", "daemonset/each", "pod/bare"} {
		c.Run(of, nil)
	}
	if pods := got("pods"); pods != "ReplicaSet/echo-588b8b6b8 ReplicaSet/echo-588b8b6b8 DaemonSet/each  " {
		t.Errorf("the owners of the pods are %s", pods)
	}
	if sets := got("replicasets"); sets != "Deployment/echo " {
		t.Errorf("the owners of the ReplicaSets are %s", sets)
	}
}

// A right is that to a verb, or to all.
func TestForbid(t *testing.T) {
	kubetest.NeedKubectl(t)
	c := kubetest.Start(t)
	c.Apply(manifest)
	pod := c.Run("deployment/echo", nil)
	c.Forbid("get pods")
	if out, err := kubectl(t, c, "get", "pods").CombinedOutput(); err != nil {
		t.Errorf("listing pods: %v: %s", err, out)
	}
	out, err := kubectl(t, c, "get", "pod", pod.Name).CombinedOutput()
	if err == nil || !strings.Contains(string(out), `User "tester" cannot get resource "pods"`) {
		t.Errorf("getting a pod: %v: %s", err, out)
	}
	c.Forbid("pods")
	if out, err := kubectl(t, c, "get", "pods").CombinedOutput(); err == nil {
		t.Errorf("listing pods: %s", out)
	}
}

// A tunnel carries bytes both ways, and outlives its pod until the next
// connection, as with a real cluster. Nothing of the simulation stays behind.
func TestTunnelOutlivesItsPod(t *testing.T) { tunnelOutlivesItsPod(t, false) }

// The same where kubectl may not use a WebSocket.
func TestTunnelOfSPDY(t *testing.T) { tunnelOutlivesItsPod(t, true) }

func tunnelOutlivesItsPod(t *testing.T, spdy bool) {
	kubetest.NeedKubectl(t)
	ignore := goleak.IgnoreCurrent()
	t.Run("tunnel", func(t *testing.T) {
		c := kubetest.Start(t)
		if spdy {
			c.Forbid("get pods/portforward")
		}
		c.Apply(manifest)
		pod := c.Run("deployment/echo", kubetest.Ports{7: echo(t)})
		port := brokertest.FreePort(t)
		forward := kubectl(t, c, "port-forward", "--address", "127.0.0.1", "pod/"+pod.Name, fmt.Sprintf("%d:7", port))
		out, err := forward.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := forward.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = forward.Process.Kill()
			_ = forward.Wait()
		})
		brokertest.AwaitLine(t, bufio.NewScanner(out), "Forwarding from")
		conn := dial(t, port)
		sent := bytes.Repeat([]byte("0123456789"), 100_000)
		go func() { // ends with the connection
			_, _ = conn.Write(sent)
		}()
		received := make([]byte, len(sent))
		if _, err := io.ReadFull(conn, received); err != nil || !bytes.Equal(received, sent) {
			t.Errorf("the tunnel returned other bytes than were sent: %v", err)
		}
		if n := c.Tunnels(); n != 1 {
			t.Errorf("there are %d tunnels", n)
		}
		if n := c.WebSockets(); (n == 1) != (!spdy && speaksWebSocket(t, c)) {
			t.Errorf("there are %d WebSockets", n)
		}
		pod.LameDuck()
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Errorf("a connection from before: %v", err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Errorf("a connection from before: %v", err)
		}
		pod.Delete()
		ends(t, conn)
		ends(t, dial(t, port)) // kubectl still listens
	})
	goleak.VerifyNone(t, ignore)
}

// speaksWebSocket reports whether this kubectl is one of 1.31 or later.
func speaksWebSocket(t *testing.T, c *kubetest.Cluster) bool {
	t.Helper()
	out, err := kubectl(t, c, "version", "--client", "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var version struct{ ClientVersion struct{ GitVersion string } }
	if err := json.Unmarshal(out, &version); err != nil {
		t.Fatal(err)
	}
	var minor int
	_, err = fmt.Sscanf(version.ClientVersion.GitVersion, "v1.%d", &minor)
	return err != nil || minor >= 31 // v0.0.0 is that of one built without a version
}

func dial(t *testing.T, port int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ends wants the other side to end a connection.
func ends(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || os.IsTimeout(err) {
		t.Errorf("the connection is open: %d bytes, %v", n, err)
	}
}

// echo returns the address of a server that echoes its input.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		work.Wait()
	})
	return listener.Addr().String()
}

// deaf is a test that records its failures.
type deaf struct {
	testing.TB
	mu     sync.Mutex
	errors []string
}

func (d *deaf) Errorf(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errors = append(d.errors, fmt.Sprintf(format, args...))
}

func (d *deaf) Error(args ...any) { d.Errorf("%s", fmt.Sprint(args...)) }

// Nothing is answered by guess: the test of who asks fails.
func TestUnknownRequest(t *testing.T) {
	kubetest.NeedKubectl(t)
	for _, query := range []string{"get nodes", "get --raw /api/v1/nodes", "get pods --selector app!=x", "get pods --watch", "delete pod x --wait=false"} {
		d := &deaf{TB: t}
		c := kubetest.Start(d)
		err := kubectl(t, c, strings.Fields(query)...).Run()
		c.Stop()
		known := query == "get nodes" // kubectl does not even ask
		if err == nil || known != (len(d.errors) == 0) {
			t.Errorf("%s: %v; the test was told %q", query, err, d.errors)
		}
	}
}
