package wire

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// A pipeDialer connects nats.go to the other end of a pipe, through a socket.
type pipeDialer struct{ server chan net.Conn }

func (d pipeDialer) Dial(string, string) (net.Conn, error) {
	near, far := net.Pipe()
	d.server <- far
	return &guarded{Conn: near, dialer: &Dialer{}, guard: newInspector()}, nil
}

// received has nats.go read what a server says after its greeting, and returns
// how many messages it took, and bytes of them, when the connection has ended.
func received(t *testing.T, text string) (messages, bytes uint64) {
	t.Helper()
	d := pipeDialer{make(chan net.Conn, 1)}
	closed := make(chan struct{})
	go func() {
		c := <-d.server
		_, _ = io.WriteString(c, info)
		_, _ = c.Read(make([]byte, 4096)) // CONNECT
		_, _ = c.Read(make([]byte, 4096)) // PING
		go func() { _, _ = io.Copy(io.Discard, c) }()
		_, _ = io.WriteString(c, "PONG\r\n"+text)
		_ = c.Close()
	}()
	nc, err := nats.Connect("nats://127.0.0.1", nats.SetCustomDialer(d), nats.NoReconnect(), nats.FlusherTimeout(0),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	<-closed
	stats := nc.Stats()
	return stats.InMsgs, stats.InBytes
}

// counted reads text as the protocol is written down: what nats.go must take.
func counted(text string) (messages, bytes uint64, ends bool) {
	for {
		line, rest, found := strings.Cut(text, "\r\n")
		if !found {
			return messages, bytes, ends
		}
		words := strings.Fields(line)
		ends = ends || strings.HasPrefix(line, "-ERR")
		if len(words) > 3 && strings.HasSuffix(words[0], "MSG") {
			size, err := strconv.Atoi(words[len(words)-1])
			if err != nil || len(rest) <= size {
				return messages, bytes, ends
			}
			messages, bytes = messages+1, bytes+uint64(size)
			rest = strings.TrimPrefix(strings.TrimPrefix(rest[size:], "\r"), "\n")
		}
		text = rest
	}
}

// FuzzGuardAndNATS: of what the guard lets pass, nats.go takes the messages
// that are in it, and does not panic.
func FuzzGuardAndNATS(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		passed, err := read(newInspector(), hello+text, whole)
		messages, bytes, ends := counted(passed[len(hello):])
		gotMessages, gotBytes := received(t, text)
		if gotMessages > messages || gotBytes > bytes || !ends && (gotMessages != messages || gotBytes != bytes) {
			t.Errorf("%q: nats.go took %d messages of %d bytes, and %q, %v, has %d of %d", text, gotMessages, gotBytes, passed, err, messages, bytes)
		}
	})
}
