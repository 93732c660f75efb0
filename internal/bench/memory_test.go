package bench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// watched is run that returns the program's peak memory in MiB, read from
// Linux while it runs: what wait4 tells counts from the peak of the parent.
func (f *field) watched(cmd *exec.Cmd) (peak float64) {
	f.b.Helper()
	cmd.Stderr = io.Discard
	if err := cmd.Start(); err != nil {
		f.b.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case err := <-exited:
			tick.Stop()
			if err != nil || peak == 0 {
				f.b.Fatalf("%s: %v, peak %v MiB", cmd, err, peak)
			}
			return peak
		case <-tick.C:
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
			if found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status); found != nil {
				kib, _ := strconv.ParseFloat(string(found[1]), 64)
				peak = max(peak, kib/1024)
			}
		}
	}
}

// generated is events to be read, a line each.
type generated struct {
	left int
	rest []byte
}

func (g *generated) Read(p []byte) (int, error) {
	for len(g.rest) < len(p) && g.left > 0 {
		g.rest = append(append(g.rest, event(g.left)...), '\n')
		g.left--
	}
	if len(g.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, g.rest)
	g.rest = g.rest[:copy(g.rest, g.rest[n:])]
	return n, nil
}

// A counter counts the lines that are written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(bytes.Count(p, []byte("\n")))
	return len(p), nil
}
