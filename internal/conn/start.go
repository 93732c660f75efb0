package conn

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
			return Start{}, fmt.Errorf("%q is no duration, such as since:1h30m", value)
		}
		return Start{Kind: StartTime, Time: now.Add(-d)}, nil
	case kind == "time":
		t, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return Start{}, fmt.Errorf("%q is no time, such as time:2026-01-02T03:04:05Z", value)
		}
		return Start{Kind: StartTime, Time: t}, nil
	}
	return Start{}, errors.New("must be all, new, last, seq:N, since:DURATION or time:RFC3339")
}
