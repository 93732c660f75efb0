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

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
)

// Programs whose int has 32 bits know the terms of a stream that may hold more
// bytes than such an int counts.
func TestProgramsOf32Bits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "nats-test/cmd/publish", "nats-test/cmd/listen")
	build.Env = append(os.Environ(), "GOARCH=386", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	unwanted := conn.NewStream("order:created", 1)
	unwanted.Retention, unwanted.MaxBytes = jetstream.InterestPolicy, 3<<30
	js := server.JetStream()
	defer js.Conn().Close()
	if _, err := js.CreateStream(t.Context(), unwanted); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		args, want string
		code       int
	}{
		{"publish ticket:created --sample --create-stream --max-bytes 3GiB", "(#1 of stream ticket:created)", 0},
		{"publish order:created --sample", "acked, but not stored", 5},
		{"listen ticket:created --group g --until-end", "#1 ticket:created {", 0},
		{"listen status", "nothing is stuck", 0},
		{"listen doctor ticket:created", "JetStream   enabled", 0},
	} {
		words := strings.Fields(step.args)
		cmd := exec.Command(filepath.Join(dir, words[0]), append(words[1:], "--server", server.URL)...)
		cmd.Env = []string{"HOME=" + dir}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.ENOEXEC) {
			t.Skip("this kernel runs no programs of 32 bits")
		}
		if code := cmd.ProcessState.ExitCode(); code != step.code || !strings.Contains(string(out), step.want) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s", step.args, code, step.code, step.want, out)
		}
	}
}
