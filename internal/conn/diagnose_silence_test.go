package conn_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/doctor"
	"nats-test/internal/conn/link"
)

func TestDiagnosisOfSilence(t *testing.T) {
	t.Parallel()
	silent := func(t *testing.T, config brokertest.Config, subject string) link.Options {
		server := brokertest.Start(t, config)
		nc := server.Nats()
		if _, err := nc.Subscribe(subject, func(*nats.Msg) {}); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		return link.Options{Servers: server.URL, Timeout: time.Second}
	}
	t.Run("NATS Streaming", func(t *testing.T) {
		o := silent(t, brokertest.Config{Plain: true, JetStream: true}, "_STAN.discover.ticketing.pings")
		diagnose(t, o).faulty(doctor.StepCluster, broker.ErrHung, "ticketing does not answer: ", "")
		o.Backend = broker.JetStream
		f := diagnose(t, o)
		f.works(broker.JetStream)
		f.has(doctor.StepCluster, doctor.StateUnknown, "does not answer")
	})
	t.Run("JetStream", func(t *testing.T) {
		o := silent(t, brokertest.Config{Plain: true}, "$JS.API.INFO")
		f := diagnose(t, o)
		f.faulty(doctor.StepJetStream, broker.ErrHung, "it does not answer: ", "")
		f.has(doctor.StepCluster, doctor.StateNone, "no NATS Streaming cluster ticketing")
	})
	t.Run("JetStream, beside NATS Streaming", func(t *testing.T) {
		f := diagnose(t, silent(t, brokertest.Config{}, "$JS.API.INFO"))
		f.works(broker.STAN)
		f.has(doctor.StepJetStream, doctor.StateUnknown, "does not answer")
	})
	t.Run("frozen", func(t *testing.T) {
		server := brokertest.Start(t, brokertest.Config{})
		server.Freeze()
		defer server.Thaw()
		f := diagnose(t, link.Options{Servers: server.URL, Timeout: 300 * time.Millisecond})
		f.faulty(doctor.StepNATS, broker.ErrHung, "says nothing", "stopped or overloaded")
		f.has(doctor.StepTCP, doctor.StateOK, "")
	})
}

func TestDiagnosisOfACluster(t *testing.T) {
	t.Parallel()
	c := brokertest.StartCluster(t, 3)
	f := diagnose(t, link.Options{Servers: c.URLs()})
	f.works(broker.JetStream)
	for _, s := range c.Servers {
		f.has(doctor.StepNATS, doctor.StateOK, fmt.Sprintf("%q of the cluster \"brokertest\"", s.Name))
	}
	c.Servers[0].Kill()
	f = diagnose(t, link.Options{Servers: c.URLs(), Timeout: time.Minute}) // there may be a leader to be chosen
	f.works(broker.JetStream)
	f.has(doctor.StepTCP, doctor.StateFault, "connection refused")
	if f.that.Server != c.Servers[1].URL {
		t.Errorf("would use %s", f.that.Server)
	}
}

func TestDiagnosisOfSettings(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]link.Options{
		"no URL":        {Servers: "nats://ada:s3cret@127.0.0.1:port"},
		"other scheme":  {Servers: "https://ada:s3cret@127.0.0.1"},
		"no creds file": {Auth: link.Auth{Creds: "missing"}},
		"no PEM":        {TLS: link.TLS{CA: "diagnose_test.go"}},
		"no prefix":     {InboxPrefix: "a.>"},
	} {
		t.Run(name, func(t *testing.T) {
			f := diagnose(t, o)
			f.faulty(doctor.StepSettings, broker.ErrConfig, "", "")
			if len(f.all) != 1 {
				t.Errorf("more findings:\n%s", f)
			}
		})
	}
	diagnose(t, link.Options{ClientID: "a b"}).faulty(doctor.StepSettings, broker.ErrName, "a b", "")
	diagnose(t, link.Options{Cluster: "a b"}).faulty(doctor.StepSettings, broker.ErrName, "a b", "")
}
