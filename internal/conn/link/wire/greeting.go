package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"nats-test/internal/conn/broker"
)

// maxGreeting is the maximum length of the server's first line, in bytes. In a large
// cluster, it lists the addresses of all servers and has some 10,000 bytes.
const maxGreeting = 1 << 20

var errGreeting = fmt.Errorf("a greeting of more than %d bytes", maxGreeting)

// A Greeting is the INFO that a NATS server sends first.
type Greeting struct {
	ServerID     string `json:"server_id"`
	Name         string `json:"server_name"`
	Version      string `json:"version"`
	Cluster      string `json:"cluster"`
	AuthRequired bool   `json:"auth_required"`
	TLSRequired  bool   `json:"tls_required"`
	TLSAvailable bool   `json:"tls_available"`
	JetStream    bool   `json:"jetstream"`
	LameDuck     bool   `json:"ldm"`

	Others []string `json:"connect_urls"` // hosts and ports of the cluster's servers
}

// String describes the server for display. The server's own words are quoted.
func (g Greeting) String() string {
	text := "NATS server " + ClipWord(g.Version)
	if g.Name != "" && g.Name != g.ServerID { // a server without a name has its ID for one
		text += " " + broker.Clip(g.Name)
	}
	if g.Cluster != "" {
		text += " of the cluster " + broker.Clip(g.Cluster)
	}
	if g.LameDuck {
		text += ", which is shutting down (lame duck mode)"
	}
	return text
}

// ClipWord returns s as it is if it is a plain word, else as [broker.Clip] does.
func ClipWord(s string) string {
	if PlainWord(s) {
		return s
	}
	return broker.Clip(s)
}

// PlainWord reports whether s can be shown without quotes.
func PlainWord(s string) bool {
	return s != "" && len(s) <= 60 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:+-_") == ""
}

var (
	// ErrSpeaksTLS: the server expects a TLS handshake before its greeting.
	ErrSpeaksTLS = errors.New("it speaks TLS from the first byte")
	// ErrPutOff: the server may expect a TLS handshake, or speak another protocol.
	ErrPutOff = errors.New("it says nothing, and closes the connection when spoken to")
)

// Greet reads the greeting of a NATS server from c within limit. If nothing arrives for
// a quarter of it, Greet sends a PING, since an HTTP server waits for a request. The
// error wraps [broker.ErrHung] for a server that stays silent, [broker.ErrTLS] for one
// that expects TLS first, [broker.ErrNotNATS] for another program, else
// [broker.ErrNoServer].
func Greet(c net.Conn, limit time.Duration) (Greeting, error) {
	var g Greeting
	begin := time.Now()
	patience := min(limit/4, time.Second)
	_ = c.SetReadDeadline(begin.Add(patience))
	line, err := readGreeting(c, nil)
	spoken := len(line) == 0 && errors.Is(err, os.ErrDeadlineExceeded)
	if spoken {
		_ = c.SetDeadline(begin.Add(limit))
		if _, err = io.WriteString(c, "PING\r\n\r\n"); err == nil {
			line, err = readGreeting(c, nil)
		}
	} else if errors.Is(err, os.ErrDeadlineExceeded) { // a part has arrived
		_ = c.SetReadDeadline(begin.Add(limit))
		line, err = readGreeting(c, line)
	}
	switch {
	case bytes.HasPrefix(line, []byte{0x15, 3}), bytes.HasPrefix(line, []byte{0x16, 3}):
		return g, broker.Because(broker.ErrTLS, ErrSpeaksTLS)
	case len(line) > maxGreeting, errors.Is(err, errGreeting):
		return g, broker.Because(broker.ErrNotNATS, errGreeting)
	case isGreeting(line) && err == nil:
		if json.Unmarshal(line[len("INFO"):], &g) == nil {
			return g, nil
		}
		fallthrough
	case len(line) > 0:
		reason := broker.ErrNotNATS
		if bytes.HasPrefix(line, []byte("HTTP/")) {
			reason = broker.ErrHTTP
		}
		return g, broker.Because(reason, fmt.Errorf("it answers, but not as a NATS server: %s", broker.Clip(strings.TrimRight(string(line), "\r\n"))))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return g, broker.Because(broker.ErrHung, fmt.Errorf("it accepts the connection and says nothing for %v", Since(begin)))
	}
	if spoken {
		return g, broker.Because(broker.ErrNoServer, fmt.Errorf("%w (%w)", ErrPutOff, err))
	}
	return g, broker.Because(broker.ErrNoServer, fmt.Errorf("it accepts the connection and closes it without a word (%w)", err))
}

// readGreeting appends to line what it reads from c, up to the end of the line, or
// until it is clear that this is not a greeting.
func readGreeting(c net.Conn, line []byte) ([]byte, error) {
	const enough = 80
	buffer := make([]byte, 4096)
	for {
		n, err := c.Read(buffer)
		part, _, ended := bytes.Cut(buffer[:n], []byte("\n"))
		line = append(line, part...)
		switch {
		case ended, len(line) > maxGreeting, len(line) >= enough && !isGreeting(line):
			return line, nil
		case err != nil:
			return line, err
		}
	}
}

func isGreeting(line []byte) bool {
	return len(line) > len("INFO ") && bytes.EqualFold(line[:len("INFO")], []byte("INFO"))
}

// Since formats the time since begin.
func Since(begin time.Time) string {
	d := time.Since(begin)
	if d < time.Second {
		return strconv.FormatFloat(d.Seconds()*1000, 'f', 1, 64) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
}
