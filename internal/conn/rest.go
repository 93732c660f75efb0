package conn

import (
	"errors"
	"fmt"
	"time"

	"nats-test/internal/conn/broker"
)

// holdersLimit is how long a listener waits, at most, for others to ack what
// they hold, if no session of its own was lost. It waits no longer than the ack
// wait, after which the events come again.
const holdersLimit = 45 * time.Second

// atRest reports whether everything that was there at the start was handled, or
// has been removed since. What is left here unacked on purpose is no rest.
// mu is held.
func (l *looker) atRest(p *position, seen *looked) bool {
	rest, own := seen.rest, uint64(len(p.left))
	switch {
	case seen.err != nil && p.end == 0:
		return l.UntilEnd && p.endTold // there was nothing
	case seen.err != nil:
		return p.whole.last >= p.end && own == 0
	case p.end > 0 && (rest.Through >= p.end || p.whole.last >= p.end && own == 0):
		return true
	case rest.Unacked > own:
		return false
	}
	if rest.Waiting == 0 {
		return rest.Behind == 0 || p.end > 0 && rest.Behind > p.end
	}
	return p.end > 0 && rest.Next > p.end
}

// judge returns why a subject can't come to its end, or "" if it may. mu is held.
func (l *looker) judge(subject string, p *position, seen *looked) string {
	rest, own := seen.rest, uint64(len(p.left))
	silent := time.Since(l.latest)
	still := min(silent, time.Since(seen.since))
	switch {
	case seen.err != nil && (silent >= lastPause || time.Since(seen.since) >= l.patience(p)):
		why := "the broker tells nobody what is left"
		if f, ok := errors.AsType[*broker.Failure](seen.err); ok {
			why = f.Cause.Error()
		}
		return fmt.Sprintf("%s: %s", subject, why)
	case seen.err != nil:
		return ""
	case !rest.Paused.IsZero() && rest.Waiting > 0:
		return fmt.Sprintf("%s of %s not delivered: the consumer is paused until %s", events(rest.Waiting), subject, rest.Paused.Format(time.RFC3339))
	case rest.Limit > 0 && min(own, rest.Unacked) >= rest.Limit && rest.Waiting > 0 && silent >= lastPause: // they come again and again
		return fmt.Sprintf("%s of %s not delivered: %d left unacked here fill the consumer's limit, %d for all members",
			events(rest.Waiting), subject, own, rest.Limit)
	case p.end > 0 && rest.Sent >= p.end && rest.Unacked > own && time.Since(seen.held) >= l.patience(p) && still < l.patience(p):
		// Others go on working on what came later.
		if !l.traits.AckFloor {
			return fmt.Sprintf("%s of %s unacked, and more come: it is not known whether any is from before the end, #%d",
				events(rest.Unacked-own), subject, p.end)
		}
		return fmt.Sprintf("others hold events of %s unacked that are from before the end, #%d: the first is behind #%d", subject, p.end, rest.Through)
	case still < l.patience(p):
		return ""
	case rest.Limit > 0 && rest.Unacked >= rest.Limit && rest.Waiting > 0:
		return fmt.Sprintf("%s of %s not delivered: members hold %d unacked, and the consumer's limit for all of them is %d",
			events(rest.Waiting), subject, rest.Unacked, rest.Limit)
	case rest.Waiting == 0 && rest.Behind > 0 && rest.Unacked <= own:
		return fmt.Sprintf("#%d of %s is stored, and the consumer's leader does not know of it", rest.Behind, subject)
	case rest.Waiting == 0 && rest.Unacked > own:
		return fmt.Sprintf("others hold %s of %s unacked, and nothing moved for %v", events(rest.Unacked-own), subject, still.Round(time.Second))
	}
	return ""
}

// patience is how long a rest that does not change is waited for. What an
// earlier session of this listener held comes again after the ack wait.
func (l *looker) patience(p *position) time.Duration {
	if l.lostLately(p) {
		return l.wait(p)
	}
	return min(l.wait(p), holdersLimit)
}

// lostLately reports whether events may be on their way to an earlier session.
func (l *looker) lostLately(p *position) bool {
	return !l.lostAt.IsZero() && !l.ownsAllEvents() && time.Since(l.lostAt) < l.wait(p)
}

// retryWaits reports whether an event that was given back here is to come again.
func (l *looker) retryWaits(p *position) bool {
	return l.tasks != nil && l.tasks.retryWaits(p)
}

// wait is the ack wait of a subject, and some time for the server to notice.
func (l *looker) wait(p *position) time.Duration {
	return max(l.Subscription.AckWait, p.ackWait) + time.Second
}

func events(n uint64) string {
	if n == 1 {
		return "1 event"
	}
	return fmt.Sprintf("%d events", n)
}
