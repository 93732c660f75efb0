//go:build unix

package process_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/worker/process"
)

// A loop that ends leaves no process behind, whatever its handlers do.
func TestClose(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for name, argv := range map[string][]string{
		"ends with its input": shell(`echo $$; while read -r line; do echo '{"ack":true}' >&3; done`),
		"stays":               shell(`echo $$; while read -r line; do echo '{"ack":true}' >&3; done; sleep 60`),
		"ignores TERM":        shell(`trap '' TERM; echo $$; while read -r line; do echo '{"ack":true}' >&3; done; while :; do sleep 1; done`),
		"leaves children":     shell(`sleep 60 & echo $!; while read -r line; do echo '{"ack":true}' >&3; done`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prompt(t)
			var out buffer
			l := process.NewLoop(process.Config{Argv: argv, Stdout: &out})
			want(t, l.Run(t.Context(), event(1)), process.Ack, "")
			pid := out.number(t)
			l.Close()
			l.Close()
			eventually(t, "the process has ended", func() bool { return !alive(pid) })
			want(t, l.Run(t.Context(), event(2)), process.Back, "cut off by the shutdown")
		})
	}
	t.Run("unused", func(t *testing.T) {
		t.Parallel()
		l := process.NewLoop(process.Config{Argv: shell("exit 1")})
		l.Close()
		want(t, l.Run(t.Context(), event(1)), process.Back, "cut off by the shutdown")
	})
}

// Events that are in flight when the loop is closed, or their context is done,
// go back; so do those that wait.
func TestLoopCutOff(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for _, how := range []string{"closed", "done"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			prompt(t)
			var out buffer
			l := process.NewLoop(process.Config{Argv: each("echo $$; while :; do sleep 0.01; done"), Depth: 2, Stdout: &out})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			outcomes := make(chan process.Outcome)
			for i := range 5 {
				go func() { outcomes <- l.Run(ctx, event(i)) }()
			}
			pid := out.number(t)
			if how == "done" {
				cancel()
			} else {
				go l.Close()
			}
			for range 5 {
				want(t, <-outcomes, process.Back, "cut off by the shutdown")
			}
			if alive(pid) {
				t.Errorf("process %d is left", pid)
			}
			l.Close()
		})
	}
}

// After an event was cut off, a handler is started when an event needs one.
func TestStartsWhenNeeded(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	var out buffer
	l := process.NewLoop(process.Config{Stdout: &out, Argv: shell(
		`echo started; while read -r line; do case "$line" in *:1}) echo hangs; sleep 60;; esac; echo '{"ack":true}' >&3; done`)})
	defer l.Close()
	for round := range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan process.Outcome)
		go func() { done <- l.Run(ctx, event(1)) }()
		eventually(t, "the handler hangs", func() bool { return strings.Count(out.String(), "hangs") > round })
		cancel()
		want(t, <-done, process.Back, "cut off by the shutdown")
		want(t, l.Run(t.Context(), event(2)), process.Ack, "")
	}
	l.Close()
	if n := strings.Count(out.String(), "started"); n != 3 {
		t.Errorf("started %d times, want 3", n)
	}
}

// A handler that ends between events is started again, with a warning.
func TestIdleExit(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	var w warnings
	l := process.NewLoop(process.Config{Warn: w.warn, Argv: shell(`read -r line; echo '{"ack":true}' >&3; exit 4`)})
	defer l.Close()
	for range 3 {
		before := len(w.list())
		want(t, l.Run(t.Context(), event(1)), process.Ack, "")
		eventually(t, "it ends", func() bool { return len(w.list()) > before })
	}
	for _, said := range w.list() {
		if said != "a handler ended: exit 4: it is started again" {
			t.Errorf("warning: %s", said)
		}
	}
}

// A time-out is that of an event, and not of those before it.
func TestLoopTimeout(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	l := process.NewLoop(process.Config{Timeout: 3 * time.Second, Depth: 10, Argv: each(`sleep 0.5; echo '{"ack":true}' >&3`)})
	defer l.Close()
	outcomes := make(chan process.Outcome)
	for i := range 10 {
		go func() { outcomes <- l.Run(t.Context(), event(i)) }()
	}
	for range 10 {
		want(t, <-outcomes, process.Ack, "")
	}
}

// The log of several handlers says which event a line is about.
func TestLoopPrefix(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	var out, errs buffer
	l := process.NewLoop(process.Config{Workers: 2, Stdout: &out, Stderr: &errs, Argv: each(`echo out; echo err >&2; echo '{"ack":true}' >&3`)})
	want(t, l.Run(t.Context(), event(12)), process.Ack, "")
	l.Close()
	if out.String() != "#12: out\n" || errs.String() != "#12: err\n" {
		t.Errorf("standard output %q, standard error %q", out.String(), errs.String())
	}
}
