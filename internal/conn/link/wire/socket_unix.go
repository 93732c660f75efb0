//go:build linux || darwin

package wire

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// limitUnsent limits the bytes that the system buffers beyond those it can send at once.
// Otherwise a write over a slow link would return with megabytes still unsent. Failing to
// set the limit does no harm.
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
