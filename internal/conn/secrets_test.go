package conn_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/doctor"
	"nats-test/internal/conn/link"
)

// What a URL is taken for; what is none is told without any part of it, and
// nothing of it is looked up as a name.
func TestServerURLs(t *testing.T) {
	t.Parallel()
	for servers, want := range map[string]string{
		"":                             "nats://127.0.0.1:4222",
		"localhost:4222":               "nats://localhost:4222",
		" nats://h:1 , nats://h:2,\r":  "nats://h:1,nats://h:2",
		"http://localhost:4222":        "nats://localhost:4222",
		"tcp://h:1":                    "nats://h:1",
		"NATS://LOCALHOST:4222":        "nats://localhost:4222",
		"nats://h:1,tls://i,j":         "tls://h:1,tls://i,tls://j",
		"ws://h,wss://i":               "wss://h,wss://i",
		"wss://h/s3cret?t=s3cret":      "wss://h",
		"nats://h:1/s3cret?x=s3cret#s": "nats://h:1",
		"nats://ada:s3@cret@h":         "nats://h",
		"nats://[::1]:4222":            "nats://[::1]:4222",
		"nats://h:":                    "nats://h",
		"ada:s3@h:1,bob:s3@i:2":        "nats://h:1,nats://i:2",
	} {
		if where := (link.Options{Servers: servers}).Where(); where != want {
			t.Errorf("%q: %s, want %s", servers, where, want)
		}
	}
	for servers, want := range map[string]string{
		",":                                 "no URL",
		"'nats://h:1'":                      "quotes",
		"nats://h:1 nats://i:1":             "commas",
		"nats://h:1;nats://i:1":             "commas",
		"h:1 i:1":                           "commas",
		"nats://::1:4222":                   "needs brackets",
		"::1:4222":                          "needs brackets",
		"nats:127.0.0.1:4222":               "nats://HOST:PORT",
		"nats//127.0.0.1:4222":              "nats://HOST:PORT",
		"nats://ada:s3cret":                 "nats://HOST:PORT",
		"nats://ada:s3cret@":                "no host",
		"nats://h:0":                        "from 1 to 65535",
		"nats://h:70000":                    "from 1 to 65535",
		"https://s3cret@h":                  "TLS is tls://",
		"redis://h":                         "the scheme must be",
		"nats://h,ws://h":                   "mixed",
		"nats://s3cret/s3cret@h:1":          "%2F for /",
		"s3cret/s3cret@h:1":                 "%2F for /",
		"nats://s3cret#s3cret@h:1":          "%2F for /",
		"nats://s3cret?s3cret@h:1":          "%2F for /",
		"nats://s3cret,s3cret@h:1":          "%2F for /",
		"nats://ada:1,s3cret@h:1":           "%2F for /",
		"nats://ada:s3cret,s3cret@h:1":      "%2F for /",
		"nats://ada:s3cret%zz@h:1":          "%2F for /",
		"nats://ada:s3cret s3cret@h:1":      "%2F for /",
		"nats://ada:s3cret^@h:1":            "%2F for /",
		"nats://ada:1/s3cret@h,nats://i":    "%2F for /",
		"nats://ok,nats://ada:1#s3cret@h:1": "URL 2 of the servers",
	} {
		err := refused(t, link.Options{Servers: servers})
		if !errors.Is(err, broker.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", servers, err, want)
		}
		if want == "%2F for /" && !errors.Is(err, broker.ErrURLSecret) { // whose hint names other ways
			t.Errorf("%q: %v", servers, err)
		}
		for _, shown := range []string{(link.Options{Servers: servers}).Where(), diagnose(t, link.Options{Servers: servers}).String()} {
			if strings.Contains(shown, "s3cret") {
				t.Errorf("%q shows as %q", servers, shown)
			}
		}
	}
}

// Which credentials count, of those in several places: the first that are given
// in the order of flag, environment, context; those in a URL rank below the
// others of the same place.
func TestCredentialsRank(t *testing.T) {
	t.Parallel()
	password, token := login, "authorization { token: s3cret }"
	auth := func(user, password string) link.Auth { return link.Auth{User: user, Password: password} }
	for name, test := range map[string]struct {
		server    string
		high, low link.Options // the URL stands for the user in it
	}{
		"flags over the URL":            {password, link.Options{Auth: auth("ada", "s3cret")}, link.Options{Servers: "bob:x@"}},
		"beside the URL":                {password, link.Options{Servers: "bob:x@", Auth: auth("ada", "s3cret")}, link.Options{}},
		"URL over what is lower":        {password, link.Options{Servers: "ada:s3cret@"}, link.Options{Auth: auth("bob", "x")}},
		"URL over a lower token":        {password, link.Options{Servers: "ada:s3cret@"}, link.Options{Auth: link.Auth{Token: "x"}}},
		"token over the URL":            {token, link.Options{Auth: link.Auth{Token: "s3cret"}}, link.Options{Servers: "bob:x@"}},
		"password for the user of URL":  {password, link.Options{Auth: auth("", "s3cret")}, link.Options{Servers: "ada@"}},
		"lower password for that user":  {password, link.Options{Servers: "ada@"}, link.Options{Auth: auth("", "s3cret")}},
		"lower one for the same user":   {password, link.Options{Servers: "ada@"}, link.Options{Auth: auth("ada", "s3cret")}},
		"password over that of the URL": {password, link.Options{Auth: auth("", "s3cret")}, link.Options{Servers: "ada:x@"}},
		"user alone is a token":         {token, link.Options{Auth: auth("s3cret", "")}, link.Options{}},
		"user and the same token":       {token, link.Options{Auth: link.Auth{User: "s3cret", Token: "s3cret"}}, link.Options{}},
		"token in the URL":              {token, link.Options{Servers: "s3cret@"}, link.Options{Auth: auth("bob", "x")}},
		"token beside a user":           {token, link.Options{Auth: link.Auth{User: "ada", Password: "x", Token: "s3cret"}}, link.Options{}},
		"odd signs":                     {`authorization { user: ada, password: "s3cret,/?#@%^ *" }`, link.Options{Auth: auth("", "s3cret,/?#@%^ *")}, link.Options{Servers: "ada@"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: test.server})
			at := func(o link.Options) link.Options {
				if o.Servers != "" {
					o.Servers = strings.Replace(s.URL, "nats://", "nats://"+o.Servers, 1)
				}
				return o
			}
			o := at(test.high).Or(at(test.low)).Or(link.Options{Servers: s.URL})
			if err := refused(t, o); err != nil {
				t.Error(err)
			}
			diagnose(t, o).works(broker.JetStream)
		})
	}
}

// A secret in the place of a file's name is not shown, nor is it looked for.
func TestContentInPlaceOfAFile(t *testing.T) {
	t.Parallel()
	seed := "SUAM" + strings.Repeat("A", 54)
	creds := "-----BEGIN NATS USER JWT-----\neyJ0eXAi.s3cret\n"
	for _, content := range []string{
		seed, " " + seed, seed + "\n", "SAAM" + seed[4:], "s3cret\n", creds, strings.ReplaceAll(creds, "\n", " "), "eyJ0eXAi.s3cret.s3cret",
		base64.StdEncoding.EncodeToString([]byte(creds)), "data:;base64,s3cret", strings.Repeat("s3cret", 1000),
	} {
		for reason, o := range map[error]link.Options{
			broker.ErrCredsFile: {Auth: link.Auth{Creds: content}}, broker.ErrNKeyFile: {Auth: link.Auth{NKey: content}},
			broker.ErrKeyFile: {TLS: link.TLS{Key: content, Cert: "x"}}, broker.ErrCertFile: {TLS: link.TLS{Cert: content}}, broker.ErrCAFile: {TLS: link.TLS{CA: content}},
		} {
			err := refused(t, o)
			if !errors.Is(err, broker.ErrConfig) || !errors.Is(err, reason) || !strings.Contains(err.Error(), "must be given by its path") || strings.Contains(err.Error(), strings.TrimSpace(content)) {
				t.Errorf("%q: %v", content, err)
			}
		}
		if _, err := link.FromContext(content, os.Getenv); err == nil || strings.Contains(err.Error(), strings.TrimSpace(content)) {
			t.Errorf("the context %q: %v", content, err)
		}
	}
}

// credsFile writes a credentials file whose JWT has the claims given.
func credsFile(t *testing.T, claims string) string {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	file := filepath.Join(t.TempDir(), "user.creds")
	text := fmt.Sprintf("-----BEGIN NATS USER JWT-----\n%s.%s.%s\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n",
		part(`{"typ":"JWT"}`), part(claims), part("signature"), seed)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestExpiredCredentials(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: login})
	o := link.Options{Servers: s.URL, Auth: link.Auth{Creds: credsFile(t, `{"exp":1700000000}`)}}
	if err := refused(t, o); !errors.Is(err, broker.ErrAuth) || !strings.Contains(err.Error(), "expired on 2023-11-14 22:13 UTC") {
		t.Errorf("got %v", err)
	}
	diagnose(t, o).faulty(doctor.StepAuth, broker.ErrAuth, "expired on 2023-11-14", "")
	o.Auth.Creds = credsFile(t, `{"exp":7000000000}`)
	if err := refused(t, o); !errors.Is(err, broker.ErrAuth) || strings.Contains(err.Error(), "expired on") {
		t.Errorf("got %v", err)
	}
}

// Files that can't be used are told before anything is sent.
func TestUnusableFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	junk := filepath.Join(folder, "junk")
	if err := os.WriteFile(junk, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := newThief(t, nil)
	for _, file := range []string{folder, junk, filepath.Join(folder, "missing")} {
		for _, o := range []link.Options{
			{Auth: link.Auth{Creds: file}}, {Auth: link.Auth{NKey: file}}, {TLS: link.TLS{CA: file}}, {TLS: link.TLS{Cert: file, Key: file}},
		} {
			o.Servers = other.address
			if err := refused(t, o); !errors.Is(err, broker.ErrConfig) || !strings.Contains(err.Error(), file) && o.TLS.Cert == "" {
				t.Errorf("%+v: %v", o, err)
			}
		}
	}
	o := link.Options{Servers: other.address, Auth: link.Auth{Creds: credsFile(t, "s3cret")}} // a seed, and what is no JWT
	if err := refused(t, o); !errors.Is(err, broker.ErrConfig) || !strings.Contains(err.Error(), "no user JWT") {
		t.Errorf("got %v", err)
	}
	if heard := other.heard(); heard != "" {
		t.Errorf("the server heard %q", heard)
	}
}

// A diagnosis warns of secrets that others can read: in a file, or on the way.
func TestDiagnosisWarnsOfOpenSecrets(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes tell nothing there")
	}
	s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	file := credsFile(t, "{}")
	o := link.Options{Servers: s.URL, Auth: link.Auth{Creds: file}}
	if text := diagnose(t, o).String(); strings.Contains(text, "can read") {
		t.Errorf("warned of a file of one's own:\n%s", text)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	diagnose(t, o).has(doctor.StepSettings, doctor.StateNote, "others on this machine can read")
	o.Auth = link.Auth{Token: "s3cret"}
	diagnose(t, o).has(doctor.StepTLS, doctor.StateNone, "not encrypted")
	o.Servers = new(wire).startAt(t, s, ownAddress(t)).url
	diagnose(t, o).has(doctor.StepTLS, doctor.StateNote, "the password or token goes over the network as it is")
	o.Auth = link.Auth{}
	diagnose(t, o).has(doctor.StepTLS, doctor.StateNone, "not encrypted")
}

// ownAddress is an address of this machine that is none of its loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no network")
	return ""
}

// A JWT that suffices for the log-in goes to no server that was not named.
func TestSecretsOfABearer(t *testing.T) {
	t.Parallel()
	for claims, want := range map[string]bool{`{"nats":{"bearer_token":true}}`: false, `{}`: true} {
		other := newThief(t, nil)
		first := strings.TrimPrefix(impostor(t, func(c net.Conn, _ <-chan struct{}) {
			_, _ = fmt.Fprintf(c, "INFO {\"server_id\":\"A\",\"max_payload\":1024,\"nonce\":\"abc\",\"connect_urls\":[%q]}\r\n-ERR 'Maximum Connections Exceeded'\r\n", other.address)
		}), "nats://")
		err := refused(t, link.Options{Servers: first, Auth: link.Auth{Creds: credsFile(t, claims)}, Timeout: time.Second, Backend: broker.JetStream})
		if got := strings.Contains(other.heard(), `"jwt":`); err == nil || got != want {
			t.Errorf("%s: sent %v, %v", claims, got, err)
		}
	}
}
