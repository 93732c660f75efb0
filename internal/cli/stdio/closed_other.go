//go:build !unix

package stdio

import "io"

// WhenClosed does nothing here: the next write meets the closed pipe.
func WhenClosed(io.Writer, func()) (stop func()) { return func() {} }

// AllowBackground does nothing where shells do not stop programs.
func AllowBackground() {}

// InBackground is never so there.
func InBackground(io.Reader) bool { return false }
