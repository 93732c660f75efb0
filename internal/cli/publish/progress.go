package publish

import (
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"nats-test/internal/cli/console"
)

// progress shows a bar on stderr when publishing on a terminal takes more than a
// second.
type progress struct {
	mu     sync.Mutex
	bar    *progressbar.ProgressBar
	show   bool
	begin  time.Time
	done   int
	closed bool
	make   func() *progressbar.ProgressBar
}

func newProgress(s *console.System, tell *console.Console, o *options) *progress {
	p := &progress{begin: time.Now(), show: s.StderrTTY && !tell.Quiet && !o.interactive}
	total := o.count
	if o.data == "-" {
		total = -1
	}
	p.make = func() *progressbar.ProgressBar {
		return progressbar.NewOptions(total,
			progressbar.OptionSetWriter(s.Stderr),
			progressbar.OptionSetDescription("publishing"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
	}
	if p.show {
		tell.Before = p.clear
	}
	return p
}

func (p *progress) add(n int) {
	if !p.show {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if p.closed || p.done%64 != 0 && time.Since(p.begin) < time.Second {
		return
	}
	if p.bar == nil {
		if time.Since(p.begin) < time.Second {
			return
		}
		p.bar = p.make()
	}
	_ = p.bar.Set(p.done) // an error of the bar must not end publishing
}

func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil && !p.closed {
		_ = p.bar.Clear()
	}
	p.closed = true
}

// above writes lines above the bar, which is redrawn at its next change.
type above struct {
	out io.Writer
	bar *progress
}

func (a above) Write(p []byte) (int, error) {
	a.bar.clear()
	return a.out.Write(p)
}
