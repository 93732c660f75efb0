package monitor_test

import (
	"testing"
	"time"

	"nats-test/internal/monitor"
)

// What a hint tells to type is one command, whatever a client calls itself.
func TestHintsQuoteNames(t *testing.T) {
	for id, want := range map[string]string{
		"plain-1": "`listen evict plain-1` closes it at once", "a; rm -rf ~": "`listen evict 'a; rm -rf ~'` closes it at once",
		"--force": "`listen evict -- --force` closes it at once", "$(id)'`": "`listen evict '$(id)'\"'\"'`'` closes it at once",
	} {
		s := &monitor.Snapshot{Channels: []*monitor.Channel{{Subscriptions: []*monitor.Subscription{{
			Group: "g", Members: []monitor.Member{{Client: id, State: monitor.Dead, SilentFor: time.Hour, Unacked: 1}},
		}}}}}
		if all := s.Judge(0); len(all) != 1 || all[0].Hint != want {
			t.Errorf("%+v", all)
		}
	}
}
