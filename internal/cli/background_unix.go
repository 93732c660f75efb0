//go:build unix

package cli

import (
	"os/signal"
	"syscall"
)

// allowBackground lets a program that a shell put into the background go on:
// its read of the terminal fails then, instead of stopping it.
func allowBackground() { signal.Ignore(syscall.SIGTTIN) }
