//go:build unix

package stdio

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"nats-test/internal/fault"
)

// WhenClosed calls closed when the reader of out, a pipe, goes away: a listener
// without events would not notice. stop ends the watch and waits for it.
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
		// With no events requested, poll reports only errors and hang-ups.
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
		_ = wake.Close() // ends the poll
		<-done
		_ = wakeReader.Close()
	}
}
