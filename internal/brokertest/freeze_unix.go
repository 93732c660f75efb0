//go:build unix

package brokertest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Freeze suspends the server's process with SIGSTOP: connections stay open, but
// nothing answers. On Linux, it waits until the process has stopped.
func (s *Server) Freeze() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	threads := fmt.Sprintf("/proc/%d/task/*/stat", s.process.Process.Pid)
	Eventually(s.t, "the server stands still", func() bool {
		stats, _ := filepath.Glob(threads)
		return !slices.ContainsFunc(stats, func(stat string) bool {
			text, err := os.ReadFile(stat)
			return err == nil && !bytes.Contains(text, []byte(") T "))
		})
	})
}

// Thaw resumes a frozen server.
func (s *Server) Thaw() {
	s.t.Helper()
	s.signal(syscall.SIGCONT)
}

func (s *Server) signal(which syscall.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		s.t.Fatal("a stopped server can't be frozen or thawed")
	}
	if err := s.process.Process.Signal(which); err != nil {
		s.t.Fatal(err)
	}
	s.process.frozen = which == syscall.SIGSTOP
}
