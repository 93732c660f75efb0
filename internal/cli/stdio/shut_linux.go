package stdio

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Shut reports whether a shell started this process with f, a standard stream,
// closed (`>&-`). Go has opened /dev/null in its place, for reading and writing, so
// that no other file gets its number. Other programs may start a process with
// /dev/null opened the same way, to discard its output; shells don't, but may pass
// on their own. In doubt, Shut returns false.
func Shut(f *os.File) bool {
	fd := int(f.Fd())
	var is, null unix.Stat_t
	if unix.Fstat(fd, &is) != nil || unix.Stat(os.DevNull, &null) != nil || is.Rdev != null.Rdev || is.Mode&unix.S_IFMT != unix.S_IFCHR {
		return false
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE != unix.O_RDWR || !startedByShell() {
		return false
	}
	for other := range 10 { // descriptors that a shell can redirect
		if other != fd && !differs(fd, os.Getpid(), other) || !differs(fd, os.Getppid(), other) {
			return false
		}
	}
	return true
}

// differs reports whether file fd of this process is certainly not file other of
// process pid, which may not exist.
func differs(fd, pid, other int) bool {
	const kcmpFile = 0
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(pid), kcmpFile, uintptr(fd), uintptr(other), 0)
	return errno == unix.EBADF || errno == 0 && order != 0
}

// startedByShell reports whether the parent is a shell.
func startedByShell() bool {
	name, _ := os.ReadFile("/proc/" + strconv.Itoa(os.Getppid()) + "/comm")
	shells := []string{"sh", "ash", "bash", "busybox", "dash", "fish", "ksh", "mksh", "zsh"}
	return slices.Contains(shells, strings.TrimSpace(string(name)))
}
