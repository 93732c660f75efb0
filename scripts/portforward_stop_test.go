//go:build unix

package scripts_test

import (
	"bufio"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"nats-test/internal/brokertest"
	"nats-test/internal/kubetest"
)

var signals = map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP}

// A signal to the script alone, as kill sends it, or to all of its group, as
// the terminal does on Ctrl-C: no kubectl is left, and the port is free.
func TestStopWhileItForwards(t *testing.T) {
	for name, signal := range signals {
		for whom, group := range map[string]int{"the script": 1, "the group": -1} {
			t.Run(name+" to "+whom, func(t *testing.T) {
				s := newScene(t)
				pod := s.cluster.Run(deployment, s.ports())
				f := s.forward()
				f.awaitSaying("NATS of pod " + pod.Name)
				s.ends(f, group*f.cmd.Process.Pid, signal, 0)
			})
		}
	}
}

// The same while it waits for a pod, and while kubectl waits for an answer.
func TestStopWhileItWaits(t *testing.T) {
	for name, signal := range signals {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.cluster.RunIn(deployment, nil, kubetest.State{Phase: "Pending"})
			f := s.forward()
			f.awaitSaying("waiting: ")
			s.ends(f, f.cmd.Process.Pid, signal, 0)
		})
		t.Run(name+", nothing answers", func(t *testing.T) {
			s := newScene(t)
			s.cluster.Freeze()
			f := s.forward()
			f.awaitSaying("looking for NATS")
			s.ends(f, f.cmd.Process.Pid, signal, 0)
		})
	}
}

// On a terminal, where kubectl's process group is another than the script's.
func TestCtrlC(t *testing.T) {
	s := newScene(t)
	pod := s.cluster.Run(deployment, s.ports())
	f := prepare(t, s.variables(), "./port-forward.sh")
	terminal, err := pty.Start(f.cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	f.started()
	go func() { // ends with the terminal
		shown := f.locked(&f.stderr)
		for lines := bufio.NewScanner(terminal); lines.Scan(); {
			_, _ = fmt.Fprintln(shown, strings.TrimPrefix(lines.Text(), "^C"))
		}
	}()
	f.awaitSaying("NATS of pod " + pod.Name)
	if _, err := terminal.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	f.endsWith(0)
	f.awaitSaying("ended")
	s.nothingIsLeft(f)
}

// make pf passes variables and signals on.
func TestStopOfMake(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.cluster.ApplyFile("../deploy/k8s/jetstream.yaml")
			pod := s.cluster.Run("statefulset/nats", s.ports())
			monitor := brokertest.FreePort(t)
			f := start(t, []string{"KUBECONFIG=" + s.cluster.Kubeconfig}, "make", "--no-print-directory", "-C", "..", "pf",
				fmt.Sprintf("PORT=%d", s.port), fmt.Sprintf("MONITOR=%d", monitor), "NAMESPACE="+kubetest.Namespace, "TARGET=statefulset/nats")
			f.awaitSaying(fmt.Sprintf("NATS of pod %s is at %s, its monitoring at http://127.0.0.1:%d", pod.Name, s.url(), monitor))
			s.publish("1")
			s.ends(f, -f.cmd.Process.Pid, signal, -1)
		})
	}
}

// ends sends a signal, and wants the script to end with an exit code (-1: any)
// and nothing to be left.
func (s *scene) ends(f *forwarder, pid int, signal syscall.Signal, code int) {
	s.t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		s.t.Fatal(err)
	}
	if code < 0 {
		brokertest.Eventually(s.t, "the script ends", func() bool {
			select {
			case <-f.exited:
				return true
			default:
				return false
			}
		})
	} else {
		f.endsWith(code)
	}
	s.nothingIsLeft(f)
}

// nothingIsLeft wants no kubectl to be there after the script has ended.
func (s *scene) nothingIsLeft(f *forwarder) {
	s.t.Helper()
	f.leavesNothing()
	if connects(s.port) {
		s.t.Error("something still listens at the port")
	}
	brokertest.Eventually(s.t, "the cluster has no tunnel", func() bool { return s.cluster.Tunnels() == 0 })
}
