package stdio

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"
)

// A failed write names stdout once, and a closed pipe by what happened.
func TestUnwritten(t *testing.T) {
	err := Unwritten(&fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC})
	if err.Error() != "writing to stdout: "+syscall.ENOSPC.Error() || !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if err := Unwritten(&fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
