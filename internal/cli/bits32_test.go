//go:build linux && amd64

package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nats-test/internal/brokertest"
)

// Programs whose int has 32 bits work with a stream that may hold more bytes
// than such an int counts.
func TestProgramsOf32Bits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "nats-test/cmd/publish", "nats-test/cmd/listen")
	build.Env = append(os.Environ(), "GOARCH=386", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	for _, step := range []struct{ args, want string }{
		{"publish ticket:created --sample --create-stream --max-bytes 3GiB --id first", "(#1 of stream ticket:created)"},
		{"publish ticket:created --sample --id first", "already stored: #1"},
		{"listen ticket:created --group g --until-end", "#1 ticket:created {"},
		{"listen status", "nothing is stuck"},
		{"listen doctor ticket:created", "JetStream   enabled"},
	} {
		words := strings.Fields(step.args)
		cmd := exec.Command(filepath.Join(dir, words[0]), append(words[1:], "--server", server.URL)...)
		cmd.Env = []string{"HOME=" + dir}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.ENOEXEC) {
			t.Skip("this kernel runs no programs of 32 bits")
		}
		if err != nil || !strings.Contains(string(out), step.want) {
			t.Errorf("%s: %v, want %q:\n%s", step.args, err, step.want, out)
		}
	}
}
