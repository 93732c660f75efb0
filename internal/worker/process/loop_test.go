//go:build unix

package process_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/worker/process"
)

// each is a handler in shell that makes something of each line.
func each(body string) []string { return shell("while read -r line; do " + body + "; done") }

// answers is one that gives an answer to each.
func answers(answer string) []string { return each("printf '%s\\n' '" + answer + "' >&3") }

func event(n int) process.Event {
	return process.Event{Number: uint64(n), Record: fmt.Appendf(nil, "{\"sequence\":%d}\n", n)}
}

// How a handler answers is what becomes of its event.
func TestAnswers(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	const none = `, which is none of {"ack":true}, {"retry":"5s"} and {"dead":"why"}`
	for text, c := range map[string]struct {
		verdict process.Verdict
		reason  string
		after   time.Duration
		emit    int
	}{
		`{"ack":true}`:                    {process.Ack, "", 0, 0},
		` { "ack" : true, "ms": 5 } `:     {process.Ack, "", 0, 0},
		`{"ack":true,"emit":[]}`:          {process.Ack, "", 0, 0},
		`{"ack":true,"emit":[{"a":1},2]}`: {process.Ack, "", 0, 2},
		`{"emit":[1]}`:                    {process.Ack, "", 0, 1},
		`{"retry":"5s"}`:                  {process.Retry, "the handler asked for it in 5s", 5 * time.Second, 0},
		`{"retry":"1m30s"}`:               {process.Retry, "the handler asked for it in 1m30s", 90 * time.Second, 0},
		`{"retry":true}`:                  {process.Retry, "the handler asked for it", 0, 0},
		`{"dead":"no such order"}`:        {process.Dead, "no such order", 0, 0},
		`{"ack":false}`:                   {process.Retry, `the handler answered "{\"ack\":false}"` + none, 0, 0},
		`{"retry":"-1s"}`:                 {process.Retry, `the handler answered "{\"retry\":\"-1s\"}"` + none, 0, 0},
		`{"retry":5}`:                     {process.Retry, `the handler answered "{\"retry\":5}"` + none, 0, 0},
		`{"retry":false}`:                 {process.Retry, `the handler answered "{\"retry\":false}"` + none, 0, 0},
		`{"ack":true,"dead":"x"}`:         {process.Retry, `the handler answered "{\"ack\":true,\"dead\":\"x\"}"` + none, 0, 0},
		`{"dead":"x","emit":[1]}`:         {process.Retry, `the handler answered "{\"dead\":\"x\",\"emit\":[1]}"` + none, 0, 0},
		`{}`:                              {process.Retry, `the handler answered "{}"` + none, 0, 0},
		`null`:                            {process.Retry, `the handler answered "null"` + none, 0, 0},
		``:                                {process.Retry, `the handler answered ""` + none, 0, 0},
		`ok`:                              {process.Retry, `the handler answered "ok"` + none, 0, 0},
		strings.Repeat("x", 101):          {process.Retry, `the handler answered "` + strings.Repeat("x", 100) + `"…` + none, 0, 0},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			l := process.NewLoop(process.Config{Argv: answers(text), Emit: true})
			defer l.Close()
			got := l.Run(t.Context(), event(1))
			want(t, got, c.verdict, c.reason)
			if got.After != c.after || len(got.Emit) != c.emit || got.Took <= 0 {
				t.Errorf("after %s, emitted %q, took %s", got.After, got.Emit, got.Took)
			}
		})
	}
}

// A handler that does what it must not is started again, and its event is a
// retry; the next event is handled.
func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	const ack = `echo '{"ack":true}' >&3`
	for misdeed, reason := range map[string]string{
		"exit 0":                        "the handler ended before it answered: exit 0",
		"exit 65":                       "the handler ended before it answered: exit 65",
		"kill -SEGV $$":                 "the handler ended before it answered: killed by SIGSEGV",
		"sleep 60":                      "not done within 1s",
		"exec 3>&-; sleep 60":           "the handler closed its file descriptor 3",
		"printf '{\"ack\"' >&3; exit 1": "the handler ended before it answered: exit 1",
		"head -c 65537 /dev/zero >&3":   "the handler's answer has more than 64 KiB",
		`echo '{"emit":[1]}' >&3`:       "the handler emitted records, which are not asked for",
	} {
		t.Run(misdeed, func(t *testing.T) {
			t.Parallel()
			timeout := time.Duration(0)
			if misdeed == "sleep 60" {
				timeout = time.Second
			}
			l := process.NewLoop(process.Config{Timeout: timeout, Argv: each(
				`case "$line" in *:1}) echo sorry >&2; ` + misdeed + `;; *) ` + ack + `;; esac`)})
			defer l.Close()
			for range 2 {
				got := l.Run(t.Context(), event(1))
				want(t, got, process.Retry, reason)
				if string(got.Stderr) != "sorry\n" {
					t.Errorf("standard error: %q", got.Stderr)
				}
				want(t, l.Run(t.Context(), event(2)), process.Ack, "")
			}
		})
	}
}

// Answers that nobody asked for end the handler, but are no event's fault.
func TestUnaskedAnswers(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for name, argv := range map[string][]string{
		"twice":            each(`printf '{"ack":true}\n{"ack":true}\n' >&3`),
		"before the first": shell(`if mkdir "$0" 2>&-; then echo '{"ack":true}' >&3; fi; while read -r line; do echo '{"ack":true}' >&3; done`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w warnings
			l := process.NewLoop(process.Config{Argv: append(argv, t.TempDir()+"/once"), Warn: w.warn})
			defer l.Close()
			const reason = "the handler answered twice, or before it was asked"
			got := l.Run(t.Context(), event(1))
			if got.Verdict == process.Retry && got.Reason == reason && name != "twice" {
				return // it answered when the event was there, and not yet written
			}
			want(t, got, process.Ack, "")
			eventually(t, "a warning", func() bool { return len(w.list()) > 0 })
			if list := w.list(); list[0] != reason+": it is started again" {
				t.Errorf("warnings: %q", list)
			}
		})
	}
}

// A pipe that breaks in the middle of a record ends no loop.
func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	for misdeed, reason := range map[string]string{
		"exec 0<&-; sleep 60": "the handler closed its standard input",
		"exit 3":              "the handler ended before it answered: exit 3",
	} {
		t.Run(misdeed, func(t *testing.T) {
			t.Parallel()
			prompt(t)
			l := process.NewLoop(process.Config{Argv: shell("head -c 100000 >/dev/null; " + misdeed)})
			defer l.Close()
			record := []byte(strings.Repeat("x", 10<<20) + "\n")
			want(t, l.Run(t.Context(), process.Event{Number: 1, Record: record}), process.Retry, reason)
		})
	}
}

// Through the shell, a command that does not exist is broken for good.
func TestLoopUnfound(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	l := process.NewLoop(process.Config{Argv: shell("./nothing"), Workers: 2})
	defer l.Close()
	for range 3 {
		want(t, l.Run(t.Context(), event(1)), process.Broken, `running "./nothing": exit 127: a command in it was not found`)
	}
}

// A failure is that of the first event without an answer; the others go back.
func TestInFlight(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	l := process.NewLoop(process.Config{Depth: 5, Argv: shell(
		`read -r a; read -r b; read -r c; read -r d; echo '{"ack":true}' >&3; exit 9`)})
	defer l.Close()
	outcomes := make(chan process.Outcome)
	for i := range 4 {
		go func() { outcomes <- l.Run(t.Context(), event(i)) }()
	}
	counts := make(map[process.Verdict]int)
	for range 4 {
		counts[(<-outcomes).Verdict]++
	}
	if counts[process.Ack] != 1 || counts[process.Retry] != 1 || counts[process.Back] != 2 {
		t.Errorf("acks, retries, events back: %v", counts)
	}
}

// Every event gets its own answer, from many goroutines, while handlers end
// now and then.
func TestManyInFlight(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	// Each answers with its event, and ends after 50 of them.
	l := process.NewLoop(process.Config{Workers: 3, Depth: 8, Argv: shell(
		`i=0; while [ $i -lt 50 ] && read -r line; do n=${line##*:}; echo "{\"dead\":\"${n%?}\"}" >&3; i=$((i+1)); done`)})
	defer l.Close()
	var next, dead, again atomic.Int64
	var running sync.WaitGroup
	const events = 400
	for range 40 {
		running.Go(func() {
			for n := next.Add(1); n <= events; {
				switch got := l.Run(t.Context(), event(int(n))); {
				case got.Verdict == process.Dead:
					if got.Reason != itoa(int(n)) {
						t.Errorf("event %d got the answer %q", n, got.Reason)
					}
					dead.Add(1)
					n = next.Add(1)
				case got.Verdict == process.Back, got.Verdict == process.Retry && got.Reason == "the handler ended before it answered: exit 0":
					again.Add(1)
				default:
					t.Errorf("verdict %d, %q", got.Verdict, got.Reason)
					return
				}
			}
		})
	}
	running.Wait()
	if dead.Load() != events {
		t.Errorf("%d events were answered, want %d", dead.Load(), events)
	}
}
