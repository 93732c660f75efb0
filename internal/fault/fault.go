// Package fault is the last resort: a program that panics ends as one that
// failed. Go's own exit code for that is 2, which reads as "usage", and its
// stack helps no user.
//
// The package's rule: every goroutine and every callback of a library begins
// with a deferred [Exit], behind what else it defers: what others wait for
// must not be over before. A test sees to it. A panic in a goroutine of a library
// can't be caught: it ends with 2 and a stack.
package fault

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"unicode"
)

// Exit, deferred, ends the process with exit code 1 if its goroutine panics, and
// says so in a line. It shows the stack only where DEBUG is set.
func Exit() {
	if what := recover(); what != nil {
		tell(os.Stderr, filepath.Base(os.Args[0]), what, os.Getenv("DEBUG") != "")
		os.Exit(1)
	}
}

func tell(out io.Writer, program string, what any, stack bool) {
	const most = 500
	words := strings.Map(func(r rune) rune { // they may come from a broker
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, fmt.Sprint(what))
	if runes := []rune(words); len(runes) > most {
		words = string(runes[:most]) + "…"
	}
	text := fmt.Sprintf("%s: a fault of this program: %s\n", program, words)
	if stack {
		text += string(debug.Stack())
	} else {
		text += program + ": hint: please report it to who maintains this program: the same command again with DEBUG=1, all that it says, and its --version\n"
	}
	_, _ = io.WriteString(out, text) // there is nobody else to tell
}
