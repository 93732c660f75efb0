package brokertest_test

import (
	"fmt"
	"strings"
	"testing"

	"nats-test/internal/brokertest"
)

// A looker is a test that fails without the real one's failing.
type looker struct {
	*testing.T
	cleanup func()
	failed  string
}

func (l *looker) Cleanup(f func()) { l.cleanup = f }

func (l *looker) Errorf(format string, args ...any) { l.failed = fmt.Sprintf(format, args...) }

// A leaked goroutine is reported with its creator, also while other tests start
// goroutines.
func TestNoLeaks(t *testing.T) {
	for name, leaves := range map[string]bool{"leaves one": true, "leaves none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &looker{T: t}
			brokertest.NoLeaks(l)
			begun, end := make(chan struct{}), make(chan struct{})
			go leftBehind(begun, end)
			<-begun
			if !leaves {
				close(end)
			}
			l.cleanup()
			if got := strings.Contains(l.failed, "leftBehind"); got != leaves {
				t.Errorf("found: %v: %s", got, l.failed)
			}
			if leaves {
				close(end)
			}
		})
	}
}

func leftBehind(begun chan<- struct{}, end <-chan struct{}) {
	close(begun)
	<-end
}
