package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// judgeWork returns what the workers of a position on channel c tell.
func (s *Subscription) judgeWork(c *Channel) []Finding {
	var next []Retry
	var letters []string
	retries, dead := 0, 0
	for _, m := range s.Members {
		if m.Work == nil {
			continue
		}
		retries, dead, next = retries+m.Work.Retries, dead+m.Work.DeadLetters, append(next, m.Work.Next...)
		if m.Work.Letters != "" && !slices.Contains(letters, m.Work.Letters) {
			letters = append(letters, m.Work.Letters)
		}
	}
	var all []Finding
	add := func(kind string, n int, text string, args ...any) {
		all = append(all, Finding{Kind: kind, Channel: c.Name, Group: cmp.Or(s.Group, s.Consumer, s.Durable), Events: uint64(n), Text: fmt.Sprintf(text, args...)})
	}
	if retries > 0 {
		slices.SortFunc(next, func(a, b Retry) int { return cmp.Or(cmp.Compare(a.Wait, b.Wait), cmp.Compare(a.Sequence, b.Sequence)) })
		const most = 3
		told := make([]string, 0, most)
		for _, r := range next[:min(len(next), most)] {
			told = append(told, fmt.Sprintf("#%d failed %d %s, next try in %v", r.Sequence, r.Failed, plural(r.Failed, "time", "times"), about(r.Wait)))
		}
		if len(told) == 0 { // an answer to a roll call may be forged
			told = append(told, "it is not told which")
		}
		add("retries", retries, "%s of %s %s for a retry in %s: %s", events(uint64(retries)), s.on(c), plural(retries, "waits", "wait"), s.Who(), strings.Join(told, "; "))
	}
	if dead > 0 {
		where := ""
		if len(letters) > 0 {
			where = ", in " + Some(letters)
		}
		add("dead-letters", dead, "members of %s made %d dead %s of events of %s since they began%s",
			s.Who(), dead, plural(dead, "letter", "letters"), s.on(c), where)
	}
	return all
}

// about rounds a wait for people.
func about(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
