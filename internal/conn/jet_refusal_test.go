package conn_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

func TestFullStream(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, `accounts {
		LITTLE { jetstream: { max_store: 40KB }, users: [ { user: little, password: s3cret } ] }
		MUCH { jetstream: enabled, users: [ { user: admin, password: s3cret } ] }
	}`, admin)
	littleJS := s.JetStream(nats.UserInfo("little", "s3cret"))
	keepStream(t, js)
	keepStream(t, littleJS)
	const room = 20
	tests := map[string]struct {
		js     jetstream.JetStream
		user   string
		limits jetstream.StreamConfig
		size   int // of each event
		exact  bool
	}{
		"events":             {js, "admin", jetstream.StreamConfig{MaxMsgs: room, Discard: jetstream.DiscardNew}, 1, true},
		"bytes":              {js, "admin", jetstream.StreamConfig{MaxBytes: 20000, Discard: jetstream.DiscardNew}, 1000, false},
		"events per subject": {js, "admin", jetstream.StreamConfig{MaxMsgsPerSubject: room, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true}, 1, true},
		"account":            {littleJS, "little", jetstream.StreamConfig{}, 1000, false},
	}
	for name, test := range tests {
		for _, window := range []int{1, 7, 0} {
			t.Run(fmt.Sprintf("%s, window %d", name, window), func(t *testing.T) {
				subject := fmt.Sprintf("%s-%d", strings.ReplaceAll(name, " ", "-"), window)
				test.limits.Name, test.limits.Subjects = subject, []string{subject}
				createStream(t, test.js, test.limits)
				defer func() { // it takes of the account's room
					if err := test.js.DeleteStream(t.Context(), subject); err != nil {
						t.Fatal(err)
					}
				}()
				o := link.Options{Servers: s.URL, Auth: as(test.user), Timeout: long, Window: window}
				var ackedEvents []int
				p := conn.NewPublisher(dial(t, o), func(event int, _ broker.Receipt, _ bool) { ackedEvents = append(ackedEvents, event) })
				var err error
				for range 100 {
					if err = p.Publish(t.Context(), broker.Event{Subject: subject, Data: make([]byte, test.size)}); err != nil {
						break
					}
				}
				if flushed := p.Flush(); err != nil && flushed != err { //nolint:errorlint // the very same
					t.Errorf("%v, and then %v", err, flushed)
				} else {
					err = flushed
				}
				sent, acked, inDoubt := p.Sent()
				inStream := int(streamInfo(t, test.js, subject).State.Msgs)
				if errors.Is(err, broker.ErrNoRoom) != (name == "account") {
					t.Error(err)
				}
				if !errors.Is(err, broker.ErrFull) || !strings.Contains(err.Error(), fmt.Sprintf("event %d ", inStream+1)) {
					t.Errorf("%d are stored: %v", inStream, err)
				}
				if acked != inStream || inDoubt != 0 || sent <= acked || test.exact && acked != room {
					t.Errorf("sent %d, acked %d, in doubt %d, stored %d", sent, acked, inDoubt, inStream)
				}
				if window > 0 && sent > acked+window+1 { // one more may wait for its place
					t.Errorf("sent %d after %d were acked", sent, acked)
				}
				if !slices.Equal(ackedEvents, count(acked)) {
					t.Errorf("acked %v", ackedEvents)
				}
			})
		}
	}
}

func TestRefusedEvents(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, "max_payload: 2000")
	createStream(t, js, jetstream.StreamConfig{Name: "sealed", Subjects: []string{"sealed"}, Sealed: false})
	sealed := streamInfo(t, js, "sealed").Config
	sealed.Sealed = true
	if _, err := js.UpdateStream(t.Context(), sealed); err != nil {
		t.Fatal(err)
	}
	createStream(t, js, jetstream.StreamConfig{Name: "small", Subjects: []string{"small"}, MaxMsgSize: 100})
	createStream(t, js, jetstream.StreamConfig{Name: "usual", Subjects: []string{"usual"}})
	tests := map[string]struct {
		event  broker.Event
		want   error
		unsent bool
	}{
		"sealed stream":              {broker.Event{Subject: "sealed"}, broker.ErrRefused, false},
		"larger than the stream's":   {broker.Event{Subject: "small", Data: make([]byte, 101)}, broker.ErrStreamLimit, false},
		"larger than the server's":   {broker.Event{Subject: "usual", Data: make([]byte, 2000)}, broker.ErrTooLarge, true},
		"header larger than that":    {broker.Event{Subject: "usual", Header: map[string][]string{"k": {strings.Repeat("v", 2000)}}}, broker.ErrTooLarge, true},
		"another sequence expected":  {broker.Event{Subject: "usual", Header: map[string][]string{"Nats-Expected-Last-Sequence": {"7"}}}, broker.ErrExpected, false},
		"another ID is expected":     {broker.Event{Subject: "usual", Header: map[string][]string{"Nats-Expected-Last-Msg-Id": {"7"}}}, broker.ErrExpected, false},
		"another stream is expected": {broker.Event{Subject: "usual", Header: map[string][]string{"Nats-Expected-Stream": {"small"}}}, broker.ErrExpected, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := conn.NewPublisher(dial(t, link.Options{Servers: s.URL, Timeout: long}), nil)
			err := p.Publish(t.Context(), test.event)
			if (err != nil) != test.unsent {
				t.Errorf("sending: %v", err)
			}
			if err := p.Flush(); !errors.Is(err, test.want) || conn.InDoubt(err) {
				t.Error(err)
			}
			wantSent := 1
			if test.unsent {
				wantSent = 0
			}
			if sent, acked, inDoubt := p.Sent(); sent != wantSent || acked != 0 || inDoubt != 0 {
				t.Errorf("sent %d, acked %d, in doubt %d", sent, acked, inDoubt)
			}
		})
	}
	if info := streamInfo(t, js, "usual"); info.State.Msgs != 0 {
		t.Errorf("%d were stored", info.State.Msgs)
	}
}

// A missing permission is told at once: the time-out is long.
func TestPublishingWithoutPermission(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, withUsers(
		"subject", `publish: { deny: "orders" }`, "inbox", `subscribe: { deny: "_INBOX.>" }`), admin)
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	tests := map[string]struct {
		user, subject string
		inDoubt       int
		stored        uint64
	}{
		"subject denied": {"subject", "orders", 0, 0},
		"answers denied": {"inbox", "orders", 1, 1}, // it is stored, and nobody can tell
	}
	for _, name := range []string{"subject denied", "answers denied"} {
		test := tests[name]
		t.Run(name, func(t *testing.T) {
			o := link.Options{Servers: s.URL, Backend: broker.JetStream, Auth: as(test.user), Timeout: long}
			p := conn.NewPublisher(dial(t, o), nil)
			if err := p.Publish(t.Context(), broker.Event{Subject: test.subject}); err != nil {
				t.Fatal(err)
			}
			if err := p.Flush(); !errors.Is(err, broker.ErrAuth) || conn.InDoubt(err) != (test.inDoubt > 0) {
				t.Error(err)
			}
			if sent, acked, inDoubt := p.Sent(); sent != 1 || acked != 0 || inDoubt != test.inDoubt {
				t.Errorf("sent %d, acked %d, in doubt %d", sent, acked, inDoubt)
			}
			brokertest.Eventually(t, "as many are stored as expected", func() bool {
				return streamInfo(t, js, "orders").State.Msgs == test.stored
			})
			if err := p.Publish(t.Context(), broker.Event{Subject: "orders"}); !errors.Is(err, broker.ErrAuth) {
				t.Errorf("and again: %v", err)
			}
		})
	}
}

// Who may publish, and ask nothing, can't know why nobody answers. A leader may
// come yet.
func TestPublishingWithoutPermissionToAsk(t *testing.T) {
	t.Parallel()
	s, js := onJetStream(t, withUsers("publisher", `publish: { allow: ["orders", "payments"] }, subscribe: { allow: "_INBOX.>" }`), admin)
	createStream(t, js, jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders"}})
	o := link.Options{Servers: s.URL, Backend: broker.JetStream, Auth: as("publisher"), Timeout: 500 * time.Millisecond}
	session := dial(t, o)
	if r, err := publishOne(t, session, broker.Event{Subject: "orders"}); err != nil || r.Sequence != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := publishOne(t, session, broker.Event{Subject: "payments"}); !errors.Is(err, broker.ErrHung) || conn.InDoubt(err) {
		t.Error(err)
	}
}

// count returns 1 to n.
func count(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i + 1
	}
	return all
}
