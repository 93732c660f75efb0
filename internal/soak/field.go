//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/stan.go"

	"nats-test/internal/brokertest"
	"nats-test/internal/brokertest/netsim"
)

// The brokers for situations.
const (
	streaming = "stan"
	jetStream = "jetstream"
	cluster   = "cluster" // three servers, with JetStream
)

// A field is the set of servers of a round, empty at first.
type field struct {
	url     string             // where the programs connect
	server  *brokertest.Server // the only one, or any
	network *netsim.Network
	cluster *brokertest.Cluster
}

// start starts the servers, with an empty channel.
func (f *field) start(r *round) {
	replicas := 1
	switch r.situation.broker {
	case streaming: // a dead client is noticed after about 2 s
		f.server = brokertest.Start(r, brokertest.Config{StreamingExtra: "hb_interval: \"1s\"\n  hb_timeout: \"1s\"\n  hb_fail_count: 1"})
	case jetStream:
		f.server = brokertest.Start(r, brokertest.Config{Plain: true, JetStream: true})
	case cluster:
		f.cluster = brokertest.StartCluster(r, 3)
		f.server, f.url, replicas = f.cluster.Servers[0], f.cluster.URLs(), 3
	}
	if f.cluster == nil {
		f.network = f.server.Network()
		f.url = f.network.URL
	}
	if r.situation.broker == streaming {
		return
	}
	for _, name := range []string{channel, deadLetters} {
		stream := jetstream.StreamConfig{Name: name, Subjects: []string{name}, Replicas: replicas}
		if _, err := f.server.JetStream().CreateStream(r.ctx, stream); err != nil {
			r.Fatal(err)
		}
	}
}

// restore ends all faults.
func (f *field) restore() {
	if f.network == nil {
		return
	}
	f.network.Delay(0)
	f.network.Throttle(0, 0)
	f.network.BlackHole(false)
	f.network.Refuse(false)
	f.network.Lose(nil, 0)
}

// A message is an event as a broker stores it.
type message struct {
	sequence uint64
	header   nats.Header // none on NATS Streaming
	data     []byte
}

// stored returns the whole channel, read without the network and the programs under
// test.
func (r *round) stored() (all []record) {
	for _, m := range r.messages(channel) {
		all = append(all, r.record(m))
	}
	return all
}

// messages returns all that is stored on a subject.
func (r *round) messages(subject string) (all []message) {
	if r.situation.broker == streaming {
		all = r.storedStreaming(subject)
	} else {
		all = r.storedJetStream(subject)
	}
	r.Logf("%d events are stored on %s", len(all), subject)
	return all
}

func (r *round) record(m message) record {
	var event struct{ ID string }
	if err := json.Unmarshal(m.data, &event); err != nil {
		r.Fatalf("#%d: %v", m.sequence, err)
	}
	number, err := strconv.Atoi(event.ID)
	if err != nil {
		r.Fatalf("#%d: %v", m.sequence, err)
	}
	return record{number, m.sequence}
}

const readTime = 30 * time.Second

func (r *round) storedJetStream(subject string) (all []message) {
	server := r.server
	if r.cluster != nil {
		server = r.cluster.StreamLeader(subject)
	}
	js := server.JetStream()
	stream, err := js.Stream(r.ctx, subject)
	if err != nil {
		r.Fatal(err)
	}
	last := stream.CachedInfo().State.LastSeq
	if last == 0 {
		return nil
	}
	consumer, err := stream.OrderedConsumer(r.ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		r.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		r.Fatal(err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextMaxWait(readTime))
		if err != nil {
			r.Fatalf("reading the stream after %d of %d events: %v", len(all), last, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			r.Fatal(err)
		}
		all = append(all, message{meta.Sequence.Stream, m.Headers(), m.Data()})
		if meta.Sequence.Stream >= last {
			return all
		}
	}
}

func (r *round) storedStreaming(subject string) (all []message) {
	var stored struct {
		LastSeq uint64 `json:"last_seq"`
	}
	r.channelsz(subject, &stored)
	last := stored.LastSeq
	if last == 0 {
		return nil
	}
	sc, err := stan.Connect("ticketing", "soak", stan.NatsURL(r.server.URL))
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = sc.Close() }()
	came := make(chan *stan.Msg, last)
	if _, err := sc.Subscribe(subject, func(m *stan.Msg) { came <- m }, stan.DeliverAllAvailable(), stan.MaxInflight(1<<14)); err != nil {
		r.Fatal(err)
	}
	for {
		select {
		case m := <-came:
			all = append(all, message{m.Sequence, nil, m.Data})
			if m.Sequence >= last {
				return all
			}
		case <-time.After(readTime):
			r.Fatalf("reading the channel: %d of %d events came", len(all), last)
		}
	}
}

// left returns how many events the group of a channel has not acked, and how many it
// has not got.
func (r *round) left(subject string) (unacked, waiting int) {
	if r.situation.broker != streaming {
		stream, err := r.server.JetStream().Stream(r.ctx, subject)
		if err != nil {
			r.Fatal(err)
		}
		all := stream.ListConsumers(r.ctx)
		for info := range all.Info() {
			unacked, waiting = unacked+info.NumAckPending, waiting+int(info.NumPending)
		}
		if err := all.Err(); err != nil {
			r.Fatal(err)
		}
		return unacked, waiting
	}
	var is struct {
		LastSeq       int `json:"last_seq"`
		Subscriptions []struct {
			LastSent int `json:"last_sent"`
			Pending  int `json:"pending_count"`
		}
	}
	r.channelsz(subject, &is)
	sent := 0
	for _, s := range is.Subscriptions {
		unacked += s.Pending
		sent = max(sent, s.LastSent)
	}
	return unacked, is.LastSeq - sent
}

// channelsz asks NATS Streaming for a channel. answer stays as it is if there is none.
func (r *round) channelsz(subject string, answer any) {
	client := http.Client{Timeout: readTime, Transport: &http.Transport{DisableKeepAlives: true}}
	found, err := client.Get(fmt.Sprintf("%s/streaming/channelsz?subs=1&channel=%s", r.server.Monitor, url.QueryEscape(subject)))
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = found.Body.Close() }()
	if found.StatusCode == http.StatusNotFound {
		return
	}
	if err := json.NewDecoder(found.Body).Decode(answer); err != nil {
		r.Fatal(err)
	}
}
