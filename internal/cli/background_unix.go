//go:build unix

package cli

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// allowBackground lets a program that a shell put into the background go on:
// its read of the terminal fails then, instead of stopping it.
func allowBackground() { signal.Ignore(syscall.SIGTTIN) }

// inBackground reports whether in is a terminal that belongs to another process
// group, as under timeout or behind &: changing its modes would stop this
// program, and the keys go to others.
func inBackground(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group != unix.Getpgrp()
}
