//go:build unix

package stdio

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"nats-test/internal/fault"
)

// WhenClosed calls closed when the reader at the other end of out goes away,
// where out is a pipe: a listener to which no event comes would not notice.
// stop ends the watch and waits for it.
func WhenClosed(out io.Writer, closed func()) (stop func()) {
	nothing := func() {}
	f, ok := out.(*os.File)
	if !ok {
		return nothing
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return nothing
	}
	wakeReader, wake, err := os.Pipe()
	if err != nil {
		return nothing
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer fault.Exit()
		// With no events asked for, poll reports errors and hang-ups alone.
		fds := []unix.PollFd{{Fd: int32(f.Fd())}, {Fd: int32(wakeReader.Fd())}}
		for {
			_, err := unix.Poll(fds, -1)
			switch {
			case err == unix.EINTR:
				continue
			case err == nil && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0:
				closed()
			}
			return
		}
	}()
	return func() {
		_ = wake.Close() // hangs up on the poll
		<-done
		_ = wakeReader.Close()
	}
}

// AllowBackground lets a program that a shell put into the background go on:
// its read of the terminal fails then, instead of stopping it.
func AllowBackground() { signal.Ignore(syscall.SIGTTIN) }

// InBackground reports whether in is a terminal that belongs to another process
// group, as under timeout or behind &: changing its modes would stop this
// program, and the keys go to others.
func InBackground(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group != unix.Getpgrp()
}
