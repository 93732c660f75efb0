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

// A Stray intercepts output of libraries on stdout, which is for records only:
// stan.go prints messages that it can't decode, and drops them.
type Stray struct {
	stdout, pipe *os.File
	over         chan struct{}
	lines        int // valid once over is closed
}

// Divert passes all output of libraries on stdout to warn from now on.
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
			told.Say(fmt.Sprintf("dropping a message from the broker that can't be read: %s", line))
		}
		for more && err == nil {
			_, more, err = in.ReadLine()
		}
	}
}

// End restores stdout, and returns an error if a library printed to it.
func (s *Stray) End() error {
	os.Stdout = s.stdout
	if s.pipe != nil {
		_ = s.pipe.Close()
	}
	<-s.over
	if s.lines == 0 {
		return nil
	}
	return fmt.Errorf("%d of the broker's messages could not be read and were dropped: %w", s.lines, broker.ErrGarbled)
}
