package stdio

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
	"nats-test/internal/fault"
)

// A Stray catches the lines that a library prints on stdout, where only records
// belong: stan.go prints a message that it can't read, and drops it.
type Stray struct {
	stdout, pipe *os.File
	over         chan struct{}
	lines        int // to be read once over is closed
}

// Divert passes to warn whatever a library prints on stdout from now on.
func Divert(warn func(format string, args ...any)) *Stray {
	s := &Stray{stdout: os.Stdout, over: make(chan struct{})}
	from, to, err := os.Pipe()
	if err != nil {
		close(s.over)
		os.Stdout = os.Stderr
		return s
	}
	s.pipe, os.Stdout = to, to
	go s.read(from, warn)
	return s
}

func (s *Stray) read(from io.ReadCloser, warn func(format string, args ...any)) {
	defer close(s.over)
	defer func() { _ = from.Close() }()
	defer fault.Exit()
	told := link.Notices{Tell: func(line string) { warn("%s", line) }}
	defer told.End()
	in := bufio.NewReader(from)
	for {
		line, more, err := in.ReadLine()
		if err != nil {
			return
		}
		if s.lines++; len(line) > 0 {
			told.Say(fmt.Sprintf("what the broker sent can't be read, and is dropped: %s", line))
		}
		for more && err == nil {
			_, more, err = in.ReadLine()
		}
	}
}

// End gives stdout back, and returns an error if anything was printed there.
func (s *Stray) End() error {
	os.Stdout = s.stdout
	if s.pipe != nil {
		_ = s.pipe.Close()
	}
	<-s.over
	if s.lines == 0 {
		return nil
	}
	return fmt.Errorf("%d of the broker's messages were dropped, and not handled: %w", s.lines, broker.ErrGarbled)
}
