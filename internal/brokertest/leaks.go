package brokertest

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"time"
)

// NoLeaks fails the test at its end if a goroutine started on its behalf since this
// call is still running. Goroutines inherit the test's label, so parallel tests
// don't see each other's. Goroutines of timers have no label: TestMain checks for
// those at the end.
func NoLeaks(t interface {
	T
	Name() string
	Errorf(format string, args ...any)
}) {
	t.Helper()
	label := pprof.Labels("test", t.Name())
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), label))
	t.Cleanup(func() {
		deadline := time.NewTimer(2 * time.Second) // other tests may keep the machine busy
		defer deadline.Stop()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			left := labelled(t.Name())
			if len(left) == 0 {
				return
			}
			select {
			case <-tick.C:
			case <-deadline.C:
				t.Errorf("goroutines are left behind:\n%s", strings.Join(left, "\n\n"))
				return
			}
		}
	})
}

// labelled returns the stacks of goroutines with a test's label, except for the
// tests themselves.
func labelled(test string) (stacks []string) {
	var all bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
		return []string{err.Error()}
	}
	label := fmt.Sprintf("{%q:%q}", "test", test)
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, "# labels: "+label+"\n") &&
			!strings.Contains(stack, "\ttesting.tRunner+") && !strings.Contains(stack, "\tos/signal.loop+") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// unlabelled removes the test's label from the calling goroutine.
func unlabelled() { pprof.SetGoroutineLabels(context.Background()) }
