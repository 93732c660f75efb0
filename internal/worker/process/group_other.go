//go:build unix && !linux

package process

import (
	"os/exec"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit reaps the process. What is left of its group keeps the number; if
// nothing is, another could get it before the group is killed a moment later.
func awaitExit(cmd *exec.Cmd) { _ = cmd.Wait() } // its state says it
