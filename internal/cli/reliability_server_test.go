//go:build unix

package cli_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/stan.go/pb"

	"nats-test/internal/brokertest"
)

// stored returns the numbers of all events in the channel, in its order.
func stored(t *testing.T, s *brokertest.Server) []int {
	t.Helper()
	p := runProcess(t, s, "listen", channel, "--until-end", "-o", "json")
	p.endsWith(0, 30*time.Second)
	var events []int
	for i, e := range handledIn(t, p.out.lines()) {
		n, err := strconv.Atoi(e.Data.ID)
		if err != nil || e.Sequence != i+1 {
			t.Fatalf("%s: line %d: %+v", p, i+1, e)
		}
		events = append(events, n)
	}
	return events
}

// numbered returns from to to.
func numbered(from, to int) []int {
	var n []int
	for i := from; i <= to; i++ {
		n = append(n, i)
	}
	return n
}

// increasing reports whether events are in order, each once.
func increasing(events []int) bool {
	return slices.IsSorted(events) && len(slices.Compact(slices.Clone(events))) == len(events)
}

// A wire is a proxy that reads along: which event was sent under which message
// ID is told nowhere else.
type wire struct {
	URL string

	mu     sync.Mutex
	open   int            // connections
	events map[string]int // by message ID
	sent   []int
	wrong  error
}

func newWire(t *testing.T, s *brokertest.Server) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{URL: "nats://" + listener.Addr().String(), events: make(map[string]int)}
	var copies sync.WaitGroup
	copies.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "nats://"))
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
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
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

// awaitClosed waits until the program has noticed that the server is gone.
func (w *wire) awaitClosed(t *testing.T) {
	t.Helper()
	brokertest.Eventually(t, "the program closed its connection", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.open == 0
	})
}

// read takes what a NATS client sends: lines, and after one with PUB SUBJECT
// REPLY SIZE so many bytes.
func (w *wire) read(in *bufio.Reader) error {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "PUB" {
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
		if !strings.HasSuffix(words[1], "."+channel) {
			continue
		}
		if err := w.note(payload[:size]); err != nil {
			return err
		}
	}
}

func (w *wire) note(payload []byte) error {
	var message pb.PubMsg
	if err := message.Unmarshal(payload); err != nil {
		return err
	}
	var data struct {
		ID int `json:",string"`
	}
	if err := json.Unmarshal(message.Data, &data); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events[message.Guid] = data.ID
	w.sent = append(w.sent, data.ID)
	return nil
}

// acked returns the numbers of the events that a publish -o json told of.
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

func TestServerKilledUnderABusyPublish(t *testing.T) {
	random := seeded(t)
	s := brokertest.Start(t, brokertest.Config{})
	w := newWire(t, s)
	p := runProcessAt(t, w.URL, "publish", channel, "--data", "-", "-o", "json", "--timeout", "2s")
	restarted := make(chan struct{})
	go func() {
		defer func() { _ = p.stdin.Close() }()
		last := 0
		for more := true; more; {
			select {
			case <-restarted:
				more = false
			default:
			}
			if p.feed(last+1, last+50) != nil {
				return // it has ended
			}
			last += 50
		}
	}()
	p.awaitLines(1 + random.IntN(20000))
	s.Kill()
	begin := time.Now()
	s.Restart()
	close(restarted)
	code := p.wait(20 * time.Second)
	acked, kept := w.acked(p), stored(t, s)
	t.Logf("exit code %d %v after the kill; %d acked, %d stored, %d sent", code, time.Since(begin), len(acked), len(kept), len(w.all()))
	if !increasing(acked) || !increasing(kept) {
		t.Errorf("acked in order: %v; stored in order: %v", increasing(acked), increasing(kept))
	}
	mustHold(t, kept, acked)
	switch code {
	case 0:
	case 3, 5:
		tells(t, p, code, acked)
	default:
		t.Errorf("exit code %d", code)
	}
}

// mustHold fails the test unless all acked events were stored.
func mustHold(t *testing.T, kept, acked []int) {
	t.Helper()
	in := make(map[int]bool, len(kept))
	for _, event := range kept {
		in[event] = true
	}
	for _, event := range acked {
		if !in[event] {
			t.Errorf("event %d was acked, and is not stored", event)
		}
	}
}

// tells fails the test unless a publish that failed said what is in doubt.
func tells(t *testing.T, p *process, code int, acked []int) {
	t.Helper()
	var firstInDoubt, good, sent int
	for _, line := range p.errors.lines() {
		if _, after, found := strings.Cut(line, "publishing event "); found {
			_, _ = fmt.Sscanf(after, "%d to ", &firstInDoubt)
		}
		_, _ = fmt.Sscanf(line, "publish: %d of %d events acked; of the others it is not known", &good, &sent)
	}
	want := 1 // the first event that was not acked
	for _, event := range acked {
		if event != want {
			break
		}
		want++
	}
	if firstInDoubt != want {
		t.Errorf("exit code %d: said that event %d failed first, and it was %d", code, firstInDoubt, want)
	}
	if good != len(acked) && sent != 0 || sent < good {
		t.Errorf("said that %d of %d were acked, and told of %d", good, sent, len(acked))
	}
}

func TestServerKilledUnderASlowPublish(t *testing.T) {
	const each, kills = 10, 4
	random := seeded(t)
	s := brokertest.Start(t, brokertest.Config{})
	w := newWire(t, s)
	p := runProcessAt(t, w.URL, "publish", channel, "--data", "-", "-o", "json", "--rate", "200")
	feed := func(from, to int) {
		t.Helper()
		if err := p.feed(from, to); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
	}
	feed(1, each)
	p.awaitLines(each)
	for i := 1; i <= kills; i++ { // nothing is in flight
		s.Kill()
		w.awaitClosed(t)
		early := random.IntN(2) * random.IntN(each)
		feed(i*each+1, i*each+early) // these find no server
		s.Restart()
		feed(i*each+early+1, (i+1)*each)
		p.awaitLines((i + 1) * each)
	}
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	p.endsWith(0, 20*time.Second)
	const events = (kills + 1) * each
	for name, got := range map[string][]int{"acked": w.acked(p), "stored": stored(t, s), "sent": w.all()} {
		if !slices.Equal(got, numbered(1, events)) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !p.says("connecting again") || !p.says("connected again") {
		t.Error("nobody was told")
	}
}

func TestServerKilledUnderAListen(t *testing.T) {
	const events, kills = 3000, 3
	random := seeded(t)
	s := brokertest.Start(t, brokertest.Config{StreamingExtra: deadSoon})
	published(t, s, 1, events)
	c := newCrew(t, s, 2, "--delay", "1ms")
	for _, moment := range moments(random, kills, events*9/10) {
		c.await(moment)
		s.Kill()
		s.Restart()
	}
	published(t, s, events+1, events+10)
	c.awaitAll(events + 10)
	for _, p := range c.members {
		p.awaitSaying("joined again")
	}
	c.stopAll()
	t.Logf("%d events were handled more than once", len(c.twice()))
}

func TestServerKilledUnderAListenWithoutReconnect(t *testing.T) {
	s := brokertest.Start(t, brokertest.Config{})
	published(t, s, 1, 1)
	p := runProcess(t, s, "listen", channel, "--group", "g", "-o", "json", "--no-reconnect")
	p.awaitLines(1)
	s.Kill()
	p.endsWith(3, 10*time.Second)
	if !p.says("the connection was lost") {
		t.Error("the reason was not told")
	}
}

// awaitFrozen waits until a new connection is not greeted, and so takes a
// known time.
func awaitFrozen(t *testing.T, s *brokertest.Server, within time.Duration) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Fatal("the server is not frozen")
	}
}

func TestPublishToAFrozenServerIsInDoubt(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	p := runProcess(t, s, "publish", channel, "--data", "-", "--timeout", "1s")
	if err := p.feed(1, 1); err != nil {
		t.Fatal(err)
	}
	p.awaitLines(1) // it is connected
	s.Freeze()
	begin := time.Now()
	p.feedAll(2, 2)
	p.endsWith(5, 15*time.Second)
	if took := time.Since(begin); took < 900*time.Millisecond || took > 4*time.Second {
		t.Errorf("ended after %v", took)
	} else {
		t.Logf("ended after %v", took)
	}
	if !p.says("may have stored it") || !p.says("1 of 2 events acked") || !p.says("publishing event 2 ") {
		t.Error("the doubt was not told")
	}
	late := runProcess(t, s, "publish", channel, "--sample", "--timeout", "1s")
	late.endsWith(3, 15*time.Second)
	s.Thaw()
	if got := stored(t, s); !slices.Equal(got, numbered(1, 1)) && !slices.Equal(got, numbered(1, 2)) {
		t.Errorf("stored: %v", got)
	}
}

func TestShortFreezeLosesNothing(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	p := runProcess(t, s, "publish", channel, "--data", "-", "--timeout", "10s", "-o", "json")
	if err := p.feed(1, 1); err != nil {
		t.Fatal(err)
	}
	p.awaitLines(1)
	s.Freeze()
	p.feedAll(2, 5000)
	awaitFrozen(t, s, time.Second)
	s.Thaw()
	p.endsWith(0, 20*time.Second)
	if n := len(p.out.lines()); n != 5000 {
		t.Errorf("%d lines", n)
	}
	if got := stored(t, s); !slices.Equal(got, numbered(1, 5000)) {
		t.Errorf("stored: %v", got)
	}
}

func TestListenNoticesAFrozenServer(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	published(t, s, 1, 3)
	c := newCrew(t, s, 1, "--timeout", "1s")
	c.awaitAll(3)
	s.Freeze()
	begin := time.Now()
	c.members[0].awaitSaying("joining again in")
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("noticed after %v", took)
	} else {
		t.Logf("noticed after %v", took)
	}
	s.Thaw()
	published(t, s, 4, 6)
	c.awaitAll(6)
	c.stopAll()
	if twice := c.twice(); len(twice) > 0 {
		t.Errorf("handled more than once: %v", twice)
	}
}

func TestListenStopsWhileTheServerIsFrozen(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.Config{})
	published(t, s, 1, 3)
	c := newCrew(t, s, 1, "--timeout", "1s")
	c.awaitAll(3)
	s.Freeze()
	begin := time.Now()
	c.members[0].signal(syscall.SIGTERM)
	c.members[0].endsWith(3, 15*time.Second)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("ended after %v", took)
	} else {
		t.Logf("ended after %v", took)
	}
	if !c.members[0].says("closing the session") || !c.members[0].says("handled 3 events") {
		t.Error("what happened was not told")
	}
}
