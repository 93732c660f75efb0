//go:build unix

package process_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/worker/process"
)

// With one worker, output passes through as it comes; the end of standard error
// is kept.
func TestPassesThrough(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	var out, errs buffer
	c := process.NewCommand(process.Config{Stdout: &out, Stderr: &errs, Argv: shell(
		"printf 'no end'; i=0; while [ $i -lt 500 ]; do echo line $i ä >&2; i=$((i+1)); done; exit 1")})
	got := c.Run(t.Context(), process.Event{Number: 12})
	want(t, got, process.Retry, "exit 1")
	if out.String() != "no end" || strings.Count(errs.String(), "\n") != 500 {
		t.Errorf("standard output %q, standard error %q", out.String(), errs.String())
	}
	if end := string(got.Stderr); len(end) > 1024 || len(end) < 1020 || !strings.HasSuffix(errs.String(), end) {
		t.Errorf("kept of standard error: %d bytes, %q", len(end), end)
	}
}

// With several, lines are whole, and say which event they are about.
func TestPrefix(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	var out buffer
	c := process.NewCommand(process.Config{Stdout: &out, Stderr: &out, Workers: 4, Argv: shell(
		"for i in 1 2 3 4 5 6 7 8 9; do echo $EVENT; printf $EVENT >&2; echo $EVENT >&2; done; printf $EVENT")})
	done := make(chan process.Outcome)
	const events = 20
	for i := range events {
		go func() {
			done <- c.Run(t.Context(), process.Event{Number: uint64(i), Env: []string{fmt.Sprintf("EVENT=e%d", i)}})
		}()
	}
	for range events {
		want(t, <-done, process.Ack, "")
	}
	all := strings.SplitAfter(out.String(), "\n")
	whole := regexp.MustCompile(`^#(\d+): (e\d+){1,2}\n$`)
	for _, line := range all[:len(all)-1] {
		m := whole.FindStringSubmatch(line)
		if m == nil || m[2] != "e"+m[1] {
			t.Errorf("a line is %q", line)
		}
	}
	if want := events * 19; len(all)-1 != want || all[len(all)-1] != "" {
		t.Errorf("%d lines, want %d; the last is %q", len(all)-1, want, all[len(all)-1])
	}
}

// A line without end comes in pieces.
func TestLongLine(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	var out buffer
	c := process.NewCommand(process.Config{Stdout: &out, Workers: 2, Argv: shell("head -c 200000 /dev/zero; echo; echo; echo short")})
	want(t, c.Run(t.Context(), process.Event{Number: 1}), process.Ack, "")
	piece := func(n int) string { return "#1: " + strings.Repeat("\x00", n) + "\n" }
	if out.String() != strings.Repeat(piece(65536), 3)+piece(200000-3*65536)+piece(0)+"#1: short\n" {
		t.Errorf("%d bytes in %d lines", len(out.String()), strings.Count(out.String(), "\n"))
	}
}

// A gigabyte of output takes no memory, whatever is made of it.
func TestGigabyte(t *testing.T) {
	brokertest.NoLeaks(t)
	for name, c := range map[string]process.Config{
		"passed on": {Stdout: io.Discard}, "prefixed": {Stdout: io.Discard, Workers: 2}, "collected": {Emit: true},
	} {
		t.Run(name, func(t *testing.T) {
			verdict, reason := process.Ack, ""
			if c.Emit {
				verdict, reason = process.Retry, "it emitted more than 100000 records"
			}
			c.Argv = handler("write", "1000000000")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			want(t, process.NewCommand(c).Run(t.Context(), process.Event{}), verdict, reason)
			runtime.ReadMemStats(&after)
			if grown := int64(after.Sys) - int64(before.Sys); grown > 100<<20 {
				t.Errorf("memory grew by %d MiB", grown>>20)
			}
		})
	}
}

// Output that can't be written is dropped, with one warning; handlers go on.
func TestOutputFails(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	var w warnings
	r, full := io.Pipe()
	_ = r.CloseWithError(errors.New("full"))
	c := process.NewCommand(process.Config{Argv: shell("head -c 1000000 /dev/zero"), Stdout: full, Warn: w.warn})
	for range 2 {
		want(t, c.Run(t.Context(), process.Event{}), process.Ack, "")
	}
	if list := w.list(); len(list) != 1 || list[0] != "passing on a handler's output: full: it is dropped" {
		t.Errorf("warnings: %q", list)
	}
}

// Output that nobody reads holds a handler up, but not the shutdown.
func TestOutputBlocks(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for name, runner := range map[string]func(process.Config) process.Runner{"command": process.NewCommand, "loop": process.NewLoop} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prompt(t) // KILL comes after 5 s
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			run := runner(process.Config{Argv: shell("exec yes"), Stdout: w})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			want(t, run.Run(ctx, process.Event{Record: []byte("{}\n")}), process.Back, "cut off by the shutdown")
			run.Close()
			_, _ = r.Close(), w.Close()
		})
	}
}

// The lines of standard output are records.
func TestEmit(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for command, c := range map[string]struct {
		verdict process.Verdict
		reason  string
		emit    string
	}{
		"true":                              {process.Ack, "", ""},
		`printf '{"a":1}\n\n  \r\n{"a":2}'`: {process.Ack, "", `{"a":1}|{"a":2}`},
		"echo 1; exit 1":                    {process.Retry, "exit 1", ""},
		"echo 1; exit 65":                   {process.Dead, "exit 65", ""},
		"head -c 1048577 /dev/zero":         {process.Retry, "it emitted a record of more than 1 MiB", ""},
		"yes '' | head -n 1000000":          {process.Ack, "", ""},
		"for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do head -c 1000000 /dev/zero; echo; done": {process.Retry, "it emitted records of more than 16 MiB", ""},
		"yes 1 | head -n 100001": {process.Retry, "it emitted more than 100000 records", ""},
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			got := process.NewCommand(process.Config{Argv: shell(command), Emit: true}).Run(t.Context(), process.Event{})
			want(t, got, c.verdict, c.reason)
			var emit []string
			for _, record := range got.Emit {
				emit = append(emit, string(record))
			}
			if strings.Join(emit, "|") != c.emit {
				t.Errorf("emitted %q, want %q", emit, c.emit)
			}
		})
	}
}
