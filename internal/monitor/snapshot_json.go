package monitor

import (
	"encoding/json"
	"time"
)

// MarshalJSON adds the times that findings depend on, in seconds, so that a program can
// use limits of its own.
func (s *Subscription) MarshalJSON() ([]byte, error) {
	type plain Subscription
	return json.Marshal(struct {
		*plain
		AckWait float64 `json:"ack_wait_seconds"`
		Quiet   float64 `json:"quiet_seconds"` // nothing was delivered or acked, as far as is known
	}{(*plain)(s), seconds(s.AckWait), seconds(s.Quiet)})
}

// MarshalJSON adds how long the member has neither received nor acked an event.
func (m Member) MarshalJSON() ([]byte, error) {
	type plain Member
	return json.Marshal(struct {
		plain
		Quiet float64 `json:"quiet_seconds"`
	}{plain(m), seconds(m.Quiet)})
}

// MarshalJSON adds how long it takes until the next run.
func (r Retry) MarshalJSON() ([]byte, error) {
	type plain Retry
	return json.Marshal(struct {
		plain
		Wait float64 `json:"wait_seconds"`
	}{plain(r), seconds(r.Wait)})
}

// seconds rounds to milliseconds.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
