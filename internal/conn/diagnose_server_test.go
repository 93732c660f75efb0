package conn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/doctor"
	"nats-test/internal/conn/link"
)

// impostor returns the URL of a server that answers each connection with talk,
// and closes it then. done is closed in the end.
func impostor(t *testing.T, talk func(c net.Conn, done <-chan struct{})) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var talks sync.WaitGroup
	talks.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			talks.Go(func() {
				talk(c, done)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		close(done)
		_ = listener.Close()
		talks.Wait()
	})
	return "nats://" + listener.Addr().String()
}

// says returns an answer to every connection, which stays open then.
func says(text string) func(net.Conn, <-chan struct{}) {
	return func(c net.Conn, done <-chan struct{}) {
		_, _ = io.WriteString(c, text)
		<-done
	}
}

// endless repeats part until the other side has had enough.
func endless(begin, part string, written *atomic.Int64) func(net.Conn, <-chan struct{}) {
	return func(c net.Conn, _ <-chan struct{}) {
		_, _ = io.WriteString(c, begin)
		for chunk := bytes.Repeat([]byte(part), 4096); ; {
			n, err := c.Write(chunk)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
}

func TestDiagnosisOfOtherServers(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	var written atomic.Int64
	const info = `INFO {"server_id":"ID","version":"2.15.2","server_name":"n"}` + "\r\n"
	for name, test := range map[string]struct {
		url    string
		reason error
		words  string
	}{
		"nothing said":    {impostor(t, says("")), broker.ErrHung, "accepts the connection and says nothing for "},
		"closed at once":  {impostor(t, func(net.Conn, <-chan struct{}) {}), broker.ErrNoServer, "closes it without a word"},
		"SSH":             {impostor(t, says("SSH-2.0-OpenSSH_9.6\r\n")), broker.ErrNoServer, `not as a NATS server: "SSH-2.0-OpenSSH_9.6"`},
		"HTTP":            {strings.Replace(web.URL, "http", "nats", 1), broker.ErrNoServer, `not as a NATS server: "HTTP/1.1 400 Bad Request"`},
		"HTTPS":           {strings.Replace(secure.URL, "https", "nats", 1), broker.ErrNoServer, "says nothing, and closes the connection when spoken to"},
		"TLS alert":       {impostor(t, says("\x15\x03\x01\x00\x02\x02\x46")), broker.ErrTLS, "speaks TLS from the first byte"},
		"escapes":         {impostor(t, says("\x1b]0;owned\x07\u202e\xff\r\n")), broker.ErrNoServer, `"\x1b]0;owned\a\u202e\xff"`},
		"no line":         {impostor(t, says("hello")), broker.ErrNoServer, `not as a NATS server: "hello"`},
		"half a greeting": {impostor(t, says(`INFO {"server_id":"x`)), broker.ErrNoServer, `not as a NATS server: "INFO {`},
		"no JSON":         {impostor(t, says("INFO what\r\n")), broker.ErrNoServer, `not as a NATS server: "INFO what"`},
		"endless junk":    {impostor(t, endless("", "junk", &written)), broker.ErrNoServer, `not as a NATS server: "junkjunk`},
		"endless line":    {impostor(t, endless("INFO {", " ", &written)), broker.ErrNoServer, "a greeting of more than "},
	} {
		t.Run(name, func(t *testing.T) {
			begin, timeout := time.Now(), 3*time.Second
			if errors.Is(test.reason, broker.ErrHung) { // it is waited for in vain
				timeout = 400 * time.Millisecond
			}
			f := diagnose(t, link.Options{Servers: test.url, Timeout: timeout})
			f.faulty(doctor.StepNATS, test.reason, test.words, "")
			f.has(doctor.StepTCP, doctor.StateOK, "connected to 127.0.0.1:")
			if f.that.Fault != nil && (f.that.Fault.Hint == "" && !errors.Is(f.that.Fault.Err, broker.ErrHTTP) || len(f.that.Fault.What) > 400) {
				t.Errorf("%+v", f.that.Fault)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	// However long it may be silent first.
	patient := link.Options{Servers: strings.Replace(web.URL, "http", "nats", 1), Timeout: 5 * time.Second}
	diagnose(t, patient).faulty(doctor.StepNATS, broker.ErrHTTP, `"HTTP/1.1 400 Bad Request"`, "")
	// A greeting that comes in parts, and late, is one all the same; what
	// follows it is not what it promises.
	slow := impostor(t, func(c net.Conn, done <-chan struct{}) {
		_, _ = io.WriteString(c, info[:20])
		ping := make([]byte, 1)
		_ = c.SetReadDeadline(time.Now().Add(150 * time.Millisecond))
		_, _ = c.Read(ping) // a pause that the other side's first patience does not outlast
		_, _ = io.WriteString(c, info[20:])
		<-done
	})
	f := diagnose(t, link.Options{Servers: slow, Timeout: 2 * time.Second})
	f.has(doctor.StepNATS, doctor.StateOK, `answers as NATS server 2.15.2 "n"`)
	f.faulty(doctor.StepAuth, broker.ErrHung, "the server does not answer to the log-in", "")
	full := impostor(t, says(info+"-ERR 'maximum connections exceeded'\r\n"))
	diagnose(t, link.Options{Servers: full, Timeout: 2 * time.Second}).faulty(doctor.StepAuth, broker.ErrCrowded, "maximum connections exceeded", "")
}

func TestDiagnosisOfAFalseGreeting(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10000)
	for name, text := range map[string]string{
		"escapes": `{"version":"\u001b[31m2\n","server_name":"\u001b]0;owned\u0007","cluster":"\u202e"}`,
		"long":    fmt.Sprintf(`{"version":%q,"server_name":%q,"cluster":%q}`, long, long, long),
		"ldm":     `{"version":"2.1.0","ldm":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			f := diagnose(t, link.Options{Servers: impostor(t, says("INFO "+text+"\r\n")), Timeout: time.Second})
			f.has(doctor.StepNATS, doctor.StateOK, "answers as NATS server ")
			for _, one := range f.all {
				if all := one.What + one.Short; strings.ContainsAny(all, "\x1b\x07\n\u202e") || len(all) > 500 {
					t.Errorf("%q", all)
				}
				if name == "ldm" && one.Step == doctor.StepNATS && !strings.HasSuffix(one.What, "shutting down (lame duck mode)") {
					t.Errorf("%q", one.What)
				}
			}
		})
	}
}

// Nor does a command read any amount of what has no end.
func TestEndlessGreeting(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	var written atomic.Int64
	url := impostor(t, endless("INFO {", " ", &written))
	if err := refused(t, link.Options{Servers: url}); !errors.Is(err, broker.ErrNoServer) {
		t.Error(err)
	}
	if n := written.Load(); n > 32<<20 {
		t.Errorf("%d bytes were read", n)
	}
}

func TestDiagnosisOfAddresses(t *testing.T) {
	t.Parallel()
	f := diagnose(t, link.Options{Servers: "nats://no-such-host.invalid"})
	f.faulty(doctor.StepName, broker.ErrNoServer, "no-such-host.invalid", "check the spelling")
	f = diagnose(t, link.Options{Servers: "nats://ada:s3cret@no-such-host"})
	f.faulty(doctor.StepName, broker.ErrNoServer, "no-such-host", "make pf")
	f = diagnose(t, link.Options{Servers: "nats://ada:s3cret@127.0.0.1:1"})
	f.faulty(doctor.StepTCP, broker.ErrNoServer, "127.0.0.1:1: connection refused", "")
	f.has(doctor.StepName, doctor.StateOK, "127.0.0.1 is an address")
	f = diagnose(t, link.Options{Servers: "nats://[::1]:1"})
	f.faulty(doctor.StepTCP, broker.ErrNoServer, "[::1]:1: ", "")
	f = diagnose(t, link.Options{Servers: "127.0.0.1:1, nats://127.0.0.1:2,"})
	f.faulty(doctor.StepTCP, broker.ErrNoServer, "connection refused", "")
	if len(f.all) != 4 || f.all[0].Server != "nats://127.0.0.1:1" || f.all[2].Server != "nats://127.0.0.1:2" {
		t.Errorf("not both servers:\n%s", f)
	}
}

func TestOneOfSeveralServersIsEnough(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	silent := impostor(t, says(""))
	f := diagnose(t, link.Options{Servers: "127.0.0.1:1," + silent + "," + server.URL + ",127.0.0.1:2", Timeout: time.Second})
	f.works(broker.STAN)
	faults := 0
	for _, one := range f.all {
		if one.State == doctor.StateFault {
			faults++
		}
	}
	if faults != 3 || f.that.Server != server.URL {
		t.Errorf("%d faults, would use %s:\n%s", faults, f.that.Server, f)
	}
}

func TestDiagnosisOfCredentials(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: `authorization { user: ada, password: s3cret }`})
	open := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	token := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: `authorization { token: s3cret }`})
	within := func(url, user string) string { return strings.Replace(url, "//", "//"+user+"@", 1) }
	for _, test := range []struct {
		o     link.Options
		state doctor.State
		words string
	}{
		{link.Options{Servers: server.URL, Auth: as("ada")}, doctor.StateOK, `user "ada" with a password: accepted`},
		{link.Options{Servers: within(server.URL, "ada:s3cret")}, doctor.StateOK, `user "ada" with the password in the URL: accepted`},
		{link.Options{Servers: server.URL, Auth: as("bob")}, doctor.StateFault, `user "bob" with a password: refused: nats: Authorization Violation`},
		{link.Options{Servers: server.URL}, doctor.StateFault, "no credentials were given, and the server asks for them"},
		{link.Options{Servers: open.URL, Auth: as("ada")}, doctor.StateOK, `user "ada" with a password, which the server did not ask for`},
		{link.Options{Servers: token.URL, Auth: link.Auth{Token: "s3cret"}}, doctor.StateOK, "a token: accepted"},
		{link.Options{Servers: within(token.URL, "s3cret")}, doctor.StateOK, "the token in the URL: accepted"},
		{link.Options{Servers: within(token.URL, "wr0ng-s3cret")}, doctor.StateFault, "the token in the URL: refused"},
	} {
		f := diagnose(t, test.o)
		f.has(doctor.StepAuth, test.state, test.words)
		if test.state == doctor.StateFault {
			f.faulty(doctor.StepAuth, broker.ErrAuth, test.words, "")
		} else {
			f.works(broker.JetStream)
		}
	}
}

// A diagnosis ends with its context, wherever it is.
func TestDiagnosisIsInterrupted(t *testing.T) {
	t.Parallel()
	brokertest.NoLeaks(t)
	reached := make(chan struct{}, 1)
	url := impostor(t, func(c net.Conn, done <-chan struct{}) {
		reached <- struct{}{}
		<-done
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		<-reached
		stop()
	}()
	begin := time.Now()
	found := doctor.Diagnose(ctx, link.Options{Servers: url + ",127.0.0.1:1", Timeout: long}, nil, func(doctor.Finding) {})
	if took := time.Since(begin); took > 10*time.Second || found.Backend != "" {
		t.Errorf("took %v, found %+v", took, found)
	}
}
