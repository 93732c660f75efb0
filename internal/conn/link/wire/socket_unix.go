//go:build linux || darwin

package wire

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// limitUnsent has the system take no more than a little beyond what it could
// send: a write over a slow link shall end when most of it was sent, not when
// all of it waits in megabytes of memory. That it can't be set does no harm.
func limitUnsent(c net.Conn) {
	const unsent = 128 << 10
	raw, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	if control, err := raw.SyscallConn(); err == nil {
		_ = control.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent) })
	}
}
