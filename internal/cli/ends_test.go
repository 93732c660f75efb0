//go:build unix

package cli_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nats-test/internal/brokertest"
)

// unread starts a listener with a pipe as stdout, and returns the read end, which
// is not read yet.
func unread(t *testing.T, server *brokertest.Server, args ...string) (*exec.Cmd, io.Reader, *outputFile) {
	t.Helper()
	bin, err := brokertest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	errors := newOutputFile(t, filepath.Join(t.TempDir(), "stderr"))
	cmd := exec.Command(filepath.Join(bin, "listen"), append([]string{"--server", server.URL, "--monitor", server.Monitor}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = []string{"HOME=" + t.TempDir()}, writer, errors.to
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, reader, errors
}

// big stores events that no pipe holds many of.
func big(t *testing.T, server *brokertest.Server, n int) {
	t.Helper()
	p := runProcess(t, server.URL, "publish", subject, "--create-stream", "-q", "-n", fmt.Sprint(n),
		"--data", `{"id":"1","title":"`+strings.Repeat("y", 4000)+`","price":1,"userId":"u"}`)
	p.endsWith(0, time.Minute)
}

// A listener whose output is not read blocks no other member, is reported by
// status, and ends in time after a signal with all that it wrote.
func TestOutputThatNobodyReads(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		const events = 100
		big(t, server, events)
		stuck, output, said := unread(t, server, subject, "-g", "g", "--ack-wait", "2s", "-o", "json")
		first := bufio.NewReader(output)
		if _, err := first.ReadByte(); err != nil { // it has begun to write
			t.Fatal(err)
		}
		if nounOf(t) == "listener" { // NATS Streaming does not report it
			brokertest.Eventually(t, "status tells of it", func() bool {
				status := runProcess(t, server.URL, "listen", "status", "--settle", "1s")
				status.wait(time.Minute)
				return strings.Contains(status.out.all(), "its output has not been read for")
			})
		}
		other := runProcess(t, server.URL, "listen", subject, "-g", "g", "--ack-wait", "2s", "-o", "json")
		other.awaitLines(events / 2) // the pipe and the buffers hold the rest
		if err := stuck.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = stuck.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(15 * time.Second):
			t.Fatal("it does not end")
		}
		if code := stuck.ProcessState.ExitCode(); code != 1 || !strings.Contains(said.all(), "its output is not read") {
			t.Errorf("exit code %d, said %s", code, said.all())
		}
	})
}

// A listener interrupted before its end is incomplete.
func TestInterruptedBeforeItsEnd(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, server *brokertest.Server) {
		store(t, server, 20)
		for flags, says := range map[string]string{
			"--count 30":                            "interrupted: 20 of 30 events handled",
			"--until-end --delay 1h --ack-wait 10h": "interrupted before the end: 1 event handled",
		} {
			p := runProcess(t, server.URL, append([]string{"listen", subject, "--monitor", server.Monitor}, strings.Fields(flags)...)...)
			if p.awaitSaying("listening to"); strings.Contains(flags, "count") {
				p.awaitLines(20)
				p.signal(syscall.SIGINT)
				p.endsWith(130, 30*time.Second)
				p.awaitSaying(says)
				continue
			}
			p.awaitLines(1)
			p.signal(syscall.SIGINT)
			p.awaitSaying("stopping when the event in hand is done")
			p.kill()
		}
		p := runProcess(t, server.URL, "listen", subject) // it has none
		p.awaitLines(20)
		p.signal(syscall.SIGINT)
		p.endsWith(0, 30*time.Second)
	})
}

// Events held by others keep a group from its end, with a separate exit code.
func TestUntilEndWhileOthersHoldEvents(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	store(t, server, 3)
	holder := runProcess(t, server.URL, "listen", subject, "-g", "g", "--delay", "1h", "--ack-wait", "1s", "--max-in-flight", "1")
	holder.awaitLines(1)
	p := runProcess(t, server.URL, "listen", subject, "-g", "g", "--until-end", "--ack-wait", "1s")
	p.endsWith(7, time.Minute)
	p.awaitSaying("others hold 1 event of " + subject + " unacked")
	if n := len(p.out.lines()); n != 2 {
		t.Errorf("%d events handled", n)
	}
}

// Without the monitoring port, events held by other members of a group of NATS
// Streaming are unknown, except to a listener that handled all events itself.
func TestUntilEndWithoutTheMonitoringPort(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	store(t, server, 5)
	args := []string{"listen", subject, "-g", "g", "--until-end", "--monitor", "http://127.0.0.1:1"}
	whole := runProcess(t, server.URL, args...)
	whole.endsWith(0, time.Minute)
	if n := len(whole.out.lines()); n != 5 {
		t.Errorf("%d events handled", n)
	}
	nothing := runProcess(t, server.URL, args...)
	nothing.endsWith(7, time.Minute)
	nothing.awaitSaying("it is not known whether everything up to the end was handled")
}
