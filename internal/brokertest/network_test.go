package brokertest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"nats-test/internal/brokertest"
	"nats-test/internal/brokertest/netsim"
)

// overNetwork starts a server with a network, a client behind it, and a client
// connected directly. No goroutine may be left.
func overNetwork(t *testing.T) (n *netsim.Network, far, near *nats.Conn) {
	t.Helper()
	s := brokertest.Start(t, brokertest.Config{Plain: true})
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
	n = s.Network()
	far, err := nats.Connect(n.URL, nats.ReconnectWait(time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	return n, far, s.Nats()
}

func subscribe(t *testing.T, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	sub, err := nc.SubscribeSync(subject)
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// send publishes count messages: a number, and then size bytes.
func send(t *testing.T, nc *nats.Conn, subject string, count, size int) {
	t.Helper()
	for i := range count {
		if err := nc.Publish(subject, fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.FlushTimeout(time.Minute); err != nil {
		t.Fatal(err)
	}
}

// wantNumbers takes messages, which must have these numbers.
func wantNumbers(t *testing.T, sub *nats.Subscription, numbers ...int) {
	t.Helper()
	for _, want := range numbers {
		m, err := sub.NextMsg(time.Minute)
		if err != nil {
			t.Fatalf("waiting for %d: %v", want, err)
		}
		if got, _, _ := strings.Cut(string(m.Data), " "); got != fmt.Sprint(want) {
			t.Fatalf("%s came instead of %d", got, want)
		}
	}
}

func upTo(n int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	return numbers
}

func TestCutBreaksConnections(t *testing.T) {
	n, far, _ := overNetwork(t)
	if n.Open() != 1 {
		t.Errorf("%d connections are open", n.Open())
	}
	for again := range uint64(5) {
		n.Cut()
		brokertest.Eventually(t, "the client reconnected", func() bool { return far.Stats().Reconnects > again })
	}
	sub := subscribe(t, far, "s")
	send(t, far, "s", 3, 10)
	wantNumbers(t, sub, 0, 1, 2)
	far.Close()
	brokertest.Eventually(t, "no connection is open", func() bool { return n.Open() == 0 })
}

func TestDelayKeepsOrderAndThroughput(t *testing.T) {
	const d = 100 * time.Millisecond
	n, far, near := overNetwork(t)
	sub := subscribe(t, near, "up")
	down := subscribe(t, far, "down")
	n.Delay(d)
	rtt, err := far.RTT()
	if err != nil {
		t.Fatal(err)
	}
	if rtt < 2*d || rtt > 20*d {
		t.Errorf("the round trip takes %v", rtt)
	}
	// A window of 64 KiB would need 100 round trips, 20 s, for these 6.4 MB.
	begin := time.Now()
	send(t, far, "up", 64, 100_000)
	wantNumbers(t, sub, upTo(64)...)
	send(t, near, "down", 64, 100_000)
	wantNumbers(t, down, upTo(64)...)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("12.8 MB took %v", took)
	}
	n.Delay(0) // data in transit is not overtaken
	send(t, near, "down", 100, 10)
	wantNumbers(t, down, upTo(100)...)
}

func TestThrottleLimitsEachDirection(t *testing.T) {
	const rate, size = 400_000, 200_000 // half a second, less the burst
	n, far, near := overNetwork(t)
	up, down := subscribe(t, near, "up"), subscribe(t, far, "down")
	for name, test := range map[string]struct {
		up, down, most int
		sub            *nats.Subscription
		from           *nats.Conn
		slow           bool
	}{
		"up":              {rate, 0, 0, up, far, true},
		"down":            {0, rate, 0, down, near, true},
		"down, up slow":   {rate, 0, 0, down, near, false},
		"up, none slow":   {0, 0, 0, up, far, false},
		"down, none slow": {0, 0, 0, down, near, false},
	} {
		n.Throttle(test.up, test.down)
		begin := time.Now()
		send(t, test.from, test.sub.Subject, 2, size/2)
		wantNumbers(t, test.sub, 0, 1)
		took := time.Since(begin)
		if slow := took > 400*time.Millisecond; slow != test.slow {
			t.Errorf("%s: %d bytes took %v", name, size, took)
		}
	}
	if passed := n.Passed(netsim.Up); passed < 2*size {
		t.Errorf("%d bytes passed to the server", passed)
	}
}

func TestBlackHoleHoldsEverythingBack(t *testing.T) {
	n, far, near := overNetwork(t)
	sub := subscribe(t, far, "s")
	n.BlackHole(true)
	send(t, near, "s", 3, 10)
	if err := far.FlushTimeout(200 * time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("a round trip: %v", err)
	}
	if _, err := nats.Connect(n.URL, nats.Timeout(200*time.Millisecond)); !errors.Is(err, nats.ErrTimeout) && !isTimeout(err) {
		t.Errorf("a new connection: %v", err)
	}
	if pending, _, err := sub.Pending(); pending != 0 || err != nil {
		t.Errorf("%d messages came: %v", pending, err)
	}
	n.BlackHole(false)
	wantNumbers(t, sub, 0, 1, 2)
	if far.Stats().Reconnects != 0 {
		t.Error("the connection broke")
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestHalfClose(t *testing.T) {
	n, _, near := overNetwork(t)
	sub := subscribe(t, near, "s")
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "nats://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "INFO ") {
			t.Fatalf("%q, %v", line, err)
		}
		return c, in
	}
	publish := func(c net.Conn) {
		if _, err := io.WriteString(c, "CONNECT {\"verbose\":false}\r\nPUB s 1\r\n0\r\nPING\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	// The server's data is lost, but it still hears the client.
	c, in := dial()
	n.HalfClose(netsim.Down)
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	publish(c)
	wantNumbers(t, sub, 0)
	// The server reads an end, and closes.
	c, in = dial()
	n.HalfClose(netsim.Up)
	publish(c)
	if _, err := io.ReadAll(in); err != nil {
		t.Error(err)
	}
	if err := near.Flush(); err != nil {
		t.Fatal(err)
	}
	if pending, _, err := sub.Pending(); pending != 0 || err != nil {
		t.Errorf("%d messages passed the closed direction: %v", pending, err)
	}
}

func TestLoseDropsWholeMessages(t *testing.T) {
	n, far, near := overNetwork(t)
	sub := subscribe(t, far, "s")
	n.Lose(netsim.Holds("\r\n3 "), 1)
	send(t, near, "s", 6, 100_000)
	wantNumbers(t, sub, 0, 1, 2, 4, 5)
	n.Lose(netsim.Holds("MSG s "), 4)
	send(t, near, "s", 6, 10)
	wantNumbers(t, sub, 4, 5)
	if n.Lost() != 5 || far.Stats().Reconnects != 0 {
		t.Errorf("%d messages were lost, the client reconnected %d times", n.Lost(), far.Stats().Reconnects)
	}
}

func TestRefuseTakesNoNewConnection(t *testing.T) {
	n, far, near := overNetwork(t)
	sub := subscribe(t, far, "s")
	n.Refuse(true)
	if _, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "nats://")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection: %v", err)
	}
	send(t, near, "s", 1, 10)
	wantNumbers(t, sub, 0)
	n.Cut()
	brokertest.Eventually(t, "the client lost its connection", func() bool { return !far.IsConnected() })
	n.Refuse(false)
	brokertest.Eventually(t, "the client reconnected", func() bool { return far.IsConnected() })
}

// Messages that the server never sent, and changed ones, arrive as if they were
// real.
func TestNetworkLies(t *testing.T) {
	n, far, near := overNetwork(t)
	heard := subscribe(t, far, "orders")
	next := func(want string) {
		t.Helper()
		if m, err := heard.NextMsg(5 * time.Second); err != nil || string(m.Data) != want {
			t.Fatalf("%v, %v: want %q", m, err, want)
		}
	}
	n.Lie(netsim.Claims("true", "another, longer"))
	for _, data := range []string{"true", "as it is"} {
		if err := near.Publish("orders", []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	next("another, longer")
	next("as it is")
	m := nats.NewMsg("orders")
	m.Header.Set("Kept", "true")
	if err := near.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	if m, err := heard.NextMsg(5 * time.Second); err != nil || string(m.Data) != "another, longer" || m.Header.Get("Kept") != "true" {
		t.Fatalf("%+v, %v", m, err)
	}
	n.Lie(nil)
	n.Say("MSG orders 1 6\r\nforged\r\n")
	next("forged")
}
