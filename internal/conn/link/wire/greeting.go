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

// maxGreeting bounds the server's first line, in bytes. That of a large
// cluster, with the addresses of all its servers, has some ten thousand.
const maxGreeting = 1 << 20

var errGreeting = fmt.Errorf("a greeting of more than %d bytes", maxGreeting)

// A Greeting is what a NATS server says first.
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

// String is what people read of a greeting. It may hold what a server likes.
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

// ClipWord is [broker.Clip] for a word that needs no quotes, as a rule.
func ClipWord(s string) string {
	if PlainWord(s) {
		return s
	}
	return broker.Clip(s)
}

// PlainWord reports whether s can stand in a sentence as it is.
func PlainWord(s string) bool {
	return s != "" && len(s) <= 60 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:+-_") == ""
}

var (
	// ErrSpeaksTLS: the other side wants a handshake before any greeting.
	ErrSpeaksTLS = errors.New("it speaks TLS from the first byte")
	// ErrPutOff: so may this one, or speak yet another language.
	ErrPutOff = errors.New("it says nothing, and closes the connection when spoken to")
)

// Greet reads the greeting of a NATS server from c within limit. What is
// silent for a part of it is spoken to, since an HTTP server, for one, waits
// for that. The error wraps [broker.ErrHung] for one that stays silent, [broker.ErrTLS] for
// one that wants to begin with TLS, [broker.ErrNotNATS] for one that is another
// program, else [broker.ErrNoServer].
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
	} else if errors.Is(err, os.ErrDeadlineExceeded) { // it has begun
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
		return g, broker.Because(broker.ErrHung, fmt.Errorf("it takes the connection and says nothing for %v", Since(begin)))
	}
	if spoken {
		return g, broker.Because(broker.ErrNoServer, fmt.Errorf("%w (%w)", ErrPutOff, err))
	}
	return g, broker.Because(broker.ErrNoServer, fmt.Errorf("it takes the connection and closes it without a word (%w)", err))
}

// readGreeting adds to line what c says: up to the end of the line, or enough
// to see that this is no greeting.
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

// Since is the time since begin, for people to read.
func Since(begin time.Time) string {
	d := time.Since(begin)
	if d < time.Second {
		return strconv.FormatFloat(d.Seconds()*1000, 'f', 1, 64) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
}
