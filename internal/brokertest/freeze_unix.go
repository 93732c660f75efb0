//go:build unix

package brokertest

import "syscall"

// Freeze stops the server's process without ending it, as SIGSTOP does: its
// connections stay open, and nothing answers.
func (s *Server) Freeze() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
}

// Thaw lets a frozen server go on.
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
