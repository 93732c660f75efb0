package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"nats-test/internal/brokertest"
	"nats-test/internal/worker/process"
)

// A handler does not outlive the process that runs it.
func TestDiesWithItsWorker(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	var out buffer
	worker := exec.Command(os.Args[0], append([]string{"handler", "worker"}, shell("echo $$; exec sleep 60")...)...)
	worker.Stdout = &out
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	pid := out.number(t)
	if err := worker.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the handler has ended", func() bool { return !alive(pid) })
	_ = worker.Wait() // it was killed
}

// What is short for a moment is waited for.
func TestTextBusy(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	name := t.TempDir() + "/handler"
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("#!/bin/sh\nexit 65\n"); err != nil {
		t.Fatal(err)
	}
	c := process.NewCommand(process.Config{Argv: []string{name}, Warn: func(format string, args ...any) {
		if said := fmt.Sprintf(format, args...); !strings.Contains(said, "text file busy: it is tried again for 10s") {
			t.Errorf("warning: %s", said)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}})
	want(t, c.Run(t.Context(), process.Event{}), process.Dead, "exit 65")
}
