package status

import (
	"testing"
	"time"

	"nats-test/internal/monitor"
)

// The command in a hint stays one command, whatever the name of the client.
func TestHintsQuoteNames(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"plain-1": "`listen evict plain-1` closes it at once", "a; rm -rf ~": "`listen evict 'a; rm -rf ~'` closes it at once",
		"--force": "`listen evict -- --force` closes it at once", "$(id)'`": "`listen evict '$(id)'\"'\"'`'` closes it at once",
	} {
		s := &monitor.Snapshot{Channels: []*monitor.Channel{{Subscriptions: []*monitor.Subscription{{
			Group: "g", Members: []monitor.Member{{Client: id, State: monitor.Dead, SilentFor: time.Hour, Unacked: 1}},
		}}}}}
		all := s.Judge(0)
		if addHints(all); len(all) != 1 || all[0].Hint != want {
			t.Errorf("%+v", all)
		}
	}
}
