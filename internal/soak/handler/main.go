//go:build unix

// Handler is what the campaign's workers run for their events: by --exec, or with the
// argument loop by --exec-loop. The event says by its title how each run of it ends:
//
//	o  well: it is acked
//	f  exit code 1; in a loop {"retry":true}
//	t  exit code 75 (EX_TEMPFAIL); {"retry":"10ms"}
//	c  SIGKILL, by its own hand; in a loop exit code 3 in place of an answer
//	d  exit code 65 (EX_DATAERR); {"dead":"of no use"}
//
// The n-th run of all ends as the n-th letter says, those behind the last as the last.
// A run is noted before it ends, as a line of the file notes.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// A note is a run, as the campaign reads it.
type note struct {
	At         int64  `json:"at"` // µs since 1970
	Parent     int    `json:"parent"`
	Event      int    `json:"event"`
	Run        int    `json:"run"`
	Outcome    string `json:"outcome"`
	Sequence   uint64 `json:"sequence"`
	Deliveries int    `json:"deliveries"`
	Attempt    int    `json:"attempt,omitempty"` // with --exec
	ID         string `json:"id,omitempty"`      // likewise
}

// An event as publish stored it.
type event struct {
	ID    int    `json:"id,string"`
	Title string `json:"title"`
}

// A handler works in a folder.
type handler struct {
	pause         time.Duration // of each run
	parent        int
	notes, counts *os.File // counts has a byte for each event
}

func main() {
	if err := handle(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "handler:", err)
		os.Exit(127) // the worker stops at once
	}
}

func handle(args []string) error {
	h := handler{parent: os.Getppid()}
	var err error
	if h.pause, err = time.ParseDuration(args[1]); err != nil {
		return err
	}
	alive, err := os.Open(filepath.Join(args[0], "alive"))
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(alive.Fd()), syscall.LOCK_SH); err != nil { // until this process has ended
		return err
	}
	if h.notes, err = os.OpenFile(filepath.Join(args[0], "notes"), os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return err
	}
	if h.counts, err = os.OpenFile(filepath.Join(args[0], "counts"), os.O_RDWR, 0); err != nil {
		return err
	}
	if len(args) > 2 {
		return h.loop()
	}
	return h.once()
}

// once handles one event, and ends the process.
func (h *handler) once() error {
	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	n := note{ID: os.Getenv("EVENT_ID")}
	if n.Sequence, err = strconv.ParseUint(os.Getenv("EVENT_SEQUENCE"), 10, 64); err != nil {
		return err
	}
	if n.Deliveries, err = strconv.Atoi(os.Getenv("EVENT_DELIVERIES")); err != nil {
		return err
	}
	if n.Attempt, err = strconv.Atoi(os.Getenv("EVENT_ATTEMPT")); err != nil {
		return err
	}
	outcome, err := h.run(n, data)
	if err != nil {
		return err
	}
	if outcome == 'c' {
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	os.Exit(map[byte]int{'o': 0, 'f': 1, 't': 75, 'd': 65}[outcome])
	return nil
}

func (h *handler) loop() error {
	in, out := bufio.NewReader(os.Stdin), os.NewFile(3, "answers")
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var record struct {
			Sequence   uint64
			Deliveries int
			Data       json.RawMessage
		}
		if err := json.Unmarshal(line, &record); err != nil {
			return err
		}
		outcome, err := h.run(note{Sequence: record.Sequence, Deliveries: record.Deliveries}, record.Data)
		if err != nil {
			return err
		}
		if outcome == 'c' {
			os.Exit(3)
		}
		answer := map[byte]string{'o': `{"ack":true}`, 'f': `{"retry":true}`, 't': `{"retry":"10ms"}`, 'd': `{"dead":"of no use"}`}[outcome]
		if _, err := out.WriteString(answer + "\n"); err != nil {
			return nil // the worker was killed
		}
	}
}

// run notes a run, and returns how it is to end.
func (h *handler) run(n note, data []byte) (outcome byte, err error) {
	var e event
	if err := json.Unmarshal(data, &e); err != nil {
		return 0, err
	}
	n.Parent, n.Event = h.parent, e.ID
	if n.Run, err = h.count(e.ID); err != nil {
		return 0, err
	}
	outcome = e.Title[min(n.Run, len(e.Title))-1]
	n.At, n.Outcome = time.Now().UnixMicro(), string(outcome)
	line, err := json.Marshal(n)
	if err != nil {
		return 0, err
	}
	if _, err := h.notes.Write(append(line, '\n')); err != nil {
		return 0, err
	}
	time.Sleep(h.pause)
	return outcome, nil
}

// count returns the number of an event's run.
func (h *handler) count(event int) (int, error) {
	if err := syscall.Flock(int(h.counts.Fd()), syscall.LOCK_EX); err != nil {
		return 0, err
	}
	defer func() { _ = syscall.Flock(int(h.counts.Fd()), syscall.LOCK_UN) }()
	count := make([]byte, 1)
	if _, err := h.counts.ReadAt(count, int64(event)); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	count[0]++
	_, err := h.counts.WriteAt(count, int64(event))
	return int(count[0]), err
}
