package link

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Notices tell what somebody says out of turn, as often as he likes: of each
// kind one line a second, and how many more there were with the next one, or in
// the end.
type Notices struct {
	Tell func(line string)

	mu    sync.Mutex
	kinds map[string]*notice
}

// A notice is what was said of one kind.
type notice struct {
	at   time.Time // when a line was told
	more int       // lines since that were not
}

// mostNotices bounds how many kinds are told apart; what is of none of them is
// of one kind.
const mostNotices = 8

// longestNotice is how much of a line is told, in bytes.
const longestNotice = 500

// Say takes a line. What stands before the first quotation mark is its kind.
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

// End tells how many lines were not.
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
