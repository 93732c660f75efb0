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

// defaultInbox is the first token of reply subjects.
const defaultInbox = "_INBOX"

// NewInbox returns an unguessable reply subject. (nats.go numbers its inboxes, so
// the next one can be guessed from two earlier ones.)
func (o Options) NewInbox() string { return cmp.Or(o.InboxPrefix, defaultInbox) + "." + rand.Text() }

// IsInbox reports whether a reply may be sent to subject. Another client chose it, and
// the reply would be sent with the permissions of this one, so only inboxes are
// allowed. Prefixes of other clients may begin with the default one; _R_ is that of
// replies between accounts.
func (o Options) IsInbox(subject string) bool {
	return strings.HasPrefix(subject, defaultInbox) || strings.HasPrefix(subject, "_R_.") ||
		o.InboxPrefix != "" && strings.HasPrefix(subject, o.InboxPrefix+".")
}

// strangers counts unexpected messages: other clients that may publish to an inbox can
// send any.
type strangers struct {
	mu     sync.Mutex
	told   time.Time
	untold int
}

// strangersEvery is the interval at which they are reported, at most.
const strangersEvery = time.Second

// Ignore counts an unexpected message, and reports such messages once in a while.
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
	l.Options.Notify(fmt.Sprintf("ignored an unexpected message on %s: %s%s", broker.Clip(m.Subject), why, more))
}
