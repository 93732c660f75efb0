package brokertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// programs builds the two programs once per test process.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "programs-")
	if err != nil {
		return "", err
	}
	built.Store(&dir)
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	if Race {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "nats-test/cmd/publish", "nats-test/cmd/listen")...)
	if !Race { // the race detector needs cgo; make build does not use it
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	if out, err := build.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return dir, nil
})

var built atomic.Pointer[string] // their folder

// Programs returns the folder of the two real programs, built like make build, and
// with the race detector if the test has it.
func Programs() (dir string, err error) { return programs() }

// RemovePrograms removes the output of Programs, at the end of a TestMain.
func RemovePrograms() {
	if dir := built.Load(); dir != nil {
		_ = os.RemoveAll(*dir)
	}
}
