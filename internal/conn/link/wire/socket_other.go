//go:build !linux && !darwin

package wire

import "net"

// limitUnsent does nothing, as this system has no such setting.
func limitUnsent(net.Conn) {}
