//go:build unix

package kubetest_test

import (
	"bufio"
	"bytes"
	"context"
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

// What kubectl get shows is what was put in, by label and by name.
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

// A tunnel carries bytes both ways, and outlives its pod until the next
// connection, as with a real cluster. Nothing of the simulation stays behind.
func TestTunnelOutlivesItsPod(t *testing.T) {
	kubetest.NeedKubectl(t)
	ignore := goleak.IgnoreCurrent()
	t.Run("tunnel", func(t *testing.T) {
		c := kubetest.Start(t)
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
		pod.Delete()
		ends(t, conn)
		ends(t, dial(t, port)) // kubectl still listens
	})
	goleak.VerifyNone(t, ignore)
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

// echo is the address of a server that returns what it is sent.
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

// deaf is a test that keeps what fails it.
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
