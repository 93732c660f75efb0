//go:build unix

package process_test

import (
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nats-test/internal/brokertest"
	"nats-test/internal/worker/process"
)

func itoa(n int) string { return strconv.Itoa(n) }

func quote(s string) string { return strconv.Quote(s) }

// Children that outlive a handler and hold its pipes end with it.
func TestChildren(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for _, command := range []string{
		"sleep 60 & echo $!",
		"(trap '' TERM HUP; sleep 60) & echo $!; exit 0",
		"sleep 60 <&0 & echo $!",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			prompt(t)
			var out buffer
			c := process.NewCommand(process.Config{Argv: shell(command), Stdout: &out})
			want(t, c.Run(t.Context(), process.Event{Data: make([]byte, 1<<20)}), process.Ack, "")
			pid := out.number(t)
			eventually(t, "the child has ended", func() bool { return !alive(pid) })
		})
	}
}

// A process that left the group is let go, with a warning.
func TestDaemon(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for name, daemon := range map[string]string{"silent": "sleep 60", "talks": "yes $$"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prompt(t)
			var out buffer
			var w warnings
			c := process.NewCommand(process.Config{Stdout: &out, Warn: w.warn, Argv: handler("daemon", "sh", "-c", "exec "+daemon)})
			want(t, c.Run(t.Context(), process.Event{Number: 7, Data: make([]byte, 1<<20)}), process.Ack, "")
			pid := out.number(t)
			if list := w.list(); len(list) != 1 || list[0] != "#7: a process that it left behind holds its output open, which is no longer read" {
				t.Errorf("warnings: %q", list)
			}
			if name == "silent" && !alive(pid) { // the other dies of SIGPIPE
				t.Error("a process of another group was killed")
			}
			_ = unix.Kill(pid, unix.SIGKILL)
		})
	}
}

// A handler has a group of its own, which a Ctrl-C does not reach.
func TestOwnGroup(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	var out buffer
	c := process.NewCommand(process.Config{Argv: shell("ps -o pgid= -p $$ && echo $$"), Stdout: &out})
	want(t, c.Run(t.Context(), process.Event{}), process.Ack, "")
	if f := strings.Fields(out.String()); len(f) != 2 || f[0] != f[1] || f[0] == itoa(unix.Getpgrp()) {
		t.Errorf("group and process: %q", f)
	}
}

// Threads end while handlers run: those that goroutines were locked to.
func TestThreadsEnd(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				runtime.LockOSThread() // and not unlocked: its thread ends with it
			}()
			<-ended
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	c := process.NewCommand(process.Config{Argv: shell("sleep 0.05")})
	results := make(chan process.Outcome)
	const runs = 20
	for i := range runs {
		go func() { results <- c.Run(t.Context(), process.Event{Number: uint64(i)}) }()
	}
	for range runs {
		want(t, <-results, process.Ack, "")
	}
	close(stop)
	<-stopped
}
