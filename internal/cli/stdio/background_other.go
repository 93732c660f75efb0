//go:build !unix

package stdio

import "io"

// AllowBackground does nothing: shells here don't stop background programs.
func AllowBackground() {}

// InBackground returns false.
func InBackground(io.Reader) bool { return false }
