//go:build unix

package process_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/worker/process"
)

// How a command ends is what becomes of its event.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for command, c := range map[string]struct {
		verdict process.Verdict
		reason  string
		code    int
		signal  string
	}{
		"true":         {process.Ack, "", 0, ""},
		"exit 1":       {process.Retry, "exit 1", 1, ""},
		"exit 2":       {process.Retry, "exit 2", 2, ""},
		"exit 65":      {process.Dead, "exit 65", 65, ""},
		"exit 75":      {process.Retry, "exit 75", 75, ""},
		"exit 255":     {process.Retry, "exit 255", 255, ""},
		"exit 126":     {process.Broken, `running "exit 126": exit 126: a command in it is not executable`, 126, ""},
		"/nowhere/at":  {process.Broken, `running "/nowhere/at": exit 127: a command in it was not found`, 127, ""},
		"/etc":         {process.Broken, `running "/etc": exit 126: a command in it is not executable`, 126, ""},
		"kill -HUP $$": {process.Retry, "killed by SIGHUP", -1, "SIGHUP"}, "kill -INT $$": {process.Retry, "killed by SIGINT", -1, "SIGINT"},
		"kill -QUIT $$": {process.Retry, "killed by SIGQUIT", -1, "SIGQUIT"}, "kill -ILL $$": {process.Retry, "killed by SIGILL", -1, "SIGILL"},
		"kill -ABRT $$": {process.Retry, "killed by SIGABRT", -1, "SIGABRT"}, "kill -FPE $$": {process.Retry, "killed by SIGFPE", -1, "SIGFPE"},
		"kill -KILL $$": {process.Retry, "killed by SIGKILL", -1, "SIGKILL"}, "kill -SEGV $$": {process.Retry, "killed by SIGSEGV", -1, "SIGSEGV"},
		"kill -PIPE $$": {process.Retry, "killed by SIGPIPE", -1, "SIGPIPE"}, "kill -ALRM $$": {process.Retry, "killed by SIGALRM", -1, "SIGALRM"},
		"kill -TERM $$": {process.Retry, "killed by SIGTERM", -1, "SIGTERM"}, "kill -USR1 $$": {process.Retry, "killed by SIGUSR1", -1, "SIGUSR1"},
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			got := process.NewCommand(process.Config{Argv: shell(command)}).Run(t.Context(), process.Event{Data: []byte("unread")})
			want(t, got, c.verdict, c.reason)
			if got.Code != c.code || got.Signal != c.signal || got.Took <= 0 {
				t.Errorf("code %d, signal %q, took %s, want %d, %q", got.Code, got.Signal, got.Took, c.code, c.signal)
			}
		})
	}
}

// The data are standard input, the metadata the environment.
func TestInput(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for name, size := range map[string]int{"empty": 0, "little": 1, "a page": 4096, "more than a page": 4097, "more than a pipe": 3 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := bytes.Repeat([]byte("\x00"), size)
			var out buffer
			c := process.NewCommand(process.Config{Argv: shell(`printf '%s,%s,' "$EVENT_SUBJECT" "$HOME"; wc -c`), Stdout: &out})
			got := c.Run(t.Context(), process.Event{Data: data, Env: []string{"EVENT_SUBJECT=a b;$(c)\n", "HOME=/h"}})
			want(t, got, process.Ack, "")
			subject, rest, _ := strings.Cut(out.String(), ",")
			home, count, _ := strings.Cut(rest, ",")
			if subject != "a b;$(c)\n" || home != "/h" || strings.TrimSpace(count) != itoa(size) {
				t.Errorf("the handler got %q, %d bytes were sent", out.String(), size)
			}
		})
	}
}

// A handler need not read its standard input, and may close it.
func TestUnreadInput(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for _, command := range []string{"true", "exec <&-; sleep 0.1", "head -c 1"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			got := process.NewCommand(process.Config{Argv: shell(command)}).Run(t.Context(), process.Event{Data: make([]byte, 10<<20)})
			want(t, got, process.Ack, "")
		})
	}
}

// A command that can't be started is broken, and named.
func TestNotStarted(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain": 0o600, "no-format": 0o700, "no-interpreter": 0o700} {
		text := map[string]string{"no-interpreter": "#!/nowhere/sh\n"}[name]
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\x01\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for argv0, reason := range map[string]string{
		"not-in-the-path":       `executable file not found in $PATH`,
		"":                      "exec: no command",
		dir + "/nothing":        "no such file or directory",
		dir + "/plain":          "permission denied",
		dir:                     "permission denied",
		dir + "/no-format":      "exec format error (a script needs a first line like #!/bin/sh)",
		dir + "/no-interpreter": "no such file or directory (it is there: its interpreter is not)",
		"a\x00b":                `executable file not found in $PATH`,
	} {
		t.Run(argv0, func(t *testing.T) {
			t.Parallel()
			config := process.Config{Argv: []string{argv0}}
			reason := "starting " + quote(argv0) + ": " + reason
			want(t, process.NewCommand(config).Run(t.Context(), process.Event{Data: make([]byte, 1<<20)}), process.Broken, reason)
			loop := process.NewLoop(config)
			defer loop.Close()
			for range 2 {
				want(t, loop.Run(t.Context(), process.Event{Record: []byte("{}\n")}), process.Broken, reason)
			}
		})
	}
}

// An event whose metadata no process can be given is dead; the command is not broken.
func TestUnfitEnvironment(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	c := process.NewCommand(process.Config{Argv: shell("true")})
	for reason, env := range map[string][]string{
		`"EVENT_HEADER_X" has a zero byte, which no environment can hold`: {"EVENT_HEADER_X=a\x00b"},
		"its headers (1024 KiB) are more than an environment can hold":    {"EVENT_HEADER_X=" + strings.Repeat("x", 1<<20)},
	} {
		want(t, c.Run(t.Context(), process.Event{Env: env}), process.Dead, reason)
	}
	want(t, c.Run(t.Context(), process.Event{Env: []string{"EVENT_HEADER_X=" + strings.Repeat("x", 100<<10)}}), process.Ack, "")
	large := process.NewCommand(process.Config{Argv: shell(": " + strings.Repeat("x", 1<<20))})
	if got := large.Run(t.Context(), process.Event{}); got.Verdict != process.Broken {
		t.Errorf("a command that is too long: verdict %d, %q", got.Verdict, got.Reason)
	}
}

// A handler that takes too long gets TERM. What it says then does not count.
func TestTimeout(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for command, code := range map[string]int{"sleep 60": -1, "trap 'exit 0' TERM; while :; do sleep 0.01; done": 0, "trap 'exit 65' TERM; while :; do sleep 0.01; done": 65} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			prompt(t)
			c := process.NewCommand(process.Config{Argv: shell(command), Timeout: 300 * time.Millisecond})
			got := c.Run(t.Context(), process.Event{})
			want(t, got, process.Retry, "not done within 300ms")
			if got.Code != code {
				t.Errorf("code %d, want %d", got.Code, code)
			}
		})
	}
}

// KILL comes 5 s after TERM, and the whole group has this time.
func TestKill(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	t.Run("ignores TERM", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var out buffer
		c := process.NewCommand(process.Config{Argv: handler("stubborn"), Stdout: &out})
		done := make(chan process.Outcome)
		go func() { done <- c.Run(ctx, process.Event{}) }()
		pid := out.number(t)
		begun := time.Now()
		cancel()
		got := <-done
		want(t, got, process.Back, "cut off by the shutdown")
		if took := time.Since(begun); got.Signal != "SIGKILL" || took < 5*time.Second {
			t.Errorf("signal %q after %s", got.Signal, took)
		}
		if alive(pid) {
			t.Errorf("process %d is left", pid)
		}
	})
	t.Run("a child uses its time", func(t *testing.T) {
		t.Parallel()
		prompt(t)
		var out buffer
		// The shell dies of TERM at once, its child ends its work.
		c := process.NewCommand(process.Config{Stdout: &out, Timeout: 500 * time.Millisecond, Argv: shell(
			`sh -c 'trap "sleep 0.5; echo cleaned up; exit" TERM; while :; do sleep 0.01; done'; true`)})
		want(t, c.Run(t.Context(), process.Event{}), process.Retry, "not done within 500ms")
		if out.String() != "cleaned up\n" {
			t.Errorf("the child wrote %q", out.String())
		}
	})
}

// A run that is cut off goes back, whatever the handler makes of TERM; one that
// has ended before does not.
func TestCutOff(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for _, end := range []string{"exit 0", "exit 1", "exit 65", "exit 127"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			prompt(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var out buffer
			c := process.NewCommand(process.Config{Argv: shell("trap '" + end + "' TERM; echo $$; while :; do sleep 0.01; done"), Stdout: &out})
			done := make(chan process.Outcome)
			go func() { done <- c.Run(ctx, process.Event{}) }()
			pid := out.number(t)
			cancel()
			want(t, <-done, process.Back, "cut off by the shutdown")
			if alive(pid) {
				t.Errorf("process %d is left", pid)
			}
			want(t, c.Run(ctx, process.Event{}), process.Back, "cut off by the shutdown")
		})
	}
}
