//go:build unix

package process_test

import (
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"

	"nats-test/internal/worker/process"
)

// The same process, started by nothing but a loop, and as a handler.
func BenchmarkCommand(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("handler", func(b *testing.B) {
		c := process.NewCommand(process.Config{Argv: []string{"/bin/true"}, Stdout: &buffer{}, Stderr: &buffer{}})
		e := process.Event{Data: make([]byte, 200), Env: []string{"EVENT_SUBJECT=a"}}
		for b.Loop() {
			if got := c.Run(b.Context(), e); got.Verdict != process.Ack {
				b.Fatal(got.Reason)
			}
		}
	})
}

func BenchmarkLoop(b *testing.B) {
	for name, depth := range map[string]int{"depth=1": 1, "depth=64": 64} {
		b.Run(name, func(b *testing.B) {
			const workers = 2
			l := process.NewLoop(process.Config{Argv: handler("ack"), Workers: workers, Depth: depth})
			defer l.Close()
			e := event(1)
			e.Record = append(make([]byte, 200), '\n')
			var left atomic.Int64
			left.Store(int64(b.N))
			var running sync.WaitGroup
			for range workers * depth {
				running.Go(func() {
					for left.Add(-1) >= 0 {
						if got := l.Run(b.Context(), e); got.Verdict != process.Ack {
							b.Error(got.Reason)
							return
						}
					}
				})
			}
			running.Wait()
		})
	}
}
