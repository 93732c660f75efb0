package brokertest_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"nats-test/internal/brokertest"
	"nats-test/internal/brokertest/netsim"
)

// A sender must feel a slow link, and a receiver that does not read: the server
// drops such clients, when it holds more than 64 MiB for them.
func TestSlowReceiversAreDropped(t *testing.T) {
	flood := func(nc *nats.Conn) {
		t.Helper()
		for range 150 {
			if err := nc.Publish("s", make([]byte, 1_000_000)); err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("slow link", func(t *testing.T) {
		n, far, near := overNetwork(t)
		subscribe(t, far, "s")
		disconnected := make(chan struct{})
		far.SetDisconnectErrHandler(func(*nats.Conn, error) { close(disconnected) })
		n.Throttle(0, 1000)
		flood(near)
		n.Throttle(0, 0)
		<-disconnected
	})
	t.Run("nobody reads", func(t *testing.T) {
		n, far, near := overNetwork(t)
		far.Close()
		c, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "nats://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "CONNECT {\"verbose\":false}\r\nSUB s 1\r\n"); err != nil {
			t.Fatal(err)
		}
		brokertest.Eventually(t, "the server knows the subscription", func() bool { return n.Passed(netsim.Up) > 40 })
		flood(near)
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Error(err)
		}
		if passed := n.Passed(netsim.Down); passed > 140_000_000 {
			t.Errorf("%d bytes passed", passed)
		}
	})
}

// BenchmarkNetwork compares the network's throughput with its clients'.
func BenchmarkNetwork(b *testing.B) {
	s := brokertest.Start(b, brokertest.Config{Plain: true})
	for name, url := range map[string]string{"direct": s.URL, "network": s.Network().URL} {
		b.Run(name, func(b *testing.B) {
			nc, err := nats.Connect(url)
			if err != nil {
				b.Fatal(err)
			}
			defer nc.Close()
			got := make(chan *nats.Msg, 1<<16)
			if _, err := nc.ChanSubscribe("s", got); err != nil {
				b.Fatal(err)
			}
			data := make([]byte, 100)
			b.ResetTimer()
			go func() {
				for range b.N {
					_ = nc.Publish("s", data)
				}
			}()
			for range b.N {
				<-got
			}
		})
	}
}
