//go:build unix

package stdio

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// AllowBackground keeps a background program from being stopped when it reads the
// terminal: the read fails instead.
func AllowBackground() { signal.Ignore(syscall.SIGTTIN) }

// InBackground reports whether in is a terminal of another process group, as under
// timeout or behind &. Changing its modes would stop this program, and keys go to
// the other group.
func InBackground(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group != unix.Getpgrp()
}
