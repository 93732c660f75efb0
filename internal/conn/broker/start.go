package broker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Start is where a new subscription begins. The zero value is the first event
// that the broker still has.
type Start struct {
	Kind     StartKind
	Sequence uint64    // for StartSequence: the first event wanted
	Time     time.Time // for StartTime
}

// StartKind says how a Start finds its event.
type StartKind int

// The kinds of Start.
const (
	StartAll      StartKind = iota // the first event that the broker has
	StartNew                       // the next one to be published
	StartLast                      // the newest one stored
	StartSequence                  // the one with a sequence number
	StartTime                      // the first one stored at or after a time
)

// ParseStart reads "all", "new", "last", "seq:12", "since:1h30m" (an hour and
// a half before now) or "time:2026-01-02T03:04:05Z".
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

// clockAhead is how far the broker's clock may be ahead of this one: a time
// beyond it is in the future for both.
const clockAhead = 24 * time.Hour

// startAt is a start at a time. Brokers count nanoseconds in 64 bits, which
// wrap around for a time before 1678; none has events from before 1970.
func startAt(t time.Time) Start {
	if t.Before(time.Unix(0, 0)) {
		return Start{Kind: StartAll}
	}
	return Start{Kind: StartTime, Time: t}
}
