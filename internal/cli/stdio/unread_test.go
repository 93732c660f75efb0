package stdio

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"
)

// An error of stdout names it once, and a closed pipe is described.
func TestUnwritten(t *testing.T) {
	err := Unwritten(&fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC})
	if err.Error() != "writing to stdout: "+syscall.ENOSPC.Error() || !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if err := Unwritten(&fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
