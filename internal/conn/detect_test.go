package conn_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

func TestDetection(t *testing.T) {
	t.Parallel()
	streaming := brokertest.Start(t, brokertest.Config{})
	both := brokertest.Start(t, brokertest.Config{JetStream: true})
	jetStream := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	plain := brokertest.Start(t, brokertest.Config{Plain: true})
	accounts := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: `accounts {
		WITH { jetstream: enabled, users: [ { user: with, password: s3cret } ] }
		WITHOUT { users: [ { user: without, password: s3cret } ] }
	}`})
	tests := map[string]struct {
		options link.Options
		want    broker.Backend // or, where it is none:
		reasons []error
		words   string
	}{
		"NATS Streaming alone":  {link.Options{Servers: streaming.URL}, broker.STAN, nil, ""},
		"both":                  {link.Options{Servers: both.URL}, broker.STAN, nil, ""},
		"both, other cluster":   {link.Options{Servers: both.URL, Cluster: "other"}, broker.JetStream, nil, ""},
		"both, JetStream asked": {link.Options{Servers: both.URL, Backend: broker.JetStream}, broker.JetStream, nil, ""},
		"JetStream alone":       {link.Options{Servers: jetStream.URL}, broker.JetStream, nil, ""},
		"account with it":       {link.Options{Servers: accounts.URL, Auth: as("with")}, broker.JetStream, nil, ""},
		"plain NATS": {
			link.Options{Servers: plain.URL}, "", []error{broker.ErrNoCluster, broker.ErrNoJetStream},
			"jetstream not enabled",
		},
		"account without it": {
			link.Options{Servers: accounts.URL, Auth: as("without")}, "", []error{broker.ErrNoCluster, broker.ErrNoJetStream},
			"jetstream not enabled for account",
		},
		"other cluster, no JetStream": {
			link.Options{Servers: streaming.URL, Cluster: "other"}, "", []error{broker.ErrNoCluster, broker.ErrNoJetStream},
			"no NATS Streaming cluster",
		},
		"NATS Streaming asked, JetStream there": {
			link.Options{Servers: jetStream.URL, Backend: broker.STAN}, "", []error{broker.ErrNoCluster},
			`cluster "ticketing"`,
		},
		"NATS Streaming asked, other cluster": {
			link.Options{Servers: both.URL, Backend: broker.STAN, Cluster: "other"}, "", []error{broker.ErrNoCluster},
			`cluster "other"`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			session, err := conn.Dial(t.Context(), test.options)
			if err == nil {
				defer func() { _ = session.Close() }()
				if session.Backend() != test.want {
					t.Errorf("got %s, want %q", session.Backend(), test.want)
				}
				return
			}
			for _, reason := range []error{broker.ErrNoCluster, broker.ErrNoJetStream, broker.ErrHung, broker.ErrAuth} {
				if want := slices.Contains(test.reasons, reason); errors.Is(err, reason) != want {
					t.Errorf("%v: is it %q? want %v", err, reason, want)
				}
			}
			if !strings.Contains(err.Error(), test.words) {
				t.Errorf("%v: no word of %q", err, test.words)
			}
		})
	}
}

func TestJetStreamAskedWhereThereIsNone(t *testing.T) {
	t.Parallel()
	streaming := brokertest.Start(t, brokertest.Config{})
	accounts := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: `accounts {
		WITH { jetstream: enabled, users: [ { user: with, password: s3cret } ] }
		WITHOUT { users: [ { user: without, password: s3cret } ] }
	}`})
	for name, o := range map[string]link.Options{
		"NATS Streaming":     {Servers: streaming.URL},
		"account without it": {Servers: accounts.URL, Auth: as("without")},
	} {
		t.Run(name, func(t *testing.T) {
			o.Backend, o.Timeout = broker.JetStream, long
			if _, err := conn.Dial(t.Context(), o); !errors.Is(err, broker.ErrNoJetStream) || errors.Is(err, broker.ErrNoCluster) {
				t.Error(err)
			}
		})
	}
}

// Without the permission to ask for NATS Streaming, it is of no use.
func TestDetectionWithoutPermissions(t *testing.T) {
	t.Parallel()
	users := withUsers("stan", `publish: { deny: "_STAN.>" }`, "info", `publish: { deny: ["_STAN.>", "$JS.API.INFO"] }`,
		"jetstream", `publish: { deny: "$JS.>" }`, "none", `publish: "foo"`, "inbox", `subscribe: { deny: "_INBOX.>" }`)
	both := brokertest.Start(t, brokertest.Config{
		JetStream: true, Extra: users, StreamingExtra: "user: admin\n  password: s3cret",
	})
	jetStream := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: users})
	plain := brokertest.Start(t, brokertest.Config{Plain: true, Extra: users})
	tests := []struct {
		denied string
		server *brokertest.Server
		want   broker.Backend // or, where it is none:
		reason error
	}{
		{"stan", both, broker.JetStream, nil},
		{"stan", jetStream, broker.JetStream, nil},
		{"stan", plain, "", broker.ErrAuth}, // it may be there
		{"info", both, "", broker.ErrAuth},
		{"info", jetStream, "", broker.ErrAuth},
		{"jetstream", both, broker.STAN, nil},
		{"jetstream", jetStream, broker.JetStream, nil}, // it may be only the question that is denied
		{"none", jetStream, "", broker.ErrAuth},
		{"inbox", both, "", broker.ErrAuth},
		{"inbox", jetStream, "", broker.ErrAuth},
	}
	names := map[*brokertest.Server]string{both: "both", jetStream: "JetStream", plain: "plain"}
	for _, test := range tests {
		t.Run(test.denied+" denied at "+names[test.server], func(t *testing.T) {
			o := link.Options{Servers: test.server.URL, Auth: as(test.denied), Timeout: long}
			session, err := conn.Dial(t.Context(), o)
			if err != nil {
				if test.reason == nil || !errors.Is(err, test.reason) {
					t.Errorf("got %v, want %v %v", err, test.want, test.reason)
				}
				return
			}
			defer func() { _ = session.Close() }()
			if session.Backend() != test.want {
				t.Errorf("got %s, want %q %v", session.Backend(), test.want, test.reason)
			}
		})
	}
}

// Silence proves nothing: whatever else is there, the question stays open.
func TestSilenceIsNoAbsence(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		config brokertest.Config
		silent string // a subject that is listened to, and not answered
	}{
		"frozen NATS Streaming": {brokertest.Config{}, ""},
		"frozen JetStream":      {brokertest.Config{Plain: true, JetStream: true}, ""},
		"NATS Streaming hangs":  {brokertest.Config{Plain: true, JetStream: true}, "_STAN.discover.ticketing.pings"},
		"all is listened to":    {brokertest.Config{Plain: true, JetStream: true}, ">"},
		"JetStream hangs":       {brokertest.Config{Plain: true}, "$JS.API.INFO"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := brokertest.Start(t, test.config)
			if test.silent == "" {
				server.Freeze()
				defer server.Thaw()
			} else {
				nc := server.Nats()
				if _, err := nc.Subscribe(test.silent, func(*nats.Msg) {}); err != nil {
					t.Fatal(err)
				}
				if err := nc.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			_, err := conn.Dial(t.Context(), link.Options{Servers: server.URL, Timeout: 300 * time.Millisecond})
			if !errors.Is(err, broker.ErrHung) || errors.Is(err, broker.ErrNoCluster) || errors.Is(err, broker.ErrNoJetStream) {
				t.Error(err)
			}
			if unknown := test.config.JetStream && test.silent != ""; errors.Is(err, broker.ErrSilentCluster) != unknown {
				t.Errorf("the cluster is unknown: %v: %v", unknown, err)
			}
		})
	}
}

// The time it takes is for people to look at: -v shows it.
func TestDetectionTakesLittleTime(t *testing.T) {
	t.Parallel()
	both := brokertest.Start(t, brokertest.Config{JetStream: true})
	jetStream := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	middle := func(o link.Options) time.Duration {
		const tries = 25
		var took []time.Duration
		for range tries {
			begin := time.Now()
			session := dial(t, o)
			took = append(took, time.Since(begin))
			if err := session.Close(); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(took)
		return took[tries/2]
	}
	for name, o := range map[string]link.Options{
		"NATS Streaming":          {Servers: both.URL, Backend: broker.STAN},
		"JetStream":               {Servers: jetStream.URL, Backend: broker.JetStream},
		"JetStream, both running": {Servers: both.URL, Cluster: "other", Backend: broker.JetStream},
	} {
		told := middle(o)
		o.Backend = broker.Auto
		t.Logf("connecting, %s: %v when told so, %v when it is to be found out", name, told, middle(o))
	}
}
