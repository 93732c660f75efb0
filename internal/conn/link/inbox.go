package link

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/conn/broker"
)

// defaultInbox begins the subjects of replies.
const defaultInbox = "_INBOX"

// NewInbox returns a subject for replies that nobody can guess. (nats.go counts
// its own up from the one before: whoever saw two knows the next.)
func (o Options) NewInbox() string { return cmp.Or(o.InboxPrefix, defaultInbox) + "." + rand.Text() }

// IsInbox reports whether an answer may be sent to a subject that another chose:
// a request that names any other would have it sent there with the rights of
// who answers. Others may have a prefix of their own that begins like the usual
// one; _R_ is that of replies between accounts.
func (o Options) IsInbox(subject string) bool {
	return strings.HasPrefix(subject, defaultInbox) || strings.HasPrefix(subject, "_R_.") ||
		o.InboxPrefix != "" && strings.HasPrefix(subject, o.InboxPrefix+".")
}

// strangers counts messages that were not asked for: who else may publish to an
// inbox could send any.
type strangers struct {
	mu     sync.Mutex
	told   time.Time
	untold int
}

// strangersEvery is how often a line tells of them.
const strangersEvery = time.Second

// Ignore notes a message that was not asked for, and says so now and then.
func (l *Link) Ignore(m *nats.Msg, why string) {
	l.strangers.mu.Lock()
	l.strangers.untold++
	n := l.strangers.untold
	tell := time.Since(l.strangers.told) >= strangersEvery
	if tell {
		l.strangers.told, l.strangers.untold = time.Now(), 0
	}
	l.strangers.mu.Unlock()
	if !tell {
		return
	}
	more := ""
	if n > 1 {
		more = fmt.Sprintf(" (the last of %d)", n)
	}
	l.Options.Notify(fmt.Sprintf("ignored a message that was not asked for, on %s: %s%s", broker.Clip(m.Subject), why, more))
}
