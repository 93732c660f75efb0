//go:build unix

package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// longLived is false where handlers can't get a file descriptor 3.
const longLived = true

// A group that is gone is no error.
func terminate(p *os.Process) { _ = unix.Kill(-p.Pid, unix.SIGTERM) }

func kill(p *os.Process) { _ = unix.Kill(-p.Pid, unix.SIGKILL) }

func signalOf(state *os.ProcessState) string {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return ""
	}
	if name := unix.SignalName(status.Signal()); name != "" {
		return name
	}
	return status.Signal().String()
}
