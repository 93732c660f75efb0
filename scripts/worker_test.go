package scripts_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// The workers in deploy run with their arguments on both brokers. Stopped, they let the
// command that runs finish, within the time that they are given.
func TestWorkersOfDeploy(t *testing.T) {
	t.Parallel()
	unit := unitOf(t)
	pod := manifest(t, "mailer.yaml", "Deployment", "mailer").Spec.Template.Spec
	limit, err := time.ParseDuration(unit["TimeoutStopSec"])
	if err != nil {
		t.Fatal(err)
	}
	// TERM to the whole control group would stop the commands, too.
	if unit["KillMode"] != "mixed" {
		t.Errorf("KillMode is %q", unit["KillMode"])
	}
	for name, w := range map[string]struct {
		argv  []string
		limit time.Duration // before everything is killed
	}{
		"systemd":    {strings.Fields(unit["ExecStart"]), limit},
		"kubernetes": {slices.Concat(pod.Containers[0].Command, pod.Containers[0].Args), time.Duration(pod.Grace) * time.Second},
	} {
		if name == "kubernetes" {
			declared(t, pod.Containers[0], metricsPort(t, w.argv))
		}
		const killAfter, leave = 5 * time.Second, 10 * time.Second
		if least := graceOf(t, w.argv) + killAfter + leave; w.limit < least {
			t.Errorf("%s: it is killed after %v, before %v", name, w.limit, least)
		}
		for kind, config := range map[string]brokertest.Config{"stan": {}, "jetstream": {Plain: true, JetStream: true}} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				runWorker(t, brokertest.Start(t, config), w.argv)
			})
		}
	}
}

// unitOf returns the settings of the unit.
func unitOf(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", "systemd", "mailer.service"))
	if err != nil {
		t.Fatal(err)
	}
	unit := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			unit[key] = value
		}
	}
	return unit
}

// graceOf returns what --grace says.
func graceOf(t *testing.T, argv []string) time.Duration {
	t.Helper()
	for i, arg := range argv {
		value, ok := strings.CutPrefix(arg, "--grace=")
		if arg == "--grace" {
			value, ok = argv[i+1], true
		}
		if ok {
			grace, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			return grace
		}
	}
	t.Fatalf("no --grace in %q", argv)
	return 0
}

// metricsPort returns the port of --metrics.
func metricsPort(t *testing.T, argv []string) int {
	t.Helper()
	for _, arg := range argv {
		if address, ok := strings.CutPrefix(arg, "--metrics=:"); ok {
			port, err := strconv.Atoi(address)
			if err != nil {
				t.Fatal(err)
			}
			return port
		}
	}
	t.Fatalf("no --metrics in %q", argv)
	return 0
}

// runWorker stops a worker while its command runs, and lets that finish.
func runWorker(t *testing.T, s *brokertest.Server, argv []string) {
	programs, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	const listen, command = "/usr/local/bin/listen", "/usr/local/bin/send-mail"
	if argv[0] != listen || argv[len(argv)-1] != command {
		t.Fatalf("the command line is %q", argv)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "send-mail"),
		[]byte("#!/bin/sh\ncd \"${0%/*}\" && echo >begun && until test -e go; do sleep 0.02; done && cat >sent\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	args := slices.Clone(argv[1:])
	args[len(args)-1] = filepath.Join(dir, "send-mail")
	for i, arg := range args {
		if strings.HasPrefix(arg, "--metrics=") { // others run here, too
			args[i] = "--metrics=127.0.0.1:0"
		}
	}
	var says output
	worker := exec.Command(filepath.Join(programs, "listen"), args...)
	worker.Env = append(os.Environ(), "NATS_URL="+s.URL, "NATS_MONITOR_URL="+s.Monitor)
	worker.Stdout, worker.Stderr = &says, &says
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- worker.Wait() }()
	t.Cleanup(func() {
		_ = worker.Process.Kill()
		if t.Failed() {
			t.Logf("it says:\n%s", says.text())
		}
	})
	await := func(what string) {
		t.Helper()
		brokertest.Eventually(t, "it says "+what, func() bool { return strings.Contains(says.text(), what) })
	}
	await("listening to ticket:created")
	publish := exec.Command(filepath.Join(programs, "publish"), "ticket:created", "--sample", "-s", s.URL)
	if out, err := publish.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	brokertest.Eventually(t, "the command runs", func() bool { return exists(dir, "begun") })
	if err := worker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await("stopping: 1 handler still runs")
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || !exists(dir, "sent") || !strings.Contains(says.text(), "handled 1 event, 0 retries, 0 dead letters") {
		t.Errorf("it ended with %v, says:\n%s", err, says.text())
	}
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// An output is read while a program writes it.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}
