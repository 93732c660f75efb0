package conn_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/doctor"
	"nats-test/internal/conn/link"
)

// A thief looks like a NATS server, and keeps what clients say.
type thief struct {
	address string
	tries   atomic.Int32
	mu      sync.Mutex
	logins  []string
}

// newThief starts one. With a certificate it asks for TLS.
func newThief(t *testing.T, certificate *tls.Certificate) *thief {
	t.Helper()
	h := &thief{}
	url := impostor(t, func(c net.Conn, done <-chan struct{}) {
		h.tries.Add(1)
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = fmt.Fprintf(c, `INFO {"server_id":"X","version":"2.10.0","max_payload":1048576,"nonce":"abcdefgh","headers":true,"tls_required":%v}`+"\r\n", certificate != nil)
		if certificate != nil {
			c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*certificate}})
		}
		for r := bufio.NewReader(c); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			h.mu.Lock()
			h.logins = append(h.logins, line)
			h.mu.Unlock()
			if strings.HasPrefix(line, "PING") {
				_, _ = io.WriteString(c, "PONG\r\n")
			}
		}
	})
	h.address = strings.TrimPrefix(url, "nats://")
	return h
}

func (h *thief) heard() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.logins, "")
}

const login = `authorization { user: ada, password: s3cret }`

// tells is a lie: the server is one of a cluster, whose other server is at address.
func tells(address string) func([]byte) []byte {
	return func(message []byte) []byte {
		return bytes.Replace(message, []byte("INFO {"), fmt.Appendf(nil, `INFO {"connect_urls":[%q],`, address), 1)
	}
}

// A server names another: a password that was meant for the first goes there
// only if it is allowed. What reveals no secret may go.
func TestSecretsOfAdvertisedServers(t *testing.T) {
	t.Parallel()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	ada := link.Auth{User: "ada", Password: "s3cret"}
	for name, test := range map[string]struct {
		extra, user string
		auth        link.Auth
		trust       bool
		want        string // what comes to the other server; "" for nothing
	}{
		"password":          {login, "", ada, false, ""},
		"token":             {"authorization { token: s3cret }", "", link.Auth{Token: "s3cret"}, false, ""},
		"password in URL":   {login, "ada:s3cret@", link.Auth{}, false, ""},
		"password trusted":  {login, "", ada, true, `"pass":"s3cret"`},
		"nkey":              {"authorization { users: [{nkey: " + public + "}] }", "", link.Auth{NKey: file}, false, `"nkey":"` + public},
		"token beside nkey": {"authorization { users: [{nkey: " + public + "}] }", "", link.Auth{NKey: file, Token: "s3cret"}, false, ""},
		"none":              {"", "", link.Auth{}, false, "CONNECT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: test.extra})
			other, network := newThief(t, nil), s.Network()
			network.Lie(tells(other.address))
			said := make(chan string, 100)
			session := dial(t, link.Options{
				Servers: "nats://" + test.user + strings.TrimPrefix(network.URL, "nats://"), Auth: test.auth, TrustAdvertised: test.trust,
				Timeout: time.Second, Notify: func(line string) { said <- line },
			})
			network.Refuse(true)
			network.Cut()
			if test.want != "" {
				brokertest.Eventually(t, "the other server is tried", func() bool { return strings.Contains(other.heard(), test.want) })
				return
			}
			await(t, said, "no password or token is sent to servers that you did not name: another server named "+other.address)
			network.Lie(nil)
			network.Refuse(false)
			await(t, said, "connected again")
			if heard := other.heard(); heard != "" {
				t.Errorf("the other server heard %q", heard)
			}
			if err := session.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// await waits until a line with words is said.
func await(t *testing.T, said <-chan string, words string) {
	t.Helper()
	for limit := time.After(20 * time.Second); ; {
		select {
		case line := <-said:
			if strings.Contains(line, words) {
				return
			}
		case <-limit:
			t.Fatalf("nobody says %q", words)
		}
	}
}

// A listener that joins again and again says it once.
func TestUnnamedServerIsToldOnce(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: login})
	other, network := newThief(t, nil), s.Network()
	network.Lie(tells(other.address))
	said := make(chan string, 100)
	o := options(t, s)
	o.Servers, o.Auth = network.URL, link.Auth{User: "ada", Password: "s3cret"}
	o.Notify = func(line string) { said <- line }
	r := run(t, member(o, "orders"), &recorder{})
	network.Refuse(true)
	network.Cut()
	brokertest.Eventually(t, "the other server is tried three times", func() bool { return other.tries.Load() > 2 })
	r.stopCleanly()
	lines := 0
	for len(said) > 0 {
		if strings.Contains(<-said, "no password or token is sent to") {
			lines++
		}
	}
	if lines != 1 || other.heard() != "" {
		t.Errorf("%d lines; the other server heard %q", lines, other.heard())
	}
}

// A server that refuses the log-in names another: that gets nothing, and the
// reason stays that of the first.
func TestSecretsOfAServerNamedBeforeTheLogin(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: login})
	other, network := newThief(t, nil), s.Network()
	network.Lie(tells(other.address))
	err := refused(t, link.Options{Servers: network.URL, Auth: link.Auth{User: "ada", Password: "wr0ng"}, Timeout: time.Second})
	if !errors.Is(err, broker.ErrAuth) || !strings.Contains(err.Error(), "Authorization Violation") {
		t.Errorf("got %v", err)
	}
	if heard := other.heard(); heard != "" {
		t.Errorf("the other server heard %q", heard)
	}
}

// With TLS, a server that was not named gets the password if its certificate is
// for a name that was given; one for any other name is none.
func TestSecretsOfAdvertisedServersWithTLS(t *testing.T) {
	t.Parallel()
	good := newAuthority(t, "good")
	cert, key := good.issue("server", time.Now().Add(time.Hour))
	otherCert, otherKey := good.write("other", &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "other"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, good.newKey())
	for name, test := range map[string]struct {
		cert, key, host, want string
	}{
		"same name":  {cert, key, "127.0.0.1", "s3cret"},
		"other name": {otherCert, otherKey, "localhost", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, TLS: true,
				Extra: login + fmt.Sprintf("\ntls { cert_file: %q, key_file: %q }", cert, key)})
			s.URL = strings.Replace(s.URL, "tls", "nats", 1) // for the wire
			pair, err := tls.LoadX509KeyPair(test.cert, test.key)
			if err != nil {
				t.Fatal(err)
			}
			other := newThief(t, &pair)
			_, port, _ := net.SplitHostPort(other.address)
			w := (&wire{tells: net.JoinHostPort(test.host, port)}).start(t, s)
			said := make(chan string, 100)
			dial(t, link.Options{
				Servers: "tls" + strings.TrimPrefix(w.url, "nats"), Auth: link.Auth{User: "ada", Password: "s3cret"}, TLS: link.TLS{CA: good.file},
				Timeout: time.Second, Notify: func(line string) { said <- line },
			})
			s.Kill()
			if test.want != "" {
				brokertest.Eventually(t, "the other server is tried", func() bool { return strings.Contains(other.heard(), test.want) })
				return
			}
			await(t, said, `its certificate is for "localhost"`)
			if heard := other.heard(); heard != "" {
				t.Errorf("the other server heard %q", heard)
			}
		})
	}
}

// A listener goes on at another server of a cluster that advertises addresses,
// with certificates for the one name that was given.
func TestListenerGoesOnWithTLS(t *testing.T) {
	t.Parallel()
	good := newAuthority(t, "good")
	cert, key := good.write("server", &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, good.newKey())
	config := brokertest.Config{Plain: true, JetStream: true, TLS: true, Extra: login + fmt.Sprintf("\ntls { cert_file: %q, key_file: %q }", cert, key)}
	first, second := brokertest.Start(t, config), brokertest.Start(t, config)
	first.URL = strings.Replace(first.URL, "tls", "nats", 1) // for the wire
	w := (&wire{tells: strings.TrimPrefix(second.URL, "tls://")}).start(t, first)
	o := options(t, first)
	o.Servers, o.TLS = strings.Replace(w.url, "nats://127.0.0.1", "tls://localhost", 1), link.TLS{CA: good.file}
	o.Auth = link.Auth{User: "ada", Password: "s3cret"}
	again := make(chan bool, 10)
	l := member(o, "orders")
	l.Joined = func(_ []broker.Place, joinedAgain bool) { again <- joinedAgain }
	r := run(t, l, &recorder{})
	<-again
	first.Kill()
	select {
	case <-again:
	case <-time.After(30 * time.Second):
		t.Error("not joined again")
	}
	r.stopCleanly()
}

// With tls:// for one server, none gets a word in clear: neither one beside it,
// whatever it says, nor while a diagnosis looks.
func TestNoSecretInClearBesideTLS(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"tls://%s", "tls://127.0.0.1:1,%s", "nats://%s,tls://127.0.0.1:1", "%s, tls://127.0.0.1:1"} {
		other := newThief(t, nil)
		o := link.Options{Servers: fmt.Sprintf(url, other.address), Auth: link.Auth{User: "ada", Password: "s3cret"}, Timeout: time.Second}
		if err := refused(t, o); err == nil {
			t.Errorf("%s: connected", url)
		}
		diagnose(t, o).has(doctor.StepTLS, doctor.StateFault, "the server offers no TLS")
		if heard := other.heard(); heard != "" {
			t.Errorf("%s: the server heard %q", url, heard)
		}
		if where := o.Where(); strings.Contains(where, "nats://") {
			t.Errorf("would connect to %s", where)
		}
	}
}

func TestDiagnosisWarnsOfUnnamedServers(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: login})
	network := s.Network()
	network.Lie(tells("127.0.0.1:1"))
	o := link.Options{Servers: network.URL, Auth: link.Auth{User: "ada", Password: "s3cret"}}
	diagnose(t, o).has(doctor.StepAuth, doctor.StateNote, "the server names 127.0.0.1:1, and no password or token is sent there")
	network.Lie(tells(strings.TrimPrefix(network.URL, "nats://")))
	o.Servers = strings.Replace(network.URL, "127.0.0.1", "localhost", 1) // that is the same
	if text := diagnose(t, o).String(); strings.Contains(text, "the server names") {
		t.Errorf("warned of the one that was named:\n%s", text)
	}
	network.Lie(tells("127.0.0.1:1"))
	o.TrustAdvertised = true
	if text := diagnose(t, o).String(); strings.Contains(text, "the server names") {
		t.Errorf("warned all the same:\n%s", text)
	}
}
