package process

import (
	"os"
	"os/exec"
	"syscall"
)

// longLived is false where handlers can't get a file descriptor 3.
const longLived = false

// A group of its own keeps a Ctrl-C from the handler.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// There is no TERM, and a group can't be killed. A process that has ended is no
// error.
func terminate(p *os.Process) { _ = p.Kill() }

func kill(p *os.Process) { _ = p.Kill() }

func awaitExit(cmd *exec.Cmd) { _ = cmd.Wait() } // its state says it

func signalOf(*os.ProcessState) string { return "" }
