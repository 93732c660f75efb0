package conn_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"nats-test/internal/brokertest"
	"nats-test/internal/conn"
	"nats-test/internal/conn/broker"
	"nats-test/internal/conn/link"
)

// A forged server says what a script has it say: it greets, takes any log-in,
// and says words then.
type forged struct {
	early  string // behind the greeting, before TLS
	words  string
	secure *tls.Config
	first  bool // TLS comes before the greeting
}

func (f forged) talk(c net.Conn, done <-chan struct{}) {
	if f.first {
		c = tls.Server(c, f.secure)
	}
	required := ""
	if f.secure != nil {
		required = `"tls_required":true,`
	}
	_, _ = fmt.Fprintf(c, `INFO {"server_id":"ID","version":"2.15.2",%s"max_payload":1048576,"headers":true}`+"\r\n%s", required, f.early)
	if f.secure != nil && !f.first {
		c = tls.Server(c, f.secure)
	}
	for in := bufio.NewScanner(c); in.Scan(); {
		if strings.HasPrefix(in.Text(), "PING") {
			break
		}
	}
	_, _ = io.WriteString(c, "PONG\r\n"+f.words)
	<-done
}

func TestForgedServers(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "authority")
	cert, key := a.issue("server", time.Now().Add(time.Hour))
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	secure := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	const huge = "MSG a 1 9223372036854775807\r\n"
	for name, test := range map[string]struct {
		forged
		want error
	}{
		"plain":               {forged{words: huge}, broker.ErrGarbled},
		"nothing, and silent": {forged{secure: secure}, broker.ErrHung},
	} {
		t.Run(name, func(t *testing.T) {
			o := link.Options{Servers: impostor(t, test.talk), Timeout: 2 * time.Second}
			if test.secure != nil {
				o.TLS = link.TLS{CA: a.file, First: test.first}
			}
			session, err := conn.Dial(t.Context(), o)
			if err == nil {
				_ = session.Close()
			}
			if !errors.Is(err, test.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A server whose certificate is not proved gets no credentials: the connection
// has ended before anything is written.
func TestNothingIsWrittenAfterAFailedHandshake(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t, "authority"), newAuthority(t, "other")
	cert, key := other.issue("server", time.Now().Add(time.Hour))
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 10)
	url := impostor(t, func(c net.Conn, _ <-chan struct{}) {
		_, _ = io.WriteString(c, `INFO {"tls_required":true,"max_payload":1048576}`+"\r\n")
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}).Handshake()
		rest, _ := io.ReadAll(c)
		got <- string(rest)
	})
	_, err = conn.Dial(t.Context(), link.Options{Servers: url, TLS: link.TLS{CA: a.file}, Auth: link.Auth{User: "u", Password: "secret"}, Timeout: 2 * time.Second})
	if !errors.Is(err, broker.ErrTLS) {
		t.Errorf("%v", err)
	}
	if rest := <-got; strings.Contains(rest, "secret") || strings.Contains(rest, "CONNECT") {
		t.Errorf("%q", rest)
	}
}

// What a proxy says while the server behind it is away is no frame.
func TestProxyWithoutItsServer(t *testing.T) {
	t.Parallel()
	url := impostor(t, func(c net.Conn, done <-chan struct{}) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>the server is away</html>\r\n")
			<-done
		}
	})
	_, err := conn.Dial(t.Context(), link.Options{Servers: strings.Replace(url, "nats", "ws", 1), Timeout: 2 * time.Second})
	if err == nil || errors.Is(err, broker.ErrGarbled) {
		t.Errorf("%v", err)
	}
}

// A WebSocket's frames are looked into.
func TestForgedWebSocket(t *testing.T) {
	t.Parallel()
	url := impostor(t, func(c net.Conn, done <-chan struct{}) {
		request, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			accept(request.Header.Get("Sec-WebSocket-Key")))
		for _, words := range []string{`INFO {"server_id":"ID","max_payload":1048576}` + "\r\n", "PONG\r\n", "MSG a 1 1000000000000\r\n"} {
			_, _ = c.Write(append([]byte{0x82, byte(len(words))}, words...))
		}
		<-done
	})
	_, err := conn.Dial(t.Context(), link.Options{Servers: strings.Replace(url, "nats", "ws", 1), Timeout: 2 * time.Second})
	if !errors.Is(err, broker.ErrGarbled) {
		t.Errorf("%v", err)
	}
}

// What a server says out of turn, and as often as it likes, is told once a
// second.
func TestFloodIsTold(t *testing.T) {
	t.Parallel()
	server := brokertest.Start(t, brokertest.Config{Plain: true, JetStream: true})
	network := server.Network()
	lines := make(chan string, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	session, err := conn.Dial(ctx, link.Options{Servers: network.URL, Notify: func(line string) { lines <- line }})
	if err != nil {
		t.Fatal(err)
	}
	const times = 20_000
	network.Say(strings.Repeat("-ERR 'Permissions Violation for Publish to \"$JS.API.X\"'\r\n", 2*times) +
		"-ERR 'Permissions Violation for Subscription to \"$JS.API.the end\"'\r\n")
	told, more := 0, 0
	for over := false; !over || len(lines) > 0; {
		var line string
		select {
		case line = <-lines:
		case <-time.After(30 * time.Second):
			t.Fatalf("the end is not told after %d lines", told)
		}
		if strings.Contains(line, "the end") {
			over = true
			_ = session.Close() // it tells the rest
		}
		told++
		var n int
		if _, after, found := strings.Cut(line, "and "); found {
			if _, err := fmt.Sscanf(strings.ReplaceAll(after, ",", ""), "%d more such lines", &n); err == nil {
				more += n
			}
		}
	}
	if told > 20 || more < times/2 || told+more > 2*times+20 {
		t.Errorf("%d lines, and %d more counted", told, more)
	}
}

// accept answers the key of a WebSocket's client (RFC 6455).
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// A server that keeps to the protocol until the first event comes is joined
// again, at a pace that gets slower.
func TestGarbledServerIsJoinedAgainAtALongerPace(t *testing.T) {
	t.Parallel()
	s, _ := onJetStream(t, "")
	o := options(t, s)
	publish(t, o, "orders", 1, 1)
	network := s.Network()
	o.Servers = network.URL
	network.Lie(func(message []byte) []byte {
		if bytes.Contains(message, []byte("$JS.ACK.")) {
			return []byte("MSG a 1 1000000000000\r\n")
		}
		return message
	})
	const joins = 6
	times := make(chan time.Time, 100)
	l := listener(o, "orders")
	l.Joined = func([]broker.Place, bool) { times <- time.Now() }
	r := run(t, l, &recorder{})
	begin := <-times
	for range joins - 1 {
		<-times
	}
	// Of 200 ms that grow by 1.6 each time, half at least.
	if took := time.Since(begin); took < 1500*time.Millisecond {
		t.Errorf("joined %d times in %v", joins, took)
	}
	r.stopCleanly()
}
