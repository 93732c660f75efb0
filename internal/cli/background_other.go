//go:build !unix

package cli

import "io"

// allowBackground does nothing where shells do not stop programs.
func allowBackground() {}

// inBackground is never so there.
func inBackground(io.Reader) bool { return false }
