package conn_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/doctor"
	"nats-test/internal/conn/link"
)

func TestDiagnosisOfTLS(t *testing.T) {
	t.Parallel()
	good, other := newAuthority(t, "good"), newAuthority(t, "other")
	later, before := time.Now().Add(100*24*time.Hour), time.Now().Add(-time.Hour)
	serverCert, serverKey := good.issue("server", later)
	soonCert, soonKey := good.issue("soon", time.Now().Add(49*time.Hour))
	expiredCert, expiredKey := good.issue("expired", before)
	clientCert, clientKey := good.issue("client", later)
	strangerCert, strangerKey := other.issue("stranger", later)
	start := func(cert, key, more string) string {
		return brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, TLS: true, Extra: fmt.Sprintf(
			"tls { cert_file: %q, key_file: %q, ca_file: %q, %s }", cert, key, good.file, more)}).URL
	}
	server := start(serverCert, serverKey, "")
	verifying := start(serverCert, serverKey, "verify: true")
	first := start(serverCert, serverKey, "handshake_first: true")
	plain := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true}).URL
	asNATS := func(url string) string { return "nats" + strings.TrimPrefix(url, "tls") }
	ca := link.TLS{CA: good.file}
	for name, test := range map[string]struct {
		o    link.Options
		want string // of what works
	}{
		"right":             {link.Options{Servers: server, TLS: ca}, `TLS 1.3, certificate "CN=server" from "CN=good" ends in 99 days, on 20`},
		"not asked for":     {link.Options{Servers: asNATS(server), TLS: ca}, `TLS 1.3, certificate "CN=server"`},
		"ends soon":         {link.Options{Servers: start(soonCert, soonKey, ""), TLS: ca}, `ends in 2 days, on \S+: renew it soon`},
		"both certificates": {link.Options{Servers: verifying, TLS: link.TLS{CA: good.file, Cert: clientCert, Key: clientKey}}, "TLS 1.3, "},
		"first":             {link.Options{Servers: first, TLS: link.TLS{CA: good.file, First: true}}, "TLS 1.3, "},
	} {
		t.Run(name, func(t *testing.T) {
			f := diagnose(t, test.o)
			f.works(broker.JetStream)
			for _, one := range f.all {
				if one.Step == doctor.StepTLS && (one.State != doctor.StateOK || !regexp.MustCompile(test.want).MatchString(one.What)) {
					t.Errorf("not %s: %+v", test.want, one)
				}
			}
			f.has(doctor.StepTLS, doctor.StateOK, "certificate")
			f.has(doctor.StepNATS, doctor.StateOK, "NATS server 2.")
		})
	}
	for name, test := range map[string]struct {
		o           link.Options
		step        doctor.Step
		words, hint string
	}{
		"authority unknown": {
			link.Options{Servers: server, TLS: link.TLS{CA: other.file}}, doctor.StepTLS,
			`certificate "CN=server" from "CN=good" ends in 99 days`, "--tlsca FILE",
		},
		"no authority": {link.Options{Servers: asNATS(server)}, doctor.StepTLS, "that authority is not trusted here", "--tlsca FILE"},
		"other host": {
			link.Options{Servers: strings.Replace(server, "127.0.0.1", "localhost", 1), TLS: ca}, doctor.StepTLS,
			`it is for "127.0.0.1", not for "localhost"`, "name the server as its certificate does",
		},
		"expired": {
			link.Options{Servers: start(expiredCert, expiredKey, ""), TLS: ca}, doctor.StepTLS,
			`certificate "CN=expired" from "CN=good" ended less than a day ago, on 20`, "renew",
		},
		"client certificate missing": {
			link.Options{Servers: verifying, TLS: ca}, doctor.StepTLS, "asks for a client certificate, and none was given", "--tlscert FILE --tlskey FILE",
		},
		"client certificate of a stranger": {
			link.Options{Servers: verifying, TLS: link.TLS{CA: good.file, Cert: strangerCert, Key: strangerKey}}, doctor.StepTLS,
			"refuses the client certificate in " + strangerCert, "its dates and its authority",
		},
		"client certificate expired": {
			link.Options{Servers: verifying, TLS: link.TLS{CA: good.file, Cert: expiredCert, Key: expiredKey}}, doctor.StepTLS,
			"refuses the client certificate in " + expiredCert, "its dates and its authority",
		},
		"key of another": {
			link.Options{Servers: server, TLS: link.TLS{CA: good.file, Cert: clientCert, Key: strangerKey}}, doctor.StepSettings,
			"private key does not match", "",
		},
		"none there":        {link.Options{Servers: strings.Replace(plain, "nats", "tls", 1)}, doctor.StepTLS, "the server offers no TLS", "use nats://"},
		"none there, asked": {link.Options{Servers: plain, TLS: ca}, doctor.StepTLS, "the server offers no TLS", "without --tlsca"},
		"first, not known":  {link.Options{Servers: first, TLS: ca, Timeout: time.Second}, doctor.StepNATS, "closes the connection when spoken to", "tls_first in a NATS context"},
		"first, not so":     {link.Options{Servers: server, TLS: link.TLS{CA: good.file, First: true}}, doctor.StepTLS, "does not begin with a TLS handshake", "leave tls_first out"},
	} {
		t.Run(name, func(t *testing.T) {
			f := diagnose(t, test.o)
			reason := broker.ErrTLS
			if test.step == doctor.StepNATS {
				reason = broker.ErrNoServer // it closes the connection
			}
			f.faulty(test.step, reason, test.words, test.hint)
		})
	}
}

// Over WebSocket nats.go does it all.
func TestDiagnosisOfWebSocket(t *testing.T) {
	t.Parallel()
	good := newAuthority(t, "good")
	cert, key := good.issue("server", time.Now().Add(time.Hour))
	start := func(block string) string {
		s := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: fmt.Sprintf("websocket { listen: \"127.0.0.1:-1\"\n%s }", block)})
		found := regexp.MustCompile(`websocket clients on (wss?://[0-9.:]+)`).FindStringSubmatch(s.Log())
		if found == nil {
			t.Fatal(s.Log())
		}
		return found[1]
	}
	plain, secure := start("no_tls: true"), start(fmt.Sprintf("tls { cert_file: %q, key_file: %q }", cert, key))
	f := diagnose(t, link.Options{Servers: plain})
	f.works(broker.JetStream)
	f.has(doctor.StepNATS, doctor.StateOK, "NATS server 2.")
	f.has(doctor.StepTLS, doctor.StateNone, "not encrypted")
	f = diagnose(t, link.Options{Servers: secure, TLS: link.TLS{CA: good.file}})
	f.works(broker.JetStream)
	f.has(doctor.StepTLS, doctor.StateOK, `certificate "CN=server"`)
	diagnose(t, link.Options{Servers: secure}).faulty(doctor.StepTLS, broker.ErrTLS, "that authority is not trusted here", "--tlsca")
	other := strings.Replace(impostor(t, says("HTTP/1.1 200 OK\r\n\r\n")), "nats", "ws", 1)
	f = diagnose(t, link.Options{Servers: other, Timeout: time.Second})
	f.faulty(doctor.StepNATS, broker.ErrRefused, "does not answer as a NATS server would", "")
}
