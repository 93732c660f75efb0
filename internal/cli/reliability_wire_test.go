//go:build unix

package cli_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/stan.go/pb"

	"nats-test/internal/brokertest"
)

// A wire is a proxy that records which event was sent with which message ID, as
// nothing else reports it.
type wire struct {
	URL string

	mu     sync.Mutex
	to     string         // where it leads
	open   int            // connections
	events map[string]int // by message ID
	sent   []int          // on JetStream, some more than once
	wrong  error
}

func newWire(t testing.TB, s *brokertest.Server) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{URL: "nats://" + listener.Addr().String(), events: make(map[string]int)}
	w.lead(s)
	var copies sync.WaitGroup
	copies.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", w.target())
			if err != nil {
				_ = near.Close()
				continue
			}
			copies.Go(func() { w.carry(near, far) })
		}
	})
	t.Cleanup(func() { // after the programs, and before the server
		_ = listener.Close()
		copies.Wait()
	})
	return w
}

// lead makes the next connections end at another server.
func (w *wire) lead(s *brokertest.Server) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = strings.TrimPrefix(s.URL, "nats://")
}

func (w *wire) target() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to
}

// carry passes on the end of either side, and itself ends when both have.
func (w *wire) carry(near, far net.Conn) {
	w.count(1)
	defer w.count(-1)
	var copies sync.WaitGroup
	along, read := io.Pipe()
	pipe := func(to net.Conn, from io.Reader) {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
	}
	copies.Go(func() { pipe(near, far) })
	copies.Go(func() {
		pipe(far, io.TeeReader(near, read))
		_ = read.Close()
	})
	copies.Go(func() {
		err := w.read(bufio.NewReader(along))
		_, _ = io.Copy(io.Discard, along) // else the copying would stop
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.wrong = err
		}
	})
	copies.Wait()
	_ = near.Close()
	_ = far.Close()
}

func (w *wire) count(change int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open += change
}

// awaitOpen waits for n open connections.
func (w *wire) awaitOpen(t testing.TB, n int) {
	t.Helper()
	brokertest.Eventually(t, fmt.Sprintf("%d connections are open", n), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.open == n
	})
}

// read reads a NATS client's data: lines, and after a PUB or HPUB line a payload
// whose size is the last word of the line.
func (w *wire) read(in *bufio.Reader) error {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "PUB" && words[0] != "HPUB" {
			continue
		}
		size, err := strconv.Atoi(words[len(words)-1])
		if err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		payload := make([]byte, size+2)
		if _, err := io.ReadFull(in, payload); err != nil {
			return err
		}
		if err := w.note(words, payload[:size]); err != nil {
			return err
		}
	}
}

// note takes an event: of NATS Streaming in an envelope, of JetStream as it is,
// with its ID in a header.
func (w *wire) note(words []string, payload []byte) error {
	var id string
	var event []byte
	switch subject := words[1]; {
	case words[0] == "PUB" && strings.HasPrefix(subject, "_STAN.pub."):
		var message pb.PubMsg
		if err := message.Unmarshal(payload); err != nil {
			return err
		}
		id, event = message.Guid, message.Data
	case words[0] == "HPUB" && subject == channel:
		size, err := strconv.Atoi(words[len(words)-2])
		if err != nil {
			return err
		}
		header, err := nats.DecodeHeadersMsg(payload[:size])
		if err != nil {
			return err
		}
		id, event = header.Get(jetstream.MsgIDHeader), payload[size:]
	default:
		return nil
	}
	var data struct {
		ID int `json:",string"`
	}
	if err := json.Unmarshal(event, &data); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, found := w.events[id]; found && before != data.ID {
		return fmt.Errorf("the events %d and %d have one ID", before, data.ID)
	}
	w.events[id] = data.ID
	w.sent = append(w.sent, data.ID)
	return nil
}

// acked returns the numbers of the events in the output of publish -o json.
func (w *wire) acked(p *process) []int {
	p.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wrong != nil {
		p.t.Fatalf("reading along: %v", w.wrong)
	}
	var acked []int
	for _, line := range p.out.lines() {
		var result struct{ Subject, ID string }
		if err := json.Unmarshal([]byte(line), &result); err != nil || result.Subject != channel {
			p.t.Fatalf("%s: %s: %v", p, line, err)
		}
		event, found := w.events[result.ID]
		if !found {
			p.t.Fatalf("%s: acked, and never sent: %s", p, line)
		}
		acked = append(acked, event)
	}
	return acked
}

func (w *wire) all() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}
