//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/stan.go"

	"nats-test/internal/brokertest"
	"nats-test/internal/brokertest/netsim"
)

// The brokers of a situation.
const (
	streaming = "stan"
	jetStream = "jetstream"
	cluster   = "cluster" // of three, with JetStream
)

// A field is the servers of a round. The zero value has none.
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
	case streaming: // a dead client is noticed after some 2 s
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
	stream := jetstream.StreamConfig{Name: channel, Subjects: []string{channel}, Replicas: replicas}
	if _, err := f.server.JetStream().CreateStream(r.ctx, stream); err != nil {
		r.Fatal(err)
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

// stored returns the whole channel, past the network and the programs.
func (r *round) stored() (all []record) {
	if r.situation.broker == streaming {
		all = r.storedStreaming()
	} else {
		all = r.storedJetStream()
	}
	r.Logf("%d events are stored", len(all))
	return all
}

func (r *round) record(data []byte, sequence uint64) record {
	var event struct{ ID string }
	if err := json.Unmarshal(data, &event); err != nil {
		r.Fatalf("#%d: %v", sequence, err)
	}
	number, err := strconv.Atoi(event.ID)
	if err != nil {
		r.Fatalf("#%d: %v", sequence, err)
	}
	return record{number, sequence}
}

const readTime = 30 * time.Second

func (r *round) storedJetStream() (all []record) {
	server := r.server
	if r.cluster != nil {
		server = r.cluster.StreamLeader(channel)
	}
	js := server.JetStream()
	stream, err := js.Stream(r.ctx, channel)
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
		all = append(all, r.record(m.Data(), meta.Sequence.Stream))
		if meta.Sequence.Stream >= last {
			return all
		}
	}
}

func (r *round) storedStreaming() (all []record) {
	last := r.lastStreaming()
	if last == 0 {
		return nil
	}
	sc, err := stan.Connect("ticketing", "soak", stan.NatsURL(r.server.URL))
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = sc.Close() }()
	came := make(chan *stan.Msg, last)
	if _, err := sc.Subscribe(channel, func(m *stan.Msg) { came <- m }, stan.DeliverAllAvailable(), stan.MaxInflight(1<<14)); err != nil {
		r.Fatal(err)
	}
	for {
		select {
		case m := <-came:
			all = append(all, r.record(m.Data, m.Sequence))
			if m.Sequence >= last {
				return all
			}
		case <-time.After(readTime):
			r.Fatalf("reading the channel: %d of %d events came", len(all), last)
		}
	}
}

// lastStreaming returns the last sequence of the channel, 0 if there is none.
func (r *round) lastStreaming() uint64 {
	client := http.Client{Timeout: readTime, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(fmt.Sprintf("%s/streaming/channelsz?channel=%s", r.server.Monitor, url.QueryEscape(channel)))
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusNotFound {
		return 0
	}
	var found struct {
		LastSeq uint64 `json:"last_seq"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&found); err != nil {
		r.Fatal(err)
	}
	return found.LastSeq
}
