//go:build unix

package worker_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/worker"
)

// A dead letter says why: in headers where there are any, else around the data.
func TestDeadLettersSayWhy(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		data := []string{`{"id": 9007199254740993, "text": "<&\u2028>"}`, "plain text", "\xff\x00", ""}
		events := make([]broker.Event, len(data))
		for i := range data {
			events[i] = broker.Event{Subject: "orders", Data: []byte(data[i])}
		}
		if s.MessageIDs {
			events[0].ID = "the-first"
			events[0].Header = map[string][]string{"Traceparent": {"00-1"}, "Dead-Letter-Signal": {"SIGOLD"}, "dead-letter-old": {"x"}}
		}
		s.put(events...)
		m := s.start(s.plan("orders", `printf 'first line\n\tsecond "line" ä\033[31m' >&2; exit 3`))
		m.finished()
		s.wantLeft("orders")
		dead := s.dead("orders")
		if len(dead) != len(data) {
			s.Fatalf("%d dead letters: %q", len(dead), m.outcomes())
		}
		original := s.messages(&conn.Listener{Options: s.Options, Subjects: []string{"orders"}, UntilEnd: true,
			Subscription: broker.Subscription{AckWait: 30 * time.Second}})
		byNumber := make(map[uint64]stored) // retries come in any order
		for _, d := range dead {
			byNumber[s.deadNumber(d)] = d
		}
		for i, o := range original {
			d, ok := byNumber[o.Sequence]
			if !ok {
				s.Fatalf("no dead letter of #%d", o.Sequence)
			}
			if d.Subject != "orders.dead" {
				s.Errorf("it is in %s", d.Subject)
			}
			id := fmt.Sprintf("orders/%d", o.Sequence)
			if s.MessageIDs && o.ID != "" {
				id = o.ID
			}
			if s.MessageIDs {
				want := map[string]string{
					"Subject": "orders", "Sequence": fmt.Sprint(o.Sequence), "Time": o.Time.UTC().Format(time.RFC3339Nano), "Id": id,
					"Group": "crew", "Attempts": "3", "Exit": "3", "Reason": "exit 3", "Stderr": `first line\n\tsecond "line" ä\x1b[31m`,
					"Signal": "",
				}
				for key, value := range want {
					if got := strings.Join(d.Header["Dead-Letter-"+key], "|"); got != value {
						s.Errorf("#%d: Dead-Letter-%s: %q, want %q", o.Sequence, key, got, value)
					}
				}
				if string(d.Data) != data[i] {
					s.Errorf("#%d: data %q", o.Sequence, d.Data)
				}
				if d.ID != fmt.Sprintf("dead/orders/%d/%d/crew", o.Sequence, o.Time.UnixNano()) {
					s.Errorf("#%d: its ID is %q", o.Sequence, d.ID)
				}
				if i == 0 && (d.Header["Traceparent"] == nil || d.Header["dead-letter-old"] != nil) {
					s.Errorf("its headers: %v", d.Header)
				}
				continue
			}
			var got map[string]any
			if err := json.Unmarshal(d.Data, &got); err != nil {
				s.Fatal(err)
			}
			want := map[string]any{
				"subject": "orders", "sequence": float64(o.Sequence), "time": o.Time.UTC().Format(time.RFC3339Nano), "id": id,
				"group": "crew", "attempts": 3.0, "exit": 3.0, "reason": "exit 3", "stderr": "first line\n\tsecond \"line\" ä\x1b[31m",
			}
			for key, value := range want {
				if got[key] != value {
					s.Errorf("#%d: %s: %v, want %v", o.Sequence, key, got[key], value)
				}
			}
			if i == 0 {
				if !strings.Contains(string(d.Data), `"data":{"id":9007199254740993,`) {
					s.Errorf("data: %s", d.Data)
				}
			} else if text, err := base64.StdEncoding.DecodeString(fmt.Sprint(got["data_base64"])); err != nil || string(text) != data[i] {
				s.Errorf("#%d: data %q, error %v", o.Sequence, text, err)
			}
		}
	})
}

// deadNumber is the sequence of the event of a dead letter.
func (s *site) deadNumber(d stored) (n uint64) {
	s.Helper()
	var envelope struct{ Sequence uint64 }
	text := d.Data
	if s.MessageIDs {
		text = fmt.Appendf(nil, `{"sequence":%s}`, d.Header["Dead-Letter-Sequence"][0])
	}
	if err := json.Unmarshal(text, &envelope); err != nil {
		s.Fatal(err)
	}
	return envelope.Sequence
}

// While a dead letter can't be stored, its event stays unacked and is not run again.
func TestDeadLetterBeforeAck(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", "1")
		network := s.server.Network()
		away := s.Options
		away.Servers, away.Timeout = network.URL, 5*time.Second
		network.Refuse(true)
		p := s.plan("orders", `exit 65`)
		p.Letters = s.letters(away)
		p.listener.Options.ClientID = "me"
		m := s.start(p)
		brokertest.Eventually(s, "it was tried to store the dead letter", func() bool { return strings.Contains(m.warnings(), "trying again") })
		if waiting, unacked := s.rest("orders", "me"); waiting != 0 || unacked != 1 {
			s.Errorf("the broker says: %d wait, %d unacked", waiting, unacked)
		}
		if len(m.outcomes()) != 0 {
			s.Errorf("runs: %q", m.outcomes())
		}
		network.Refuse(false)
		m.finished()
		if got := m.lines("runs"); len(got) != 1 {
			s.Errorf("runs: %q", got)
		}
		if got := s.dead("orders"); len(got) != 1 {
			s.Errorf("%d dead letters", len(got))
		}
		s.wantLeft("orders")
	})
}

// rest is what the broker has left of the group.
func (s *site) rest(subject, client string) (waiting, unacked uint64) {
	s.Helper()
	if s.Backend == broker.JetStream {
		c, err := s.server.JetStream().Consumer(s.Context(), subject, "crew_"+subject)
		if err != nil {
			s.Fatal(err)
		}
		return c.CachedInfo().NumPending, uint64(c.CachedInfo().NumAckPending)
	}
	l := s.listener(subject)
	l.Subscription.Subject = subject
	rest, err := l.Rest(s.Context(), l.Subscription, client)
	if err != nil {
		s.Fatal(err)
	}
	return rest.Waiting, rest.Unacked
}

// A member that is stopped while a dead letter can't be stored gives the event back.
func TestStoppedBeforeTheDeadLetter(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", "1")
		network := s.server.Network()
		away := s.Options
		away.Servers, away.Timeout = network.URL, 20*time.Second
		network.BlackHole(true) // dialling hangs
		p := s.plan("orders", `exit 65`)
		p.Letters, p.Grace = s.letters(away), 300*time.Millisecond
		m := s.start(p)
		brokertest.Eventually(s, "the handler ran", func() bool { return len(m.lines("runs")) == 1 })
		m.stop()
		begin := time.Now()
		if err := m.ended(conn.EndStopped); err != nil {
			s.Errorf("ended with %v", err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			s.Errorf("it took %v to stop", took)
		}
		if !strings.Contains(m.warnings(), "#1 of orders goes back: its dead letter could not be stored") {
			s.Error("it did not say that the event goes back")
		}
		s.wantLeft("orders", "1")
	})
}

// What will never be stored stops the worker, and the event stays.
func TestUnstorableDeadLetters(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("large", strings.Repeat("\xff", 900<<10))
		m := s.start(s.plan("large", `i=0; while test $i -lt 64; do printf '\001\001\001\001\001\001\001\001\001\001\001\001\001\001\001\001' >&2; i=$((i+1)); done; exit 65`))
		if s.MessageIDs { // only its headers are more
			m.finished()
			return
		}
		if err := m.ended(conn.EndStopped); !errors.Is(err, broker.ErrTooLarge) || !strings.Contains(err.Error(), "#1 of large") {
			s.Errorf("ended with %v", err)
		}
		s.wantLeft("large", strings.Repeat("\xff", 900<<10))
	})
}

// A full stream refuses dead letters, until it has room.
func TestFullStreamOfDeadLetters(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		if !s.Streams { // a channel drops its oldest
			return
		}
		config := conn.NewStream("orders.dead", 1)
		config.MaxMsgs, config.Discard = 1, jetstream.DiscardNew
		if _, err := s.server.JetStream().CreateStream(s.Context(), config); err != nil {
			s.Fatal(err)
		}
		s.publish("orders", "1", "2")
		m := s.start(s.plan("orders", `exit 65`))
		brokertest.Eventually(s, "the second is refused", func() bool { return strings.Contains(m.warnings(), "takes no more") })
		if waiting, unacked := s.rest("orders", ""); waiting != 0 || unacked != 1 {
			s.Errorf("the broker says: %d wait, %d unacked", waiting, unacked)
		}
		config.MaxMsgs = 2
		if _, err := s.server.JetStream().UpdateStream(s.Context(), config); err != nil {
			s.Fatal(err)
		}
		m.finished()
		if got := s.dead("orders"); len(got) != 2 || len(m.lines("runs")) != 2 {
			s.Errorf("%d dead letters of %q", len(got), m.lines("runs"))
		}
		s.wantLeft("orders")
	})
}

// A repeat of a dead letter is stored once, where the broker knows repeats, also if
// it would say something else.
func TestRepeatedDeadLetterIsStoredOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(s *site) {
		s.publish("orders", "1")
		times := 1
		for i := range 2 {
			p := s.plan("orders", fmt.Sprintf(`echo run %d >&2; exit 65`, i))
			s.start(p).finished()
			if s.MessageIDs { // its position is lost, and with it the ack
				if err := s.server.JetStream().DeleteConsumer(s.Context(), "orders", "crew_orders"); err != nil {
					s.Fatal(err)
				}
			}
		}
		if got := s.dead("orders"); len(got) != times {
			s.Errorf("%d dead letters", len(got))
		}
	})
}

func TestDeadSubject(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]string{"orders": "orders.dead", "a.b": "a.b.dead", "ticket:created": "ticket:created:dead"} {
		if got := worker.DeadSubject(subject); got != want {
			t.Errorf("%s: %s", subject, got)
		}
	}
}
