package broker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Start is where a new subscription starts. The zero value is the first event that
// the broker still has.
type Start struct {
	Kind     StartKind
	Sequence uint64    // for StartSequence: that of the first event
	Time     time.Time // for StartTime
}

// StartKind is the way a Start is given.
type StartKind int

// The kinds of Start.
const (
	StartAll      StartKind = iota // the first stored event
	StartNew                       // the next event to be published
	StartLast                      // the newest stored event
	StartSequence                  // the event with a given sequence
	StartTime                      // the first event stored at or after a given time
)

// ParseStart parses "all", "new", "last", "seq:12", "since:1h30m" (one and a half hours
// before now) or "time:2026-01-02T03:04:05Z".
func ParseStart(s string, now time.Time) (Start, error) {
	kind, value, _ := strings.Cut(s, ":")
	switch {
	case s == "all":
		return Start{Kind: StartAll}, nil
	case s == "new":
		return Start{Kind: StartNew}, nil
	case s == "last":
		return Start{Kind: StartLast}, nil
	case kind == "seq":
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || n == 0 {
			return Start{}, fmt.Errorf("%q is no sequence number, such as seq:12", value)
		}
		return Start{Kind: StartSequence, Sequence: n}, nil
	case kind == "since":
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return Start{}, fmt.Errorf("%q is no duration of at most 292 years, such as since:1h30m", value)
		}
		return startAt(now.Add(-d)), nil
	case kind == "time":
		t, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return Start{}, fmt.Errorf("%q is no time, such as time:2026-01-02T03:04:05Z", value)
		}
		if t.After(now.Add(clockAhead)) {
			return Start{}, fmt.Errorf("%q is in the future, and a subscription begins at once: \"new\" waits for the next event", value)
		}
		return startAt(t), nil
	}
	return Start{}, errors.New("must be all, new, last, seq:N, since:DURATION or time:RFC3339")
}

// clockAhead is how far the broker's clock may be ahead of this machine's. A time
// beyond that is rejected as being in the future.
const clockAhead = 24 * time.Hour

// startAt returns the Start for a time. Brokers count nanoseconds in 64 bits, which
// overflow before 1678; no event is older than 1970.
func startAt(t time.Time) Start {
	if t.Before(time.Unix(0, 0)) {
		return Start{Kind: StartAll}
	}
	return Start{Kind: StartTime, Time: t}
}
