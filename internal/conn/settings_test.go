package conn_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

func TestNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 300)
	for _, good := range []string{"a", "ticket:created", "a.b", "ä", long, "$x", "$KV.bucket.a/b", `a\b`} {
		if err := broker.CheckSubject(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "*", "a.*", ">", "a.>", "a b", "a\tb", "a\x00", "a\u0085", "\xff", "a..b", ".a", "a.", strings.Repeat("a", 3000)} {
		if err := broker.CheckSubject(bad); !errors.Is(err, broker.ErrName) || len(err.Error()) > 200 {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	for check, bad := range map[string]error{
		"channel":   broker.CheckChannel("a/b"),
		"channel 2": broker.CheckChannel(`a\b`),
		"channel 3": broker.CheckChannel(long),
		"durable":   broker.CheckDurable("a:b"),
		"durable 2": broker.CheckDurable("a b"),
		"durable 3": broker.CheckDurable(long),
		"group":     broker.CheckGroup("a\n"),
		"cluster":   broker.CheckCluster(""),
		"cluster 2": broker.CheckCluster("a b"),
		"client ID": broker.CheckClientID("a.b"),
		"empty ID":  broker.CheckClientID(""),
		"long ID":   broker.CheckClientID(long),
	} {
		if !errors.Is(bad, broker.ErrName) {
			t.Errorf("%s: %v", check, bad)
		}
	}
	for _, err := range []error{
		broker.CheckChannel(strings.Repeat("a", 255)), broker.CheckDurable(""), broker.CheckDurable("d-1"), broker.CheckGroup("a:b"), broker.CheckGroup(""),
		broker.CheckCluster("test-cluster"), broker.CheckClientID(broker.NewClientID("listen")),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}

// What is published to the broker's own subjects would be carried out.
func TestReservedNames(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"$JS.API.STREAM.DELETE.x", "$JS", "$JS.hub.API.INFO", "$JS.ACK.s.c.1.1.1.1.0", "$SYS.REQ.SERVER.PING", "_INBOX.x.y", "_STAN.pub.x"} {
		for _, err := range []error{broker.CheckPublish(bad), broker.CheckChannel(bad)} {
			if !errors.Is(err, broker.ErrReserved) || !errors.Is(err, broker.ErrName) {
				t.Errorf("%s: %v", bad, err)
			}
		}
		if err := broker.CheckSubject(bad); err != nil { // a stream may hold advisories
			t.Error(err)
		}
	}
	for _, good := range []string{"$KV.bucket.key", "$O.bucket.C.x", "$JSX.a", "JS.API", "a.$JS.API", "_INBOXES"} {
		if err := broker.CheckPublish(good); err != nil {
			t.Error(err)
		}
	}
	if err := broker.CheckPublish("a b"); !errors.Is(err, broker.ErrName) || errors.Is(err, broker.ErrReserved) {
		t.Error(err)
	}
}

func TestParseStart(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]broker.Start{
		"all": {}, "new": {Kind: broker.StartNew}, "last": {Kind: broker.StartLast},
		"seq:12":                    {Kind: broker.StartSequence, Sequence: 12},
		"since:1h30m":               {Kind: broker.StartTime, Time: now.Add(-90 * time.Minute)},
		"time:2026-01-01T00:00:00Z": {Kind: broker.StartTime, Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		"time:2026-01-03T00:00:00Z": {Kind: broker.StartTime, Time: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)}, // the broker's clock may be ahead
		"time:1969-12-31T23:59:59Z": {}, "time:0000-01-01T00:00:00Z": {}, "since:2562047h": {},
	} {
		if got, err := broker.ParseStart(text, now); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "ALL", "first", "seq", "seq:", "seq:0", "seq:-1", "seq:x", "since:", "since:-1h", "time:noon", "all:1x",
		"since:2562048h", "time:2026-01-04T00:00:00Z", "time:2262-04-12T00:00:00Z", "time:9999-12-31T23:59:59Z"} {
		if got, err := broker.ParseStart(bad, now); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestContextFile(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	folder := filepath.Join(home, ".config", "nats", "context")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	text := `{"description":"d","url":"nats://a,nats://b","token":"t","user":"u","password":"p","creds":"~/c","nkey":"$DIR/n",
		"cert":"/x","key":"/y","ca":"/z","user_jwt":"j","user_seed":"s","inbox_prefix":"_I","jetstream_domain":"d","tls_first":true,"unknown":1}`
	if err := os.WriteFile(filepath.Join(folder, "dev.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string { return map[string]string{"HOME": home, "DIR": "/dir"}[name] }
	got, err := link.FromContext("dev", getenv)
	if err != nil {
		t.Fatal(err)
	}
	want := link.Options{
		Servers: "nats://a,nats://b",
		Auth: link.Auth{User: "u", Password: "p", Token: "t", Creds: filepath.Join(home, "c"), NKey: "/dir/n",
			UserJWT: "j", UserSeed: "s"},
		TLS:         link.TLS{Cert: "/x", Key: "/y", CA: "/z", First: true},
		InboxPrefix: "_I", Domain: "d",
		SecretFile: filepath.Join(folder, "dev.json"),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{"other", "", ".", "..", "../context/dev", "a/b"} {
		if _, err := link.FromContext(bad, getenv); !errors.Is(err, broker.ErrConfig) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestHigherOptionsWin(t *testing.T) {
	t.Parallel()
	low := link.Options{
		Servers: "low", Cluster: "low", Timeout: 1, Auth: link.Auth{User: "low", Password: "low"},
		TLS: link.TLS{Cert: "low", Key: "low", CA: "low"},
	}
	got := link.Options{Servers: "high", Auth: link.Auth{Password: "high"}, TLS: link.TLS{Cert: "high", Key: "high"}}.Or(low)
	want := link.Options{
		Servers: "high", Cluster: "low", Timeout: 1, Auth: link.Auth{User: "low", Password: "high"},
		TLS: link.TLS{Cert: "high", Key: "high", CA: "low"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := (link.Options{Auth: link.Auth{Token: "high"}}).Or(low).Auth; got != (link.Auth{Token: "high"}) {
		t.Errorf("kinds of credentials were mixed: %+v", got)
	}
	if where := (link.Options{Servers: "nats://a:b@h:1, nats://tok@h2, h3,"}).Where(); where != "nats://h:1,nats://h2,nats://h3" {
		t.Errorf("secrets in %s", where)
	}
}

func FuzzCheckSubject(f *testing.F) {
	for _, s := range []string{"ticket:created", "a..b", "\x00", "a.b.c", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if broker.CheckSubject(s) == nil && (s == "" || strings.ContainsAny(s, " \t\r\n*>/") || strings.Contains("."+s+".", "..")) {
			t.Errorf("%q was taken for a subject", s)
		}
	})
}
