package link

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Notices passes on lines that others may cause at any rate. Of each kind it passes on
// one line a second, with the number of lines left out since, or at the end.
type Notices struct {
	Tell func(line string)

	mu    sync.Mutex
	kinds map[string]*notice
}

// A notice is the state of one kind of line.
type notice struct {
	at   time.Time // when a line was last passed on
	more int       // lines left out since
}

// mostNotices is the maximum number of kinds. Lines of further kinds share one.
const mostNotices = 8

// longestNotice is the maximum length of a line, in bytes.
const longestNotice = 500

// Say passes a line on, or counts it. Its kind is the text before the first quotation
// mark.
func (n *Notices) Say(line string) {
	kind, _, _ := strings.Cut(line, `"`)
	if len(line) > longestNotice {
		line = strings.ToValidUTF8(line[:longestNotice], "") + "…"
	}
	now := time.Now()
	n.mu.Lock()
	of := n.kinds[kind]
	if of == nil && len(n.kinds) >= mostNotices {
		kind = ""
		of = n.kinds[kind]
	}
	if of == nil {
		if n.kinds == nil {
			n.kinds = make(map[string]*notice)
		}
		of = &notice{}
		n.kinds[kind] = of
	}
	if now.Sub(of.at) < time.Second {
		of.more++
		n.mu.Unlock()
		return
	}
	if of.more > 0 {
		line += fmt.Sprintf(" (and %s before it)", moreLines(of.more))
	}
	of.at, of.more = now, 0
	n.mu.Unlock()
	n.Tell(line)
}

// End reports how many lines were left out.
func (n *Notices) End() {
	n.mu.Lock()
	more := 0
	for _, of := range n.kinds {
		more += of.more
		of.more = 0
	}
	n.mu.Unlock()
	if more > 0 {
		n.Tell("and " + moreLines(more))
	}
}

func moreLines(n int) string {
	if n == 1 {
		return "1 more such line"
	}
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits + " more such lines"
}
