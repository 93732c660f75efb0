package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"nats-test/internal/fault"
)

// cutOff is why a handler is stopped with its events uncounted.
const cutOff = "cut off by the shutdown"

// killAfter is how long a process group has for its end after TERM.
const killAfter = 5 * time.Second

// A child is a process with a group of its own. On Linux it dies with the thread
// that started it, so its goroutine is locked to the thread from start to wait:
// Go ends no thread that a goroutine is locked to before that goroutine.
type child struct {
	cmd    *exec.Cmd
	killed chan struct{} // closed with KILL

	mu     sync.Mutex
	ended  bool   // the process has; no time-out counts any more
	reaped bool   // nothing may be signalled: its number may be another's
	cause  string // why it got TERM
	timer  *time.Timer
}

// start starts a command with the ends of pipes that are the child's; nil is
// the null device. They are closed then. further begins with file descriptor 3.
func start(argv, env []string, stdin, stdout, stderr *os.File, further ...*os.File) (*child, error) {
	defer closeAll(append(further, stdin, stdout, stderr)...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(cmd.Environ(), env...)
	cmd.SysProcAttr = ownGroup()
	cmd.ExtraFiles = further
	if stdin != nil { // a nil *os.File is no nil interface
		cmd.Stdin = stdin
	}
	if stdout != nil {
		cmd.Stdout = stdout
	}
	if stderr != nil {
		cmd.Stderr = stderr
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd: cmd, killed: make(chan struct{})}, nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close() // an end of a pipe, of which nothing is kept
		}
	}
}

// stop sends TERM to the group, and KILL later, unless the process has ended or
// is being stopped.
func (c *child) stop(cause string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.cause != "" {
		return
	}
	c.cause = cause
	terminate(c.cmd.Process)
	c.timer = time.AfterFunc(killAfter, func() {
		defer fault.Exit()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.kill()
	})
}

// kill needs mu.
func (c *child) kill() {
	if !c.reaped {
		kill(c.cmd.Process)
	}
	select {
	case <-c.killed:
	default:
		close(c.killed)
	}
}

// wait waits for the end of the process, and kills what is left of its group.
// A group that got TERM may use its time: it is gone when the streams are done,
// which all of its processes hold. wait returns why the process was stopped, if
// it was.
func (c *child) wait(streams ...*stream) (cause string) {
	awaitExit(c.cmd)
	c.mu.Lock()
	c.ended, cause = true, c.cause
	c.mu.Unlock()
	if cause != "" {
		for _, s := range streams {
			select {
			case <-s.done:
			case <-c.killed:
			}
		}
	}
	c.mu.Lock()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.kill()
	c.reaped = true
	c.mu.Unlock()
	_ = c.cmd.Wait() // its state says it; elsewhere than on Linux it was called before
	return cause
}

// exit returns how a process ended that was waited for, and how that is said.
func (c *child) exit() (code int, signal, reason string) {
	state := c.cmd.ProcessState
	if state == nil {
		return -1, "", "its exit code is unknown"
	}
	if signal = signalOf(state); signal != "" {
		return -1, signal, "killed by " + signal
	}
	code = state.ExitCode()
	return code, "", fmt.Sprintf("exit %d", code)
}

// command is how a command is named in messages.
func command(argv []string) string {
	if len(argv) == 3 && (argv[1] == "-c" || argv[1] == "/C") {
		return argv[2]
	}
	return argv[0]
}

// temporary reports whether a process could not be started for want of
// something that may be there soon. A program that is just being written is, too.
func temporary(err error) bool {
	for _, e := range []error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ETXTBSY} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// unstarted says why a command can't be started.
func unstarted(argv []string, err error) string {
	cause := err
	var path *fs.PathError
	var found *exec.Error
	switch {
	case errors.As(err, &path):
		cause = path.Err
	case errors.As(err, &found):
		cause = found.Err
	}
	hint := ""
	switch _, statErr := os.Stat(argv[0]); {
	case errors.Is(err, syscall.ENOEXEC):
		hint = " (a script needs a first line like #!/bin/sh)"
	case errors.Is(err, fs.ErrNotExist) && statErr == nil:
		hint = " (it is there: its interpreter is not)"
	}
	return fmt.Sprintf("starting %q: %v%s", argv[0], cause, hint)
}

// unfound says why a command that ended with 126 or 127 is broken.
func unfound(argv []string, code int) string {
	why := "a command in it was not found"
	if code == exitNoExec {
		why = "a command in it is not executable"
	}
	return fmt.Sprintf("running %q: exit %d: %s", command(argv), code, why)
}
