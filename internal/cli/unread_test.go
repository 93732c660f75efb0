//go:build unix

package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nats-test/internal/brokertest"
)

// full reports whether a pipe takes no more.
func full(t *testing.T, writer *os.File) bool {
	t.Helper()
	ready, err := unix.Poll([]unix.PollFd{{Fd: int32(writer.Fd()), Events: unix.POLLOUT}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return ready == 0
}

// A signal ends both programs in time, whichever of their outputs is not read.
func TestSignalWhileAnOutputIsNotRead(t *testing.T) {
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	broken := runProcess(t, server.URL, "publish", subject, "--raw", "--create-stream", "--data", "-", "-q")
	for range 3000 {
		if _, err := broken.stdin.Write([]byte("no event at all\n")); err != nil {
			t.Fatal(err)
		}
	}
	_ = broken.stdin.Close()
	broken.endsWith(0, time.Minute)
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"stderr listen " + subject + " -g g",
		"stdout publish " + subject + " --sample -n 1000000",
	} {
		words := strings.Fields(args)
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(filepath.Join(bin, words[1]), append(words[2:], "--server", server.URL)...)
		cmd.Env = []string{"HOME=" + t.TempDir()}
		if words[0] == "stderr" {
			cmd.Stderr = writer
		} else {
			cmd.Stdout = writer
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		looks := 0 // a pipe that is full takes a short line yet
		brokertest.Eventually(t, "the pipe is full, and stays so", func() bool {
			if looks++; !full(t, writer) {
				looks = 0
			}
			return looks >= 20
		})
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		select {
		case <-ended:
			if code := cmd.ProcessState.ExitCode(); code <= 0 {
				t.Errorf("%s: exit code %d", args, code)
			}
		case <-time.After(15 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
			t.Errorf("%s does not end", args)
		}
		_, _ = writer.Close(), reader.Close()
	}
}
