//go:build !unix

package cli

import "io"

// whenClosed does nothing here: the next write meets the closed pipe.
func whenClosed(io.Writer, func()) (stop func()) { return func() {} }

// allowBackground does nothing where shells do not stop programs.
func allowBackground() {}
