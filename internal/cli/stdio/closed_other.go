//go:build !unix

package stdio

import "io"

// WhenClosed does nothing: the next write returns the error.
func WhenClosed(io.Writer, func()) (stop func()) { return func() {} }
