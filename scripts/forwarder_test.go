//go:build unix

package scripts_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/kubetest"
)

// A scene is a cluster, a server that its pods can lead to, and the local port
// for it.
type scene struct {
	t       *testing.T
	cluster *kubetest.Cluster
	broker  *brokertest.Server
	port    int
}

const deployment = "deployment/nats-depl"

// newScene starts a scene with the Deployment of the course, and no pod.
func newScene(t *testing.T) *scene {
	t.Helper()
	t.Parallel()
	kubetest.NeedKubectl(t)
	s := &scene{t: t, cluster: kubetest.Start(t), broker: brokertest.Start(t, brokertest.Config{}), port: brokertest.FreePort(t)}
	s.cluster.ApplyFile("../deploy/k8s/nats-streaming.yaml")
	return s
}

// ports leads a pod's ports to the server.
func (s *scene) ports() kubetest.Ports { return portsOf(s.broker) }

func portsOf(broker *brokertest.Server) kubetest.Ports {
	return kubetest.Ports{
		4222: strings.TrimPrefix(broker.URL, "nats://"),
		8222: strings.TrimPrefix(broker.Monitor, "http://"),
	}
}

// url is where the tunnel is to be.
func (s *scene) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.port) }

// A forwarder is a run of the script, in a process group of its own.
type forwarder struct {
	t      *testing.T
	cmd    *exec.Cmd
	dir    string // its HOME and TMPDIR
	marker string // only its processes have this in their environment
	exited chan struct{}

	mu     sync.Mutex
	stderr bytes.Buffer
	stdout bytes.Buffer
}

// forward starts the script with the scene's port, without monitoring unless a
// variable of more says so.
func (s *scene) forward(more ...string) *forwarder {
	s.t.Helper()
	return start(s.t, s.variables(more...), "./port-forward.sh")
}

func (s *scene) variables(more ...string) []string {
	return append([]string{"KUBECONFIG=" + s.cluster.Kubeconfig, fmt.Sprintf("PORT=%d", s.port), "MONITOR=0"}, more...)
}

// start starts a command that is the script, or starts it.
func start(t *testing.T, variables []string, command ...string) *forwarder {
	t.Helper()
	f := prepare(t, variables, command...)
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	f.cmd.Stdout, f.cmd.Stderr = f.locked(&f.stdout), f.locked(&f.stderr)
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f.started()
	return f
}

func prepare(t *testing.T, variables []string, command ...string) *forwarder {
	t.Helper()
	f := &forwarder{t: t, cmd: exec.Command(command[0], command[1:]...), dir: t.TempDir(), exited: make(chan struct{})}
	f.marker = "FORWARDER=" + f.dir
	f.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + f.dir, "TMPDIR=" + f.dir, f.marker}, variables...)
	return f
}

func (f *forwarder) started() {
	go func() {
		defer close(f.exited)
		_ = f.cmd.Wait() // the exit code is asked for by endsWith
	}()
	f.t.Cleanup(f.finish)
}

// locked returns a writer for what a process says.
func (f *forwarder) locked(to *bytes.Buffer) writer {
	return func(b []byte) (int, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return to.Write(b)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// finish ends a script that still runs, and looks at what it left behind.
func (f *forwarder) finish() {
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-f.exited:
	case <-time.After(20 * time.Second):
		f.t.Error("the script does not end on SIGTERM")
		_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL)
		<-f.exited
	}
	f.leavesNothing()
	if stdout := f.text(&f.stdout); stdout != "" {
		f.t.Errorf("the script wrote to stdout: %q", stdout)
	}
	for line := range strings.Lines(f.text(&f.stderr)) {
		if !strings.HasPrefix(line, "pf: ") && !strings.HasPrefix(line, "make: ") {
			f.t.Errorf("a line is not the script's own: %q", line)
		}
	}
	if strings.Contains(f.said(), kubetest.Token) || strings.Contains(f.said(), "\x1b") {
		f.t.Error("the script shows a secret or a control character")
	}
	if f.t.Failed() {
		f.t.Logf("%v said:\n%s", f.cmd.Args, f.said())
	}
}

// leavesNothing fails the test if a process of the script is alive, or a file
// of it is there.
func (f *forwarder) leavesNothing() {
	f.t.Helper()
	if left, _ := filepath.Glob(filepath.Join(f.dir, "port-forward.*")); len(left) > 0 {
		f.t.Errorf("the script left %v behind", left)
	}
	// A killed process may be there for a moment; systems without /proc show by
	// the tunnels and ports that nothing is left.
	brokertest.Eventually(f.t, "no process of the script is alive", func() bool { return len(f.alive()) == 0 })
}

// alive lists the processes that the script or its children started.
func (f *forwarder) alive() (commands []string) {
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range environments {
		environment, err := os.ReadFile(name)
		if err == nil && bytes.Contains(environment, []byte(f.marker)) {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
			commands = append(commands, strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return commands
}

func (f *forwarder) text(of *bytes.Buffer) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return of.String()
}

// said is what stands on stderr.
func (f *forwarder) said() string { return f.text(&f.stderr) }

// awaitSaying waits until text stands on stderr, behind what stood there at a
// [forwarder.mark].
func (f *forwarder) awaitSaying(text string, since ...int) {
	f.t.Helper()
	from := 0
	if len(since) > 0 {
		from = since[0]
	}
	brokertest.Eventually(f.t, fmt.Sprintf("the script says %q", text), func() bool {
		select {
		case <-f.exited:
			if !strings.Contains(f.said()[from:], text) {
				f.t.Fatalf("the script ended and did not say %q", text)
			}
		default:
		}
		return strings.Contains(f.said()[from:], text)
	})
}

func (f *forwarder) mark() int { return len(f.said()) }

// endsWith waits until the script ends by itself, with an exit code.
func (f *forwarder) endsWith(code int) {
	f.t.Helper()
	select {
	case <-f.exited:
	case <-time.After(30 * time.Second):
		f.t.Fatal("the script still runs")
	}
	if got := f.cmd.ProcessState.ExitCode(); got != code {
		f.t.Fatalf("exit code %d, want %d", got, code)
	}
}

// says fails the test unless the words stand on stderr in this order.
func (f *forwarder) says(words ...string) {
	f.t.Helper()
	rest := f.said()
	for _, text := range words {
		_, after, found := strings.Cut(rest, text)
		if !found {
			f.t.Errorf("the script does not say %q", text)
			return
		}
		rest = after
	}
}

// publish publishes an event through the tunnel, at the first try.
func (s *scene) publish(id string) {
	s.t.Helper()
	data := fmt.Sprintf(`{"id":%q,"title":"event","price":1,"userId":"u"}`, id)
	if out, err := s.program("publish", "ticket:created", "--data", data).CombinedOutput(); err != nil {
		s.t.Fatalf("publishing through the tunnel: %v\n%s", err, out)
	}
}

// program is a run of publish or listen through the tunnel. It ends with the
// test.
func (s *scene) program(name string, args ...string) *exec.Cmd {
	s.t.Helper()
	bin, err := brokertest.Programs()
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), append(args, "--server", s.url())...)
	cmd.Env = []string{"HOME=" + s.t.TempDir(), "GORACE=atexit_sleep_ms=10"}
	return cmd
}

// connects reports whether something listens at a port.
func connects(port int) bool {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}
