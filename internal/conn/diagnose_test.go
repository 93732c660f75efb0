package conn_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/doctor"
	"nats-test/internal/conn/link"
)

// findings are those of one diagnosis.
type findings struct {
	t    *testing.T
	all  []doctor.Finding
	that doctor.Diagnosis
}

// diagnose collects the findings, none of which may hold a secret.
func diagnose(t *testing.T, o link.Options, subjects ...string) *findings {
	t.Helper()
	f := &findings{t: t}
	f.that = doctor.Diagnose(t.Context(), o, subjects, func(one doctor.Finding) {
		f.all = append(f.all, one)
		if text := fmt.Sprintf("%+v", one); strings.Contains(text, "s3cret") {
			t.Errorf("a secret shows: %s", text)
		}
		if (one.State == doctor.StateFault) != (one.Err != nil) || one.What == "" {
			t.Errorf("half a finding: %+v", one)
		}
	})
	return f
}

// has fails the test unless a step was found in a state, with words of it.
func (f *findings) has(step doctor.Step, state doctor.State, words string) {
	f.t.Helper()
	for _, one := range f.all {
		if one.Step == step && one.State == state && strings.Contains(one.What, words) {
			return
		}
	}
	f.t.Errorf("no %s %s with %q:\n%s", state, step, words, f)
}

// faulty fails the test unless the fault that counts is one of step, wraps
// reason, and is told with the words given and with a hint of its own.
func (f *findings) faulty(step doctor.Step, reason error, words, hint string) {
	f.t.Helper()
	switch fault := f.that.Fault; {
	case fault == nil:
		f.t.Errorf("no fault:\n%s", f)
	case fault.Step != step || !errors.Is(fault.Err, reason) || !strings.Contains(fault.What, words) || !strings.Contains(fault.Hint, hint):
		f.t.Errorf("not a fault of %s (%v) with %q and %q: %+v", step, reason, words, hint, *fault)
	}
	if f.that.Backend != "" && step != doctor.StepStream {
		f.t.Errorf("would use %q", f.that.Backend)
	}
}

// works fails the test unless a backend would be used.
func (f *findings) works(b broker.Backend) {
	f.t.Helper()
	if f.that.Fault != nil || f.that.Backend != b {
		f.t.Errorf("not %s:\n%s", b, f)
	}
}

func (f *findings) String() string {
	var lines []string
	for _, one := range f.all {
		lines = append(lines, fmt.Sprintf("%s %s: %s (%s) hint: %s err: %v", one.State, one.Step, one.What, one.Short, one.Hint, one.Err))
	}
	return strings.Join(lines, "\n")
}

func TestDiagnosisOfWhatWorks(t *testing.T) {
	t.Parallel()
	both := brokertest.Start(t, brokertest.Config{JetStream: true})
	js := both.JetStream()
	createStream(t, js, conn.NewStream("orders", 1))
	createStream(t, js, conn.NewStream("tickets", 1))
	for name, test := range map[string]struct {
		backend broker.Backend
		want    broker.Backend
	}{
		"found out": {broker.Auto, broker.STAN}, "stan": {broker.STAN, broker.STAN}, "jetstream": {broker.JetStream, broker.JetStream},
	} {
		t.Run(name, func(t *testing.T) {
			brokertest.NoLeaks(t)
			f := diagnose(t, link.Options{Servers: both.URL, Backend: test.backend}, "orders", "tickets")
			f.works(test.want)
			f.has(doctor.StepName, doctor.StateOK, "127.0.0.1 is an address")
			f.has(doctor.StepTCP, doctor.StateOK, "connected to 127.0.0.1:")
			f.has(doctor.StepNATS, doctor.StateOK, "answers as NATS server 2.")
			f.has(doctor.StepTLS, doctor.StateNone, "not encrypted")
			f.has(doctor.StepAuth, doctor.StateOK, "no credentials, and the server lets us in")
			f.has(doctor.StepCluster, doctor.StateOK, "ticketing answers in ")
			f.has(doctor.StepJetStream, doctor.StateOK, "enabled: 2 streams, 0 consumers, ")
			if f.that.Server != both.URL || len(f.that.Servers) != 1 || f.that.Servers[0] != js.Conn().ConnectedServerId() {
				t.Errorf("%+v", f.that)
			}
			if test.want == broker.JetStream {
				f.has(doctor.StepStream, doctor.StateOK, "orders is in orders, tickets is in tickets")
			} else if slices.ContainsFunc(f.all, func(one doctor.Finding) bool { return one.Step == doctor.StepStream }) {
				t.Errorf("NATS Streaming has no streams:\n%s", f)
			}
		})
	}
	t.Run("localhost", func(t *testing.T) {
		f := diagnose(t, link.Options{Servers: strings.Replace(both.URL, "127.0.0.1", "localhost", 1)})
		f.works(broker.STAN)
		f.has(doctor.StepName, doctor.StateOK, "localhost is ")
	})
}

func TestDiagnosisOfStreams(t *testing.T) {
	t.Parallel()
	_, js := onJetStream(t, withUsers("names", `publish: { deny: "$JS.API.STREAM.NAMES" }`), admin)
	url := js.Conn().ConnectedUrl()
	createStream(t, js, conn.NewStream("orders", 1))
	o := link.Options{Servers: url, Auth: as("admin")}
	f := diagnose(t, o, "orders", "tickets")
	f.faulty(doctor.StepStream, broker.ErrNoStream, "no stream stores tickets; orders is in orders", "`listen tickets --create-stream`")
	many := []string{"orders"}
	for i := range 30 {
		many = append(many, fmt.Sprint("s", i))
	}
	f = diagnose(t, o, many...)
	f.faulty(doctor.StepStream, broker.ErrNoStream, "s9 and 20 others; orders is in orders", "`listen SUBJECT... --create-stream`")
	for _, subject := range many[1:] {
		createStream(t, js, conn.NewStream(subject, 1))
	}
	f = diagnose(t, o, many...)
	f.works(broker.JetStream)
	f.has(doctor.StepStream, doctor.StateOK, "31 subjects are in 31 streams")
	f = diagnose(t, link.Options{Servers: url, Auth: as("names"), Timeout: long}, "orders")
	f.faulty(doctor.StepStream, broker.ErrAuth, "asking for the stream of orders: ", "$JS.API.STREAM.NAMES")
}

// A diagnosis and a command come to the same end.
func TestDiagnosisAgreesWithDial(t *testing.T) {
	t.Parallel()
	users := withUsers("stan", `publish: { deny: "_STAN.>" }`, "info", `publish: { deny: ["_STAN.>", "$JS.API.INFO"] }`,
		"jetstream", `publish: { deny: "$JS.>" }`, "none", `publish: "foo"`, "inbox", `subscribe: { deny: "_INBOX.>" }`,
		"connecting", `publish: { deny: "_STAN.discover.ticketing" }`)
	servers := map[string]*brokertest.Server{
		"NATS Streaming": brokertest.Start(t, brokertest.Config{}),
		"plain":          brokertest.Start(t, brokertest.Config{Plain: true}),
		"both, users": brokertest.Start(t, brokertest.Config{
			JetStream: true, Extra: users, StreamingExtra: "user: admin\n  password: s3cret",
		}),
		"JetStream, users": brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: users}),
		"plain, users":     brokertest.Start(t, brokertest.Config{Plain: true, Extra: users}),
		"accounts": brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: `accounts {
			WITH { jetstream: enabled, users: [ { user: with, password: s3cret } ] }
			WITHOUT { users: [ { user: without, password: s3cret } ] }
		}`}),
	}
	reasons := []error{
		broker.ErrNoServer, broker.ErrNoCluster, broker.ErrNoJetStream, broker.ErrHung, broker.ErrAuth, broker.ErrTLS,
		broker.ErrClientIDTaken, broker.ErrName, broker.ErrConfig, broker.ErrRefused,
	}
	agree := func(name, user string, backend broker.Backend, cluster string) {
		t.Run(fmt.Sprintf("%s %s %s %s", name, user, backend, cluster), func(t *testing.T) {
			t.Parallel()
			// stan.go waits for the whole time-out where it is denied.
			o := link.Options{Servers: servers[name].URL, Backend: backend, Cluster: cluster, Timeout: time.Second}
			if user != "" {
				o.Auth = as(user)
			}
			brief, full := diagnose(t, o), diagnose(t, o, "orders") // which may lack a stream
			session, err := conn.Dial(t.Context(), o)
			if err == nil {
				defer func() { _ = session.Close() }()
				brief.works(session.Backend())
				if full.that.Backend != session.Backend() {
					t.Errorf("Dial takes %s:\n%s", session.Backend(), full)
				}
				return
			}
			if full.that.Fault == nil {
				t.Fatalf("Dial says %v:\n%s", err, full)
			}
			for _, reason := range reasons {
				if errors.Is(err, reason) != errors.Is(full.that.Fault.Err, reason) {
					t.Errorf("%v: Dial says %v:\n%s", reason, err, full)
				}
			}
		})
	}
	for _, backend := range []broker.Backend{broker.Auto, broker.STAN, broker.JetStream} {
		for _, cluster := range []string{"ticketing", "other"} {
			agree("NATS Streaming", "", backend, cluster)
			agree("plain", "", backend, cluster)
		}
		agree("accounts", "with", backend, "ticketing")
		agree("accounts", "without", backend, "ticketing")
		for _, user := range []string{"admin", "stan", "info", "jetstream", "none", "inbox", "connecting"} {
			agree("both, users", user, backend, "ticketing")
			if backend == broker.Auto {
				agree("JetStream, users", user, backend, "ticketing")
				agree("plain, users", user, backend, "ticketing")
			}
		}
	}
}

func TestDiagnosisOfWhatIsNotNeeded(t *testing.T) {
	t.Parallel()
	both := brokertest.Start(t, brokertest.Config{JetStream: true})
	streaming := brokertest.Start(t, brokertest.Config{})
	plain := brokertest.Start(t, brokertest.Config{Plain: true})
	f := diagnose(t, link.Options{Servers: both.URL, Cluster: "other"})
	f.works(broker.JetStream)
	f.has(doctor.StepCluster, doctor.StateNone, "no NATS Streaming cluster other answers")
	f = diagnose(t, link.Options{Servers: streaming.URL})
	f.works(broker.STAN)
	f.has(doctor.StepJetStream, doctor.StateNone, "not enabled")
	f = diagnose(t, link.Options{Servers: streaming.URL, Backend: broker.JetStream})
	f.faulty(doctor.StepJetStream, broker.ErrNoJetStream, "not enabled", "")
	f.has(doctor.StepCluster, doctor.StateOK, "ticketing answers")
	f = diagnose(t, link.Options{Servers: both.URL, Cluster: "other", Backend: broker.STAN})
	f.faulty(doctor.StepCluster, broker.ErrNoCluster, "no NATS Streaming cluster other answers", "")
	f.has(doctor.StepJetStream, doctor.StateOK, "enabled")
	f = diagnose(t, link.Options{Servers: plain.URL})
	f.faulty(doctor.StepCluster, broker.ErrNoCluster, "nor JetStream", "")
	f.faulty(doctor.StepCluster, broker.ErrNoJetStream, "", "")
	f.has(doctor.StepJetStream, doctor.StateNone, "not enabled")
}

func TestDiagnosisOfMissingPermissions(t *testing.T) {
	t.Parallel()
	jetStream := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true, Extra: withUsers(
		"jetstream", `publish: { deny: "$JS.>" }`, "none", `publish: "foo"`)})
	f := diagnose(t, link.Options{Servers: jetStream.URL, Auth: as("jetstream"), Timeout: long})
	f.works(broker.JetStream) // it may be only the question that is denied
	f.has(doctor.StepJetStream, doctor.StateUnknown, "asking for it is not permitted: ")
	f = diagnose(t, link.Options{Servers: jetStream.URL, Auth: as("jetstream"), Timeout: long}, "orders")
	f.faulty(doctor.StepStream, broker.ErrAuth, "asking for the stream of orders", "$JS.API.STREAM.NAMES")
	f = diagnose(t, link.Options{Servers: jetStream.URL, Auth: as("none"), Timeout: long})
	f.faulty(doctor.StepJetStream, broker.ErrAuth, "not permitted", "")
	f.has(doctor.StepCluster, doctor.StateUnknown, "asking for ticketing is not permitted")
}

func TestDiagnosisOfAClientIDTaken(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{})
	dial(t, link.Options{Servers: server.URL, ClientID: "me"})
	f := diagnose(t, link.Options{Servers: server.URL, ClientID: "me"}, "orders")
	f.faulty(doctor.StepCluster, broker.ErrClientIDTaken, "ticketing answers, but takes no client: ", "")
}
