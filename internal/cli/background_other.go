//go:build !unix

package cli

// allowBackground does nothing where shells do not stop programs.
func allowBackground() {}
